"""A tally exports what the library's own histogram does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from controller.tally import TallyFamily

BUCKETS = (0.001, 0.5, 2.5, 10.0)
VALUES = st.floats(0, 100) | st.sampled_from(BUCKETS)


@given(st.lists(st.tuples(st.sampled_from(("a", "b")), VALUES), max_size=30))
def test_what_is_exported_is_what_a_histogram_exports(observed: list[tuple[str, float]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("x_seconds", "Seconds.", ("name",), buckets=BUCKETS, registry=theirs)
    family = TallyFamily("x_seconds", "Seconds.", ("name",), BUCKETS)
    ours.register(family)
    for name, value in observed:
        histogram.labels(name).observe(value)
        family.labels(name).observe(value)
    exported = generate_latest(theirs).decode()
    assert generate_latest(ours).decode() == "".join(
        line for line in exported.splitlines(keepends=True) if "_created" not in line
    )


def test_a_name_is_taken_once_and_labels_are_counted() -> None:
    registry = CollectorRegistry()
    family = TallyFamily("x_seconds", "Seconds.", ("name",), BUCKETS)
    registry.register(family)
    with pytest.raises(ValueError, match="x_seconds"):
        Histogram("x_seconds", "Seconds.", registry=registry)
    with pytest.raises(ValueError, match=r"metric x_seconds: 2 values for the labels \('name',\)"):
        family.labels("a", "b")
    assert family.labels("a") is family.labels("a")
