"""The measure of overrides, in small: its targets really are decided by two layers, and no two are alike."""

from __future__ import annotations

from bench.measures.overrides import _target, overrides
from bench.progress import Progress


def test_every_target_has_overrides_of_its_own() -> None:
    [figure] = overrides(Progress(), rounds=2, targets=30)
    assert len(figure.samples) == 2
    assert len({_target(number)[0].annotations for number in range(1000)}) == 1000
