"""Kinds that need not be served (R17): waited for without noise, picked up without restart, dropped when certain."""

from __future__ import annotations

import pytest

from informers import Deleted, ObjectKey
from informers.apiservices import API_SERVICE
from tests.informers.rig import DEPLOYMENTS, WHOLE_NOTES, WIDGETS, Rig, make_api, noted
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import run_virtual


def make(api: FakeApi, *, optional: bool = True) -> Rig:
    return Rig(api, resource=WIDGETS, projection=WHOLE_NOTES, optional=optional)


def install(api: FakeApi, *, note: str = "x") -> None:
    """The kind, and one object of it."""
    api.serve(WIDGETS, custom=True)
    api.create(WIDGETS, "w", annotations=noted(note))


def make_following(*registered: str, optional: bool = True) -> Rig:
    """An informer of a kind that is not there, which is told of the groups that come."""
    api = make_api(DEPLOYMENTS, API_SERVICE)
    for name in registered:
        api.create(API_SERVICE, name)
    rig = make(api, optional=optional)
    rig.factory.follow_api_services()
    return rig


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
            install(rig.api)
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


def looks(api: FakeApi) -> int:
    """How often it was looked for the kind."""
    return sum("widgets" in request.path for request in api.requests)


def test_a_kind_whose_group_the_server_does_not_have_is_not_looked_for() -> None:
    async def main() -> None:
        rig = make_following("v1.apps")
        async with rig.running():
            assert rig.informer.has_synced, "nobody waits for APIServices"
            await rig.settle(12 * 3600)
            assert 12 <= looks(rig.api) <= 26, "once or twice an hour"
            install(rig.api)
            rig.api.create(API_SERVICE, "v1.example.com")
            await rig.settle(1)
            assert rig.rows == {"w": "x"}

    run_virtual(main())


@pytest.mark.parametrize("optional", [True, False])
def test_a_group_that_comes_before_its_kind_has_it_looked_for_soon(optional: bool) -> None:
    """The server tells of a CRD's group before it serves the kind, and before each of several instances does."""

    async def main() -> None:
        rig = make_following(optional=optional)
        async with rig.running(synced=optional):
            await rig.settle(3600)
            rig.api.create(API_SERVICE, "v1.example.com")
            await rig.settle(1)
            assert not rig.rows
            install(rig.api)
            await rig.settle(5)
            assert rig.rows == {"w": "x"}

    run_virtual(main())


def test_a_kind_that_is_being_set_up_is_no_failure() -> None:
    """A real server answers 429 for a moment: storage is (re)initializing."""

    async def main() -> None:
        rig = make_following()
        async with rig.running():
            await rig.settle(3600)
            rig.api.serve(WIDGETS, custom=True)
            rig.api.fail(Answer(429, "TooManyRequests"), resource=WIDGETS, times=2)
            rig.api.create(API_SERVICE, "v1.example.com")
            await rig.settle(10)
            assert rig.informer.available
            assert rig.observer.of("attempt_failed") == []
            rig.api.fail(Answer(429, "TooManyRequests"), resource=WIDGETS)
            rig.api.cut_streams()
            await rig.settle(10)
            assert len(rig.observer.of("attempt_failed")) > 0, "of a kind that is there it is one"

    run_virtual(main())


def test_a_group_whose_kind_never_comes_is_looked_at_once_a_minute_at_most_in_the_end() -> None:
    async def main() -> None:
        rig = make_following("v1.example.com")
        async with rig.running():
            await rig.settle(600)
            before = looks(rig.api)
            await rig.settle(3600)
            assert 55 <= looks(rig.api) - before <= 125

    run_virtual(main())


def test_who_may_not_read_registrations_looks_as_if_there_were_none() -> None:
    async def main() -> None:
        rig = make_following()
        rig.api.fail(Answer(403, "Forbidden"), resource=API_SERVICE, times=1000)
        async with rig.running():
            await rig.settle(300)
            rig.api.serve(WIDGETS, custom=True)
            await rig.settle(61)
            assert rig.informer.available
            assert rig.observer.of("attempt_failed") == [], "it is a help, not a need"

    run_virtual(main())


def test_a_removed_kind_empties_the_store_with_tombstones() -> None:
    async def main() -> None:
        api = make_api()
        install(api)
        rig = make(api)
        async with rig.running():
            api.silence_streams()  # the deletions of the objects themselves are not heard
            api.remove_kind(WIDGETS)
            api.cut_streams()
            await rig.settle(90)
            assert rig.told == ["+w!", "-w?"]
            assert not rig.informer.available
            assert "get" in api.verbs(), "discovery was asked before anything was dropped"
            install(api, note="again")
            await rig.settle(61)
            assert rig.told == ["+w"]

    run_virtual(main())


def test_a_404_that_discovery_does_not_confirm_drops_nothing() -> None:
    """A server that is starting answers 404 for custom resources that it has not loaded yet."""

    async def main() -> None:
        api = make_api()
        install(api)
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
        install(api)
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
        install(api)
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
