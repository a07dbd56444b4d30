"""A collection that one may do without: refusals are waited out for a little, a right granted later is noticed."""

from __future__ import annotations

from itertools import pairwise

from informers.reflector import REFUSALS
from tests.informers.rig import NODES, NOTES, Rig, noted
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import run_virtual

FORBIDDEN = Answer(403, "Forbidden", "nodes is forbidden")
_ALWAYS = 10**6


def make(*, refused: int = _ALWAYS, dispensable: bool = True) -> Rig:
    api = FakeApi(NODES)
    api.create(NODES, "one", annotations=noted())
    api.fail(FORBIDDEN, times=refused)
    return Rig(api, resource=NODES, projection=NOTES, dispensable=dispensable)


def test_who_is_refused_for_some_time_goes_on_without() -> None:
    async def main() -> None:
        rig = make()
        async with rig.running():
            assert rig.informer.has_synced
            assert not rig.informer.available
            assert rig.rows == {}
            assert rig.informer.status().state == "absent"

    run_virtual(main())


def test_a_server_that_has_just_started_and_refuses_everybody_is_waited_for() -> None:
    async def main() -> None:
        rig = make(refused=REFUSALS - 1)
        async with rig.running():
            assert rig.informer.available
            assert rig.rows == {"one": "x"}

    run_virtual(main())


def test_what_nobody_can_do_without_is_waited_for() -> None:
    async def main() -> None:
        rig = make(dispensable=False)
        async with rig.running(synced=False):
            await rig.settle(3600)
            assert not rig.informer.has_synced
            assert rig.informer.available

    run_virtual(main())


def test_a_right_that_is_missing_for_good_is_hardly_asked_for() -> None:
    async def main() -> None:
        rig = make()
        async with rig.running():
            await rig.settle(480)
            busy = [later.at - earlier.at for earlier, later in pairwise(rig.api.requests)]
            assert max(busy) <= 60, "somebody who is setting it up is waiting"
            await rig.settle(24 * 3600)
            idle = [later.at - earlier.at for earlier, later in pairwise(rig.api.requests[-100:])]
            assert all(300 <= pause <= 600 for pause in idle)
            rig.api.heal()
            await rig.settle(601)
            assert rig.informer.available
            assert rig.rows == {"one": "x"}

    run_virtual(main())


def test_a_right_that_is_granted_later_is_noticed() -> None:
    async def main() -> None:
        rig = make()
        async with rig.running():
            await rig.settle(100)
            rig.api.heal()
            await rig.settle(61)
            assert rig.informer.available
            assert rig.rows == {"one": "x"}
            assert rig.told == ["+one"]

    run_virtual(main())


def test_a_right_that_is_taken_away_later_leaves_what_was_seen() -> None:
    async def main() -> None:
        rig = make(refused=0)
        async with rig.running():
            rig.api.fail(FORBIDDEN, times=_ALWAYS)
            rig.api.cut_streams()
            await rig.settle(600)
            assert rig.informer.available
            assert rig.rows == {"one": "x"}
            assert rig.informer.status().last_error, "and somebody is told"

    run_virtual(main())
