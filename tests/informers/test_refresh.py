"""Reading a collection again because somebody has to know that it is up to date."""

from __future__ import annotations

import asyncio

from informers import ObjectKey
from tests.informers.rig import DEPLOYMENTS, Rig, make_api, noted
from tests.support.fakeapi import FakeApi, Spoil
from tests.support.virtualtime import run_virtual


def two() -> FakeApi:
    api = make_api()
    api.create(DEPLOYMENTS, "a", annotations=noted("1"))
    api.create(DEPLOYMENTS, "b", annotations=noted("1"))
    return api


def test_a_store_that_lags_catches_up_at_once_and_tells_what_it_missed() -> None:
    async def main() -> None:
        api = two()
        api.fail(Spoil(after=0, how="silence"), verb="watch", times=10)
        rig = Rig(api)
        async with rig.running():
            assert rig.told == ["+a!", "+b!"]
            api.silence_streams()
            api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("2"))
            api.delete(DEPLOYMENTS, ObjectKey("ns", "b"))
            await rig.settle(5)
            assert rig.told == [], "the stream is silent: nothing can be known"
            rig.informer.refresh()
            await rig.settle()
            assert rig.told == ["-b?", "~a"]
            assert rig.informer.store.last_sync_rv() == api.revision
            newest = api.requests[-1]
            assert (newest.verb, newest.query["resourceVersion"]) == ("watchlist", ""), "a consistent read"

    run_virtual(main())


def test_what_did_not_change_is_not_told_and_the_new_stream_goes_on() -> None:
    async def main() -> None:
        rig = Rig(two())
        async with rig.running():
            assert rig.told == ["+a!", "+b!"]
            rig.informer.refresh()
            rig.informer.refresh()
            await rig.settle()
            assert rig.api.verbs() == ["watchlist", "watchlist"]
            assert rig.told == []
            rig.api.create(DEPLOYMENTS, "c", annotations=noted("1"))
            await rig.settle()
            assert rig.told == ["+c"]
            assert len([stream for stream in rig.api.streams if not stream.left]) == 1

    run_virtual(main())


def test_a_refresh_that_is_asked_for_during_a_read_reads_again() -> None:
    """The read under way may have begun before what the caller has to see."""

    async def main() -> None:
        rig = Rig(two())
        async with rig.running(synced=False):
            await asyncio.sleep(0)
            rig.informer.refresh()
            await rig.settle()
            assert rig.api.verbs() == ["watchlist", "watchlist"]

    run_virtual(main())


def test_a_refresh_while_the_server_is_away_is_done_when_it_is_back() -> None:
    async def main() -> None:
        rig = Rig(two())
        async with rig.running():
            rig.api.fail(Spoil(after=0, how="cut"), times=3)
            rig.api.cut_streams()
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("2"))
            rig.informer.refresh()
            await rig.settle(120)
            assert rig.rows == {"a": "2", "b": "1"}
            assert rig.informer.store.last_sync_rv() == rig.api.revision
            before = len(rig.api.requests)
            await rig.settle(120)
            assert len(rig.api.requests) == before, "once is enough"

    run_virtual(main())
