"""Kinds that need not be served (R17): waited for without noise, picked up without restart, dropped when certain."""

from __future__ import annotations

from informers import Deleted, ObjectKey
from tests.informers.rig import DEPLOYMENTS, WHOLE_NOTES, WIDGETS, Rig, make_api, noted
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import run_virtual


def make(api: FakeApi, *, optional: bool = True) -> Rig:
    return Rig(api, resource=WIDGETS, projection=WHOLE_NOTES, optional=optional)


def test_a_missing_kind_is_synced_empty_and_not_available() -> None:
    async def main() -> None:
        rig = make(make_api())
        async with rig.running():
            assert rig.informer.has_synced
            assert rig.registration.has_synced
            assert not rig.informer.available
            await rig.settle(3600)
            assert 55 <= len(rig.api.requests) <= 125, "once in 30 to 60 seconds"
            assert rig.observer.of("attempt_failed") == [], "and without noise"
            assert rig.observer.of("availability") == [{0: WIDGETS, "available": False}]
            assert rig.informer.status().state == "absent"

    run_virtual(main())


def test_a_kind_that_is_installed_later_is_found_by_itself() -> None:
    async def main() -> None:
        rig = make(make_api())
        async with rig.running():
            await rig.settle(100)
            rig.api.serve(WIDGETS, custom=True)
            rig.api.create(WIDGETS, "w", annotations=noted())
            await rig.settle(61)
            assert rig.informer.available
            assert rig.rows == {"w": "x"}
            assert rig.told == ["+w"]

    run_virtual(main())


def test_a_poke_finds_it_at_once() -> None:
    async def main() -> None:
        rig = make(make_api())
        async with rig.running():
            await rig.settle(100)
            rig.api.serve(WIDGETS, custom=True)
            rig.informer.poke()
            await rig.settle()
            assert rig.informer.available

    run_virtual(main())


def test_a_poke_while_all_is_well_does_nothing() -> None:
    async def main() -> None:
        api = make_api()
        api.serve(WIDGETS, custom=True)
        rig = make(api)
        async with rig.running():
            rig.informer.poke()
            await rig.settle(10)
            assert api.verbs() == ["watchlist"]

    run_virtual(main())


def test_a_removed_kind_empties_the_store_with_tombstones() -> None:
    async def main() -> None:
        api = make_api()
        api.serve(WIDGETS, custom=True)
        api.create(WIDGETS, "w", annotations=noted())
        rig = make(api)
        async with rig.running():
            api.silence_streams()  # the deletions of the objects themselves are not heard
            api.remove_kind(WIDGETS)
            api.cut_streams()
            await rig.settle(90)
            assert rig.told == ["+w!", "-w?"]
            assert not rig.informer.available
            assert "get" in api.verbs(), "discovery was asked before anything was dropped"
            api.serve(WIDGETS, custom=True)
            api.create(WIDGETS, "w", annotations=noted("again"))
            await rig.settle(61)
            assert rig.told == ["+w"]

    run_virtual(main())


def test_a_404_that_discovery_does_not_confirm_drops_nothing() -> None:
    """A server that is starting answers 404 for custom resources that it has not loaded yet."""

    async def main() -> None:
        api = make_api()
        api.serve(WIDGETS, custom=True)
        api.create(WIDGETS, "w", annotations=noted())
        rig = make(api)
        async with rig.running():
            api.hide_kind(WIDGETS)
            await rig.settle(90)
            assert rig.told == ["+w!"]
            assert rig.informer.available
            api.unhide_kind(WIDGETS)
            await rig.settle(70)
            assert rig.rows == {"w": "x"}
            assert rig.told == []

    run_virtual(main())


def test_a_404_while_discovery_fails_drops_nothing() -> None:
    async def main() -> None:
        api = make_api()
        api.serve(WIDGETS, custom=True)
        api.create(WIDGETS, "w", annotations=noted())
        rig = make(api)
        async with rig.running():
            api.hide_kind(WIDGETS)
            api.fail(Answer(503, "ServiceUnavailable"), verb="get", times=1000)
            await rig.settle(300)
            assert rig.rows == {"w": "x"}

    run_virtual(main())


def test_a_kind_that_is_required_waits_unsynced_and_says_so() -> None:
    async def main() -> None:
        rig = make(make_api(), optional=False)
        async with rig.running(synced=False):
            await rig.settle(600)
            assert not rig.informer.has_synced
            assert len(rig.api.requests) <= 21
            assert "404" in rig.informer.status().last_error
            failures = [seen["repeated"] for seen in rig.observer.of("attempt_failed")]
            assert failures.count(False) == 1
            rig.api.serve(WIDGETS, custom=True)
            rig.informer.poke()
            await rig.settle()
            assert rig.informer.has_synced

    run_virtual(main())


def test_a_required_kind_that_vanishes_keeps_its_rows() -> None:
    async def main() -> None:
        api = make_api()
        api.serve(WIDGETS, custom=True)
        api.create(WIDGETS, "w", annotations=noted())
        rig = make(api, optional=False)
        async with rig.running():
            api.hide_kind(WIDGETS)
            await rig.settle(300)
            assert rig.rows == {"w": "x"}
            assert rig.informer.available

    run_virtual(main())


def test_the_other_kinds_do_not_notice() -> None:
    async def main() -> None:
        api = make_api()
        api.create(DEPLOYMENTS, "d", annotations=noted())
        rig = make(api)
        others = rig.factory.informer(DEPLOYMENTS, WHOLE_NOTES)
        async with rig.running():
            assert others.store.get(ObjectKey("ns", "d")) is not None
            assert not any(isinstance(delta, Deleted) for delta in rig.deltas)

    run_virtual(main())
