"""A histogram for what happens a hundred thousand times a second.

Contract: what `prometheus_client.Histogram` exports. One event loop observes, without a lock or an object, and finds
the bucket by bisection; another thread may render meanwhile. The library's own took as long as the work queue itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Tally:
    """The observations under one set of labels."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        # A value on a bound belongs to the bucket that ends there.
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def export(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        names = [_bound(bound) for bound in (*self._bounds, float("inf"))]
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._sum)


class TallyFamily(Collector):
    """All tallies of one metric."""

    def __init__(self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]) -> None:
        self._name, self._text, self._labels, self._buckets = name, text, tuple(labels), tuple(buckets)
        self._children: dict[tuple[str, ...], Tally] = {}

    def labels(self, *values: str) -> Tally:
        """The same one each time."""
        if len(values) != len(self._labels):
            raise ValueError(f"metric {self._name}: {len(values)} values for the labels {self._labels}")
        return self._children.setdefault(values, Tally(self._buckets))

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in list(self._children.items()):
            child.export(family, values)
        return [family]


def _bound(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text
