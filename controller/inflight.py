"""How many writes may be on their way at once.

The bound starts at its maximum, halves when the server says 429 and grows by one for each full round of answers: the
server's own priority and fairness decides the pace, not a fixed number of queries per second (client-go's default of 5
makes a blueprint edit over ten thousand targets take half an hour).
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class InFlight:
    """An async context manager that admits at most `limit` holders; additive increase, multiplicative decrease."""

    def __init__(self, maximum: int) -> None:
        self._maximum = float(maximum)
        self._limit = float(maximum)
        self._held = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        return int(self._limit)

    def succeeded(self) -> None:
        self._limit = min(self._maximum, self._limit + 1.0 / self._limit)
        self._admit()

    def throttled(self) -> None:
        self._limit = max(1.0, self._limit / 2.0)

    async def __aenter__(self) -> None:
        if self._held < self.limit and not self._waiters:
            self._held += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._held -= 1
            elif waiter in self._waiters:  # `_admit` may have passed it over already
                self._waiters.remove(waiter)
            self._admit()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._held < self.limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._held += 1
                waiter.set_result(None)
