"""The note that a leader leaves for the next one (L14): what is in it, and what is made of it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from controller.applier import Written
from controller.barrier import WriteBarrier
from controller.handover import tell, understand
from controller.lease import NOTE, held_by, read, released
from controller.promotion import catch_up
from informers.resource import ObjectKey
from reconcilers.keys import Key
from tests.election.nodes import World, until
from tests.informers.rig import DEPLOYMENTS, WIDGETS, Rig, make_api, noted
from tests.support.virtualtime import run_virtual

A = ObjectKey("ns", "a")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = ObjectKey("system", "autobackup")


def own(newest: int = 0) -> WriteBarrier:
    barrier = WriteBarrier(lambda resource, namespace: 0)
    barrier.wrote(Key("Deployment", "ns", "x"), Written(DEPLOYMENTS, A, "u", newest))
    barrier.wrote(Key("Deployment", "other", "x"), Written(WIDGETS, ObjectKey("other", "w"), "u", 10**9))
    return barrier


def test_the_note_names_the_newest_object_and_the_newest_write() -> None:
    async def main() -> None:
        rig = Rig(make_api(DEPLOYMENTS, WIDGETS))
        newest = int(rig.api.create(DEPLOYMENTS, "a", annotations=noted())["metadata"]["resourceVersion"])
        for number in range(5):
            rig.api.create(WIDGETS, f"w{number}")
        async with rig.running():
            rig.api.send_bookmarks()
            await rig.settle()
            assert rig.informer.store.last_sync_rv() > newest
            assert json.loads(tell([rig.informer], own().newest)) == {"deployments.apps/v1": {"": newest}}
            assert json.loads(tell([rig.informer], own(newest + 2).newest)) == {"deployments.apps/v1": {"": newest + 2}}

    run_virtual(main())


def test_each_watched_namespace_has_its_own() -> None:
    async def main() -> None:
        api = make_api()
        revisions = {
            namespace: int(api.create(DEPLOYMENTS, "a", namespace, annotations=noted())["metadata"]["resourceVersion"])
            for namespace in ("ns", "other")
        }
        rig = Rig(api, namespaces=("ns", "other", "empty"))
        async with rig.running():
            note = tell([rig.informer], own().newest)
            assert json.loads(note) == {"deployments.apps/v1": {**revisions, "empty": 0}}
            assert understand(note, rig.informer) == {**revisions, "empty": 0}

    run_virtual(main())


@pytest.mark.parametrize(
    "note",
    [
        "",
        "x",
        "[]",
        "{}",
        "null",
        '{"deployments.apps/v1": 7}',
        '{"deployments.apps/v1": {}}',
        '{"deployments.apps/v1": {"ns": 7}}',
        '{"deployments.apps/v1": {"": "7"}}',
        '{"deployments.apps/v1": {"": -7}}',
        '{"widgets.example.com/v1": {"": 7}}',
    ],
)
def test_a_note_that_does_not_tell_means_asking_the_server(note: str) -> None:
    async def main() -> None:
        rig = Rig(make_api())
        rig.api.create(DEPLOYMENTS, "a", annotations=noted())
        async with rig.running():
            assert understand(note, rig.informer) is None
            await catch_up(rig.api, rig.clock, [rig.informer], note=note)
            assert rig.api.verbs()[-1] == "list"

    run_virtual(main())


def test_with_a_note_nothing_is_asked_and_what_it_names_is_waited_for() -> None:
    async def main() -> None:
        rig = Rig(make_api(DEPLOYMENTS, WIDGETS))
        rig.api.create(DEPLOYMENTS, "a", annotations=noted("1"))
        async with rig.running():
            before = len(rig.api.requests)
            note = json.dumps({"deployments.apps/v1": {"": rig.api.revision + 1}})
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(catch_up(rig.api, rig.clock, [rig.informer], note=note))
                await asyncio.sleep(0.1)
                assert not task.done(), "the event is not there yet"
                rig.api.update(DEPLOYMENTS, A, annotations=noted("what the last leader wrote"))
            assert rig.rows == {"a": "what the last leader wrote"}
            assert len(rig.api.requests) == before

    run_virtual(main())


def test_when_the_events_do_not_come_the_server_is_asked() -> None:
    async def main() -> None:
        rig = Rig(make_api())
        rig.api.create(DEPLOYMENTS, "a", annotations=noted("1"))
        async with rig.running():
            rig.api.silence_streams()
            rig.api.update(DEPLOYMENTS, A, annotations=noted("what the last leader wrote"))
            note = json.dumps({"deployments.apps/v1": {"": rig.api.revision}})
            await catch_up(rig.api, rig.clock, [rig.informer], note=note)
            assert rig.rows == {"a": "what the last leader wrote"}
            assert asyncio.get_running_loop().time() < 1

    run_virtual(main())


def test_a_note_is_there_while_nobody_holds_the_lease() -> None:
    held = held_by("a", seconds=15, at=NOON, key=KEY, last=None)
    held["metadata"] |= {"resourceVersion": "1", "uid": "u", "annotations": {"theirs": "x"}}
    left = released(read(held), at=NOON, note="what I know")
    assert read(left).note == "what I know"
    assert left["metadata"]["annotations"] == {"theirs": "x", NOTE: "what I know"}
    taken = held_by("b", seconds=15, at=NOON, key=KEY, last=read(left))
    assert taken["metadata"]["annotations"] == {"theirs": "x"}
    assert read(taken).note == ""
    again = released(read(taken), at=NOON)
    assert read(again).note == "", "an old note is not left by somebody who has nothing to tell"


def test_only_who_takes_it_from_the_one_who_left_it_is_told() -> None:
    async def main() -> None:
        async with World().running() as world:
            first = world.node("a")
            await world.leader()
            second = world.node("b")
            await asyncio.sleep(1)
            await first.elector.resign("a's note")
            await until(lambda: second.leads)
            assert second.elector.told == "a's note"
            third = world.node("c")
            await asyncio.sleep(1)
            second.kill()
            await until(lambda: third.leads)
            assert third.elector.told == ""
        assert not world.overlaps()

    run_virtual(main())
