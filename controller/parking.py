"""Workers that wait for work, each on one future: no condition variable, no task.

Invariants: who is woken is one that still waits; a turn that was given to one that is cancelled meanwhile is passed on.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Parking:
    """Where workers wait, the longest one first to go."""

    def __init__(self) -> None:
        self.waiters: deque[asyncio.Future[None]] = deque()
        """Who waits. Whether there is anybody is asked for each key, so that it may not cost a call."""

    async def park(self) -> None:
        """Wait until it is the caller's turn to look again."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                # It was our turn to look; somebody else has to.
                self.wake()
            elif waiter in self.waiters:  # `wake` may have passed it over already
                self.waiters.remove(waiter)
            raise

    def wake(self, count: int = 1) -> None:
        """Have so many of them look, or all there are."""
        while self.waiters and count:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1
