"""How the targets of a blueprint stand, counted in turns of the loop: the same as counted at once."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import outcomes as module
from controller.counting import count
from controller.outcomes import SHARE, Outcomes
from informers.resource import ObjectKey
from reconcilers.keys import Key
from reconcilers.plan import Outcome, State
from reconcilers.ports import MOST_FAILURES, SecretSight, SecretState, Summary
from reconcilers.reasons import Reason
from tests.controller.walk import finish
from tests.support.virtualtime import VirtualClock, run_virtual

FOUND = SecretSight(SecretState.FOUND)
REASONS = {
    State.CONFIGURED: Reason.CONFIGURED,
    State.WAITING: Reason.WORKLOADS_FIRST,
    State.FAILED: Reason.NAME_CONFLICT,
}


def target(number: int) -> Key:
    return Key("Deployment", "demo", f"t{number:04}")


def outcome(state: State) -> Outcome:
    return Outcome("nightly", state, REASONS[state], "", storage_secret=ObjectKey("demo", state.value))


def counting(table: Outcomes, matched: list[Key]) -> Generator[None, None, Summary]:
    return table.counting("nightly", generation=1, matched=iter(matched), secret=lambda key, wish: FOUND)


LOOKS = st.lists(st.tuples(st.integers(0, 80), st.sampled_from([None, *REASONS]), st.sampled_from([1, 2])))


@given(looks=LOOKS, matched=st.sets(st.integers(0, 80)))
def test_the_count_is_that_of_the_last_looks(looks: list[tuple[int, State | None, int]], matched: set[int]) -> None:
    """Whatever came before: nothing is kept that could be off by one."""
    table, last = Outcomes(), {}
    for number, state, generation in looks:
        table.record(target(number), () if state is None else (outcome(state),), lambda _, g=generation: g)
        last[number] = (state, generation)
    stands = {number: last[number][0] for number in matched if last.get(number, (None, 0))[1] == 1}
    failed = sorted(target(number) for number, state in stands.items() if state is State.FAILED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARE", 3)
        pauses = 0
        walk = counting(table, [target(number) for number in matched])
        while True:
            try:
                next(walk)
                pauses += 1
            except StopIteration as end:
                found = end.value
                break
    assert pauses == len(matched) // 3
    assert (found.matched, found.failed) == (len(matched), len(failed))
    assert found.configured == list(stands.values()).count(State.CONFIGURED)
    assert found.pending == found.matched - found.configured - found.failed
    assert [key for key, _ in found.failures] == failed[:MOST_FAILURES]
    used = {state.value for state in stands.values() if state is not None}
    assert found.secrets == tuple((ObjectKey("demo", name), FOUND) for name in sorted(used))


def test_what_changes_in_a_pause_disturbs_nothing_and_is_told() -> None:
    everybody = [target(number) for number in range(3 * SHARE)]
    table = Outcomes()
    for key in everybody:
        table.record(key, (outcome(State.CONFIGURED),), lambda name: 1)
    walk = counting(table, everybody)
    for _ in islice(walk, 1):
        for key in everybody:
            _, touched = table.record(key, (), lambda name: 1)
            assert touched == {"nightly"}, "so it is counted again"
        table.record(everybody[-1], (outcome(State.FAILED),), lambda name: 1)
    assert finish(walk).matched == 3 * SHARE
    again = finish(counting(table, everybody[-1:]))
    assert (again.matched, again.failed) == (1, 1)


def test_others_get_their_turns_meanwhile() -> None:
    class View:
        def blueprint(self, name: str) -> None:
            return None

        def counting(self, blueprint: str) -> Generator[None, None, Summary]:
            return counting(Outcomes(), [target(number) for number in range(20 * SHARE)])

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        found = await count(View(), "nightly", VirtualClock())
        task.cancel()
        await asyncio.wait([task])
        assert found.summary("nightly").pending == 20 * SHARE
        assert turns >= 19

    run_virtual(main())
