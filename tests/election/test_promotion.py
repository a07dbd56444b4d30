"""The barrier of L14: nothing is planned before the caches show what the last leader wrote."""

from __future__ import annotations

import asyncio

from controller.promotion import catch_up
from informers import ObjectKey
from tests.informers.rig import DEPLOYMENTS, WIDGETS, Rig, make_api, noted
from tests.support.fakeapi import Answer, FakeApi, Refuse
from tests.support.virtualtime import run_virtual

A = ObjectKey("ns", "a")


def one() -> FakeApi:
    api = make_api(DEPLOYMENTS, WIDGETS)
    api.create(DEPLOYMENTS, "a", annotations=noted("1"))
    return api


def test_a_cache_that_lags_is_waited_for_and_catches_up_at_once() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.silence_streams()
            rig.api.update(DEPLOYMENTS, A, annotations=noted("what the last leader wrote"))
            await rig.settle(5)
            assert rig.rows == {"a": "1"}
            before = asyncio.get_running_loop().time()
            await catch_up(rig.api, rig.clock, [rig.informer])
            assert rig.rows == {"a": "what the last leader wrote"}
            assert asyncio.get_running_loop().time() - before < 0.1

    run_virtual(main())


def test_a_cache_that_is_up_to_date_costs_one_request() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            before = len(rig.api.requests)
            await catch_up(rig.api, rig.clock, [rig.informer])
            (asked,) = rig.api.requests[before:]
            assert (asked.verb, dict(asked.query)) == ("list", {"limit": "1"}), "no version named: a consistent read"
            assert "PartialObjectMetadataList" in asked.accept

    run_virtual(main())


def test_what_others_count_up_does_not_make_a_quiet_resource_wait_for_a_bookmark() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            for number in range(50):
                rig.api.create(WIDGETS, f"w{number}")
            before = asyncio.get_running_loop().time()
            await catch_up(rig.api, rig.clock, [rig.informer])
            assert asyncio.get_running_loop().time() - before < 0.1
            assert rig.informer.store.last_sync_rv() == rig.api.revision

    run_virtual(main())


def test_without_an_answer_nothing_goes_on() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Refuse(), verb="list", times=3)
            rig.api.fail(Answer(403, "Forbidden"), verb="list", times=2)
            before = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(catch_up(rig.api, rig.clock, [rig.informer]))
                await asyncio.sleep(2)
                assert not task.done()
            assert asyncio.get_running_loop().time() - before < 10

    run_virtual(main())


def test_each_watched_namespace_has_to_catch_up() -> None:
    async def main() -> None:
        api = one()
        api.create(DEPLOYMENTS, "b", namespace="other", annotations=noted("1"))
        rig = Rig(api, namespaces=("ns", "other"))
        async with rig.running():
            api.silence_streams()
            api.update(DEPLOYMENTS, ObjectKey("other", "b"), annotations=noted("2"))
            await catch_up(api, rig.clock, [rig.informer])
            assert rig.rows == {"a": "1", "b": "2"}
            lists = [seen.path for seen in api.requests if seen.verb == "list"]
            assert lists == [DEPLOYMENTS.collection_path("ns"), DEPLOYMENTS.collection_path("other")]

    run_virtual(main())


def test_a_loss_ends_the_waiting() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Refuse(), times=10**6)
            rig.api.cut_streams()
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(catch_up(rig.api, rig.clock, [rig.informer]))
                await asyncio.sleep(20)
                assert not task.done()
                task.cancel()

    run_virtual(main())
