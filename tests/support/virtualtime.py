"""An event loop whose time jumps: half an hour of backoff passes in a millisecond, and always the same way.

`run_virtual(main())` runs a coroutine on such a loop. When no callback is ready, time moves to the next timer. When
there is no timer either, nothing could ever happen again, and `Deadlock` says so instead of hanging.
`VirtualClock` is the project's `Clock` on that loop: its randomness comes from a seed, so a failure can be replayed.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Deadlock(AssertionError):
    """Everything waits and no timer is set."""


class _Selector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Deadlock("nothing is scheduled: every task waits for another one")
        if not ready and timeout and timeout > 0:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time; no sockets, no threads."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class VirtualClock:
    """The clock of the running virtual loop. `suspend` lets only `boottime` and the wall go on, as a laptop's lid does;
    `step_wall` sets the wall clock, as an administrator does."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._suspended = 0.0
        self._wall_offset = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def boottime(self) -> float:
        return self.monotonic() + self._suspended

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.boottime() + self._wall_offset)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def token(self, nbytes: int = 4) -> str:
        return self._random.randbytes(nbytes).hex()

    def suspend(self, seconds: float) -> None:
        self._suspended += seconds

    def step_wall(self, seconds: float) -> None:
        self._wall_offset += seconds


def highest(low: float, high: float) -> float:
    return high


class LoopClock(VirtualClock):
    """Chance is a function, by default "always the upper end"; `spent` is time that passed without the loop."""

    def __init__(self, uniform: Callable[[float, float], float] = highest) -> None:
        super().__init__()
        self._choose = uniform
        self.spent = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.spent

    def uniform(self, low: float, high: float) -> float:
        return self._choose(low, high)


class StoppedClock(LoopClock):
    """Stands still, and needs no loop."""

    def monotonic(self) -> float:
        return self.spent

    def wall(self) -> datetime:
        return datetime(2024, 2, 29, 0, 16, 40, tzinfo=UTC)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run on a virtual loop; tasks that are left over at the end are a failure of the test."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_guarded(main))


def run_scenario(scenario: Callable[[LoopClock], Coroutine[Any, Any, T]]) -> T:
    """The same, with a clock for whoever is to be told the time."""
    return run_virtual(scenario(LoopClock()))


async def _guarded(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks still run at the end of the test: {left}"
    return result
