"""The fence: whether this process may write at this instant, and what ends it when it may not but still runs.

Contract:
- `check` is asked in front of every write and raises `NotLeading` when the lease is not held, or not for long enough
  (L6). What it returns is the time that is left; no request may take longer.
- Validity is an instant on CLOCK_BOOTTIME, which goes on while the machine sleeps. It is counted from before the
  request that renewed the lease was sent, less a margin (L5): whatever the network did with that request, other
  processes count from a later instant.
- A lost lease closes the fence at once and for good: there is no way back but a new process (L7).
- `exit_by` is when the process must be gone at the latest. A thread (`watchdog.py`) reads it; it is one float, so
  there is nothing to lock.

`FencedTransport` is the one place where writes pass (L6): whoever writes is given it instead of the transport.

What this cannot do: the API server knows nothing of the lease. A request that was let through may be carried out later
than anybody thought, so two of us writing at the same time must be harmless, and is: see docs on leader election (L15).

Source: Kleppmann, "How to do distributed locking"; client-go's `leaderelection` stamps after the answer, this before.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from informers.clock import Clock
from informers.errors import TransportError
from informers.transport import Body, Response, Transport

LEAST_SECONDS: Final = 0.5
"""A write is not begun when less than this is left: it would hardly arrive."""

STOP_SECONDS: Final = 2.0
"""How long a process may take to end after it lost the lease (L7)."""


class NotLeading(TransportError):
    """The request was not sent, because this process may not write now. It is a transport error: nothing was answered,
    and the same write may be tried again."""


class Fence:
    """Closed until `extend` opens it; see the module's contract."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = -math.inf
        self._why = "this process does not lead"
        self._shut = False
        self.exit_by = math.inf

    @classmethod
    def without_election(cls, clock: Clock) -> Fence:
        """A fence that is always open, for a process that nobody competes with."""
        fence = cls(clock)
        fence._until = math.inf
        return fence

    @property
    def until(self) -> float:
        """The end of validity, on the clock's `boottime`."""
        return self._until

    @property
    def remaining(self) -> float:
        """Seconds of validity that are left; 0 when there are none."""
        return max(0.0, self._until - self._clock.boottime())

    def now(self) -> float:
        """The present instant, on the clock that validity is measured with."""
        return self._clock.boottime()

    def extend(self, until: float) -> None:
        """The lease is valid until then. It never gets shorter, and a fence that was shut stays so."""
        if not self._shut and until > self._until:
            self._until = until
            self.exit_by = until

    def shut(self, why: str) -> None:
        """No writes any more, because the lease is given back; the process may take its time to end."""
        self._shut = True
        self._until = -math.inf
        self._why = why
        self.exit_by = math.inf

    def condemn(self, why: str) -> None:
        """No writes any more, because the lease is lost; the process ends within `STOP_SECONDS` (L7)."""
        # Read before `shut`, which takes the limit away: the watchdog must never see a condemned process without one.
        limit = min(self.exit_by, self._clock.boottime() + STOP_SECONDS)
        self._shut = True
        self._until = -math.inf
        self._why = why
        self.exit_by = limit

    def check(self, attempt: str, seconds_needed: float = LEAST_SECONDS) -> float:
        """Seconds of validity that are left. Raises NotLeading when they are fewer than needed."""
        left = self._until - self._clock.boottime()
        if left < seconds_needed:
            why = self._why
            if not self._shut and self._until > -math.inf:
                why = f"the lease is valid for {left:.1f} s and {seconds_needed:.1f} s are needed"
            raise NotLeading(attempt, reason="NotLeading", message=f"nothing was sent: {why}")
        return left


class FencedTransport:
    """A transport that lets nothing but GET through while the fence is closed."""

    def __init__(self, transport: Transport, fence: Fence) -> None:
        self._transport = transport
        self._fence = fence
        self.unanswered_at = -math.inf
        """When a write last got no answer, on the clock's `boottime`: it may have been carried out."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the request, as in the transport
    ) -> Response:
        if method == "GET":
            return await self._transport.request(method, path, query=query, accept=accept, timeout=timeout)
        attempt = f"{method} {path}"
        left = self._fence.check(attempt)
        limit = min(timeout, left)
        if limit < timeout and query and "timeout" in query:
            # The server gives up then, too, instead of carrying the request out when somebody else may lead.
            query = {**query, "timeout": f"{limit:.3f}s"}
        try:
            # The transport's own limit is for each try; it makes a second one after a 401.
            async with asyncio.timeout(limit):
                return await self._transport.request(
                    method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=limit
                )
        except TimeoutError as error:
            self.unanswered_at = self._fence.now()
            raise TransportError(attempt, reason="Timeout", message=f"no answer within {limit:.1f} s") from error
        except TransportError:
            self.unanswered_at = self._fence.now()
            raise

    def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AbstractAsyncContextManager[Body]:
        return self._transport.stream(path, query=query, accept=accept, idle_timeout=idle_timeout)

    async def close(self) -> None:
        await self._transport.close()
