"""A few random runs; `make soak` tells more, and how one that fails is told again."""

from __future__ import annotations

import pytest

from tests.worlds import tales
from tests.worlds.disturbances import Crash, Late, Lost
from tests.worlds.people import Step, create
from tests.worlds.tales import Tale

TALES = 64
SHARE = 16


@pytest.mark.parametrize("first", range(0, TALES, SHARE))
def test_tales(first: int) -> None:
    found = []
    for seed in range(first, first + SHARE):
        told, calm = tales.tale(seed)
        problems = tales.judge(Tale(seed, told.steps), calm, calm) or tales.judge(told, tales.tell(told), calm)
        if problems:
            found += [f"{told}", *problems, f"again: python -m tests.worlds.soak --seed {seed}"]
    assert not found, "\n".join(found)


def test_a_seed_tells_one_tale() -> None:
    (one, first), (other, second) = tales.tale(7), tales.tale(7)
    assert str(one) == str(other)
    assert (first.requests, first.events, first.state) == (second.requests, second.events, second.state)


def test_a_tale_that_fails_is_told_without_what_does_not_matter() -> None:
    steps = tuple(Step(name, create("Deployment")) for name in "abc")
    told = Tale(1, steps, (Late(1, 2.0), Crash(3, "before"), Lost(4, "cut")), processes=2)
    asked = 0

    def fails(candidate: Tale) -> bool:
        nonlocal asked
        asked += 1
        return Crash(3, "before") in candidate.disturbances and any(step.name == "b" for step in candidate.steps)

    least = tales.shrink(told, fails)
    assert least.disturbances == (Crash(3, "before"),)
    assert [step.name for step in least.steps] == ["b"]
    assert least.processes == 1
    assert asked < 30
