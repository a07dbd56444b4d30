"""What the project promises: for each figure, ours against whom, and how much at most."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from bench.compare.cells import Cells, Ratio
from bench.compare.contestants import CONTROLLER, METADATA, OURS, TYPED

FLOOR = "floor-metadata-protobuf"
"""The floor of the encoding that ours asks for."""


@dataclass(frozen=True, slots=True)
class Goal:
    """`most` is a bound on the ratio, or on ours alone where there is nobody to compare with; None is no promise."""

    measure: str
    against: str
    most: float | None
    least: bool = False

    @property
    def text(self) -> str:
        if self.most is None:
            return ""
        sign = "≥" if self.least else "≤"
        return f"{sign} {self.most:g}" if self.against or self.most else "0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal at one size: `ratio` is of ours by theirs, and of ours alone where there is nobody else.

    Where one of both is missing there is no ratio, and `missing` is whose figure that is.
    """

    goal: Goal
    size: int
    ratio: Ratio | None
    ours: float | None
    theirs: float | None
    missing: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal.most is None or self.ratio is None:
            return None
        return self.ratio.value >= self.goal.most if self.goal.least else self.ratio.value <= self.goal.most


GOALS = (
    Goal("cold-sync", METADATA, 1.0),
    Goal("cold-sync", FLOOR, 1.15),
    Goal("cold-sync-cpu", METADATA, None),
    Goal("cache-per-object", METADATA, 0.25),
    Goal("cache-per-target", METADATA, 0.25),
    Goal("event-cpu", TYPED, 0.5),
    Goal("event-cpu", METADATA, None),
    Goal("event-rate", FLOOR, 0.95, least=True),
    Goal("stall", "", 20.0),
    Goal("latency-p50", CONTROLLER, 1.0),
    Goal("latency-p99", CONTROLLER, 1.0),
    Goal("latency-busy-p99", CONTROLLER, 1.0),
    Goal("latency-busy-ratio", "", 2.0),
    Goal("rollout", CONTROLLER, 1.0),
    Goal("restart-writes", "", 0.0),
    Goal("restart-reads", "", 0.0),
    Goal("rollout-cpu", CONTROLLER, None),
    Goal("restart", CONTROLLER, 1.0),
    Goal("cost-requests", CONTROLLER, 1.0),
    Goal("cost-objects", CONTROLLER, None),
    Goal("cost-bytes", CONTROLLER, 1.0),
    Goal("idle-requests", CONTROLLER, 1.0),
    Goal("recovery", CONTROLLER, 1.0),
    Goal("operator-rss", CONTROLLER, 1.0),
    Goal("restart-few", CONTROLLER, 1.0),
    Goal("restart-few-writes", "", 0.0),
    Goal("restart-few-reads", "", 0.0),
)


def verdicts(cells: Cells, expected: Iterable[tuple[str, int]] = ()) -> list[Verdict]:
    """Every goal at every size that was measured, or was to be."""
    sizes: dict[str, set[int]] = defaultdict(set)
    for measure, size in expected:
        sizes[measure].add(size)
    return [
        _verdict(cells, goal, size)
        for goal in GOALS
        for size in sorted(sizes[goal.measure].union(cells.sizes(goal.measure)))
    ]


def _verdict(cells: Cells, goal: Goal, size: int) -> Verdict:
    ours = cells.get(goal.measure, size, OURS)
    theirs = cells.get(goal.measure, size, goal.against) if goal.against else None
    values = (ours.value if ours else None), (theirs.value if theirs else None)
    if ours is None:
        return Verdict(goal, size, None, *values, missing=OURS)
    if not goal.against:
        ratio = Ratio(ours.value, min(ours.samples), max(ours.samples), len(ours.samples))
        return Verdict(goal, size, ratio, *values)
    if theirs is None:
        return Verdict(goal, size, None, *values, missing=goal.against)
    compared = cells.ratio(goal.measure, size, OURS, goal.against)
    if compared is None:
        # Nothing by nothing is equal; something by nothing is more than any goal allows.
        equal = 1.0 if ours.value == 0 else math.inf
        compared = Ratio(equal, equal, equal, 1)
    return Verdict(goal, size, compared, *values)
