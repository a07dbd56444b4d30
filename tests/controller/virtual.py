"""An event loop whose time jumps to the next timer, and the clock that goes with it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: no timer is set and nobody can run")
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


def highest(low: float, high: float) -> float:
    return high


class LoopClock:
    """Reads a virtual loop's time, or stands still; chance is a function, by default "always the upper end"."""

    def __init__(self, loop: VirtualLoop | None, uniform: Callable[[float, float], float] = highest) -> None:
        self._loop = loop
        self._uniform = uniform
        self.spent = 0.0

    def monotonic(self) -> float:
        return (1000.0 if self._loop is None else self._loop.time()) + self.spent

    def boottime(self) -> float:
        return self.monotonic()

    def wall(self) -> datetime:
        return datetime(2024, 2, 29, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        return self._uniform(low, high)

    def token(self, nbytes: int = 4) -> str:
        return "ab" * nbytes


def run(scenario: Callable[[LoopClock], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario from beginning to end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(scenario(LoopClock(loop)))
