"""The virtual clock with chance and computing time under the test's control."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from tests.support.virtualtime import VirtualClock, VirtualLoop

T = TypeVar("T")


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


def run(scenario: Callable[[LoopClock], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario from beginning to end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario(LoopClock()))
