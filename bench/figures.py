"""What was measured: samples, the statistic that stands for them, the goal beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of them do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "median": median,
    "p50": median,
    "p99": lambda samples: percentile(samples, 0.99),
    "max": max,
    "mean": lambda samples: sum(samples) / len(samples),
}


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a figure should keep, or the very value that every one of its samples should have."""

    value: float
    exact: bool = False

    def __str__(self) -> str:
        return f"{'=' if self.exact else '≤'} {number(self.value)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. `group` is the measurement that it comes from, `name` is unique within it."""

    group: str
    name: str
    title: str
    unit: str
    samples: tuple[float, ...]
    statistic: str = "median"
    goal: Goal | None = None

    @property
    def value(self) -> float:
        return STATISTICS[self.statistic](self.samples)

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        if self.goal.exact:
            return all(sample == self.goal.value for sample in self.samples)
        return self.value <= self.goal.value

    def as_json(self) -> dict[str, Any]:
        goal = None if self.goal is None else {"value": self.goal.value, "exact": self.goal.exact}
        return {
            "group": self.group,
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "statistic": self.statistic,
            "value": self.value,
            "samples": list(self.samples),
            "goal": goal,
            "met": self.met,
        }


def number(value: float) -> str:
    """Three significant digits, and no exponent."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 4)}f}"


def markdown(figures: Iterable[Figure]) -> str:
    """The table that people read."""
    rows = [("figure", "value", "unit", "range (n)", "goal", "met")]
    for figure in figures:
        low, high, count = min(figure.samples), max(figure.samples), len(figure.samples)
        rows.append(
            (
                figure.title if figure.statistic in ("median", "mean") else f"{figure.title}, {figure.statistic}",
                number(figure.value),
                figure.unit,
                f"{number(low)} to {number(high)} ({count})" if count > 1 else "",
                str(figure.goal or ""),
                {None: "", True: "yes", False: "**no**"}[figure.met],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    lines = [f"| {' | '.join(row)} |" for row in padded]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
