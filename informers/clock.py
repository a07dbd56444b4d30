"""Time and randomness, injected everywhere (R26).

Contract: this is the only module that reads a clock or draws a random number; whoever needs either takes a
`Clock`. Tests pass a virtual one, so half an hour of backoff runs in a millisecond and a failing seed can be
replayed.

Time limits on I/O are set with `asyncio.timeout`, which goes by the running loop's clock; a virtual loop
replaces that one as well.

Invariants: `monotonic` never goes back and is used for durations; `boottime` also counts the time a machine
was suspended and is used for anything another process relies on (a lease); `wall` is for people and
timestamps only.

Source of the idea: `k8s.io/utils/clock`, trio's `Clock` abstraction.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of the package may know about time and chance."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; stands still while the machine is suspended."""
        ...

    def boottime(self) -> float:
        """Seconds since an arbitrary point, time in suspend included."""
        ...

    def wall(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero lets every other ready task run once."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number drawn evenly from [low, high]."""
        ...

    def token(self, nbytes: int = 4) -> str:
        """Random bytes as hexadecimal text, for names that must not collide."""
        ...


_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class RealClock:
    """The clock of the machine."""

    __slots__ = ()

    # Not a method of ours around it: queues and streams ask for every key and every chunk.
    monotonic = staticmethod(time.monotonic)

    def boottime(self) -> float:
        return time.clock_gettime(_BOOTTIME)

    def wall(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 - spreads load; nothing secret depends on it

    def token(self, nbytes: int = 4) -> str:
        return secrets.token_hex(nbytes)
