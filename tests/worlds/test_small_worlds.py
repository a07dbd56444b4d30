"""Every small world, disturbed once in every way: all crashes, and of the other disturbances every n-th.

`make soak` leaves out none; see soak.py for what a failure prints and how it is played again.
"""

from __future__ import annotations

import functools
from itertools import islice

import pytest

from controller.pace import BURST, SECONDS
from tests.worlds import people as p
from tests.worlds.disturbances import Crash, Disturbance, Frozen, Refusal
from tests.worlds.judgement import judge
from tests.worlds.oracle import differences
from tests.worlds.scenarios import LATECOMER, SCENARIOS
from tests.worlds.sweep import SWEEPS, unlike_others
from tests.worlds.world import Run, Scenario, play

STRIDE = {"crashes": 1, "refusals": 13, "losses": 7, "freezes": 9}


@functools.lru_cache
def calm_run(name: str) -> Run:
    return play(SCENARIOS[name])


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_calm_run(name: str) -> None:
    calm = calm_run(name)
    assert not judge(calm, calm)
    assert calm.settled_after < 3.0


@pytest.mark.parametrize("kind", SWEEPS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_disturbed_once(name: str, kind: str) -> None:
    calm = calm_run(name)
    # Each scenario begins its strides elsewhere, so that together they pass by every kind of moment.
    offset = list(SCENARIOS).index(name) % STRIDE[kind]
    found = [
        problem
        for disturbance in islice(unlike_others(SWEEPS[kind](calm), calm), offset, None, STRIDE[kind])
        for problem in judge(play(calm.scenario, disturbance, expected=calm.state), calm)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seed", range(2))
def test_two_operators_at_once(name: str, seed: int) -> None:
    """Nothing keeps two processes from working at the same time for a moment, whatever a lease says."""
    calm = calm_run(name)
    run = play(calm.scenario, expected=calm.state, processes=2, seed=seed)
    found = judge(run, calm, processes=2)
    assert not found, "\n".join(found)


def test_two_operators_that_know_different_things_do_not_fight_without_pause() -> None:
    """One of them could not look at the storage Secret: each wrote the status back that the other one wrote."""
    calm = calm_run("create")
    both = play(calm.scenario, processes=2)
    review = next(number for number, what in enumerate(both.requests, start=1) if "subjectaccess" in what)
    # To its end: while they do not agree, all is as expected every now and then.
    run = play(calm.scenario, Refusal(review, 500), processes=2)
    assert not differences(run.state, calm.state)
    assert not run.unrest
    times = [change.at for change in run.writes if change.resource.kind == "BackupBlueprint"]
    assert len(times) > 2 * BURST, "they do not agree"
    assert max(len([at for at in times if start <= at < start + SECONDS]) for start in times[2 * BURST + 4 :]) <= 4


def test_a_location_is_not_given_twice_while_the_caches_lag() -> None:
    """The second target comes when the first one's claim is more than a minute old, and no cache shows why."""
    calm = play(LATECOMER)
    for revision in range(calm.first_revision, calm.last_revision):
        run = play(LATECOMER, Frozen(revision, 90.0, ("repositories",)), expected=calm.state)
        found = judge(run, calm)
        assert not found, "\n".join(found)


def test_the_oracle_sees_a_lost_object() -> None:
    calm = calm_run("create")
    run = play(calm.scenario)
    del run.state["Repository demo/pvc-shop"]
    assert any("Repository demo/pvc-shop is missing" in problem for problem in judge(run, calm))


def test_the_oracle_sees_too_many_writes() -> None:
    calm = calm_run("create")
    run = play(calm.scenario)
    run.writes *= 2
    assert any("writes" in problem for problem in judge(run, calm))


def test_the_oracle_sees_a_deletion_that_nobody_wanted() -> None:
    scenario = Scenario(
        "x",
        (p.Step("x", p.delete_configuration("pvc-shop"), once=p.has_configuration("pvc-shop")),),
        before=SCENARIOS["opt out and return"].before,
    )
    run = play(scenario)
    guilty = next(change for change in run.server.journal if change.verb == "delete")
    index = run.server.journal.index(guilty)
    run.server.journal[index] = type(guilty)(
        *(getattr(guilty, f) if f != "who" else "operator-1" for f in guilty.__slots__)
    )
    run.server.looks.append(("operator-1", "/api/v1/namespaces/demo/persistentvolumeclaims/shop", guilty.at))
    assert any("which was wanted" in problem for problem in judge(run, run))


def test_a_disturbance_can_be_written_down_and_read_again() -> None:
    disturbance: Disturbance = Crash(7, "after")
    assert eval(repr(disturbance)) == disturbance
