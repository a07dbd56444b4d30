"""What was measured: for each measure, size and contestant the samples, in the order of the turns.

A cell is compared with another by the ratio within each turn; the median of these ratios stands for it. Counts are
compared as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured, by the part of a run that measures it. `counted`: the same on every machine."""

    group: str
    name: str
    title: str
    unit: str
    counted: bool = False
    more_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Samples of one contestant; `size` is the number of objects or of targets."""

    measure: str
    size: int
    contestant: str
    samples: tuple[float, ...]

    @property
    def value(self) -> float:
        return median(self.samples)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours by theirs."""

    value: float
    low: float
    high: float
    turns: int


class Cells:
    """All of a run."""

    def __init__(self, cells: Iterable[Cell] = ()) -> None:
        self._samples: dict[tuple[str, int, str], list[float]] = {}
        for cell in cells:
            self.add(cell.measure, cell.size, cell.contestant, *cell.samples)

    def __iter__(self) -> Iterator[Cell]:
        for (measure, size, contestant), samples in self._samples.items():
            yield Cell(measure, size, contestant, tuple(samples))

    def add(self, measure: str, size: int, contestant: str, *samples: float) -> None:
        self._samples.setdefault((measure, size, contestant), []).extend(samples)

    def extend(self, others: Cells) -> None:
        """Samples of one more turn."""
        for cell in others:
            self.add(cell.measure, cell.size, cell.contestant, *cell.samples)

    def forget(self, measures: Collection[str], size: int) -> None:
        self._samples = {
            key: samples for key, samples in self._samples.items() if key[0] not in measures or key[1] != size
        }

    def get(self, measure: str, size: int, contestant: str) -> Cell | None:
        samples = self._samples.get((measure, size, contestant))
        return Cell(measure, size, contestant, tuple(samples)) if samples else None

    def sizes(self, measure: str) -> list[int]:
        return sorted({size for name, size, _ in self._samples if name == measure})

    def contestants(self, measure: str) -> list[str]:
        """In the order in which they first ran."""
        return list(dict.fromkeys(contestant for name, _, contestant in self._samples if name == measure))

    def ratio(self, measure: str, size: int, ours: str, theirs: str) -> Ratio | None:
        above, below = self.get(measure, size, ours), self.get(measure, size, theirs)
        if above is None or below is None:
            return None
        pairs = list(zip(above.samples, below.samples, strict=False))
        if any(under == 0 for _, under in pairs):
            return None
        ratios = [over / under for over, under in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios), len(ratios))

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "measure": cell.measure,
                "size": cell.size,
                "contestant": cell.contestant,
                "value": cell.value,
                "samples": [_rounded(sample) for sample in cell.samples],
            }
            for cell in self
        ]

    @classmethod
    def of_json(cls, found: Sequence[Mapping[str, Any]]) -> Cells:
        return cls(
            Cell(entry["measure"], entry["size"], entry["contestant"], tuple(entry["samples"])) for entry in found
        )


def _rounded(value: float) -> float:
    """Six significant digits: what is kept in a repository need not be longer."""
    return float(f"{value:.6g}")
