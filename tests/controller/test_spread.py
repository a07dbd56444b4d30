"""Fan-outs are queued in shares."""

from __future__ import annotations

import asyncio

from controller.priorities import FAN_OUT, USER_EVENT
from controller.spread import SHARE, Spread
from controller.workqueue import WorkQueue
from reconcilers.keys import Key
from tests.support.virtualtime import LoopClock, run_scenario


def keys(name: str, count: int) -> list[Key]:
    return [Key("Deployment", "shop", f"{name}-{number}") for number in range(count)]


def test_t8_a_fan_out_is_queued_one_share_a_turn_and_what_a_person_does_passes_it() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        spread = Spread(queue)
        spread.queue(keys("target", 2 * SHARE + 7), reason="blueprint nightly changed")
        assert queue.depth()[FAN_OUT] == SHARE
        await asyncio.sleep(0)
        assert queue.depth()[FAN_OUT] == 2 * SHARE
        person = Key("Deployment", "shop", "annotated")
        queue.add(person, priority=USER_EVENT)
        assert await queue.get() == person
        await asyncio.sleep(0)
        assert queue.depth()[FAN_OUT] == 2 * SHARE + 7
        await asyncio.sleep(0)
        assert queue.depth()[FAN_OUT] == 2 * SHARE + 7

    run_scenario(scenario)


def test_t8_several_fan_outs_share_a_turn_and_none_is_lost() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        spread = Spread(queue)
        wanted: list[Key] = []
        for name, count in (("a", 3 * SHARE), ("b", SHARE), ("c", SHARE + 1), ("d", 1)):
            found = keys(name, count)
            wanted += found
            spread.queue(iter(found), reason=name)
        depth = queue.depth()[FAN_OUT]
        while depth < len(wanted):
            await asyncio.sleep(0)
            assert queue.depth()[FAN_OUT] <= depth + SHARE, "one share a turn, of all of them together"
            depth = queue.depth()[FAN_OUT]
        assert {item.key for item in queue.items()} == set(wanted)

    run_scenario(scenario)


def test_t8_a_fan_out_over_as_many_keys_as_a_share_has_an_end() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        Spread(queue).queue(keys("target", SHARE), reason="")
        for _ in range(3):
            await asyncio.sleep(0)
        assert queue.depth()[FAN_OUT] == SHARE

    run_scenario(scenario)
