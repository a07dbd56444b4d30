"""How a collection is read: R2-R8, R16, R20 in the initial events, R21-R23, R27."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from informers import ObjectKey
from tests.informers.rig import DEPLOYMENTS, NODES, NOTES, WHOLE_NOTES, WIDGETS, Rig, make_api, noted
from tests.support import wirejson, wireproto
from tests.support.fakeapi import Answer, FakeApi, Refuse, Spoil
from tests.support.virtualtime import run_virtual

pytestmark = pytest.mark.usefixtures("encoding")


def populated(count: int = 3, **options: object) -> FakeApi:
    api = make_api(**options)
    for number in range(count):
        api.create(DEPLOYMENTS, f"d{number}", annotations=noted(str(number)))
        api.create(DEPLOYMENTS, f"plain{number}")
    return api


async def until(condition: Callable[[], bool]) -> None:
    """Let one callback after the other run until the condition holds: finer than any time."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


def test_r2_r5_one_streaming_list_and_the_same_connection_afterwards() -> None:
    async def main() -> None:
        rig = Rig(populated())
        async with rig.running():
            assert rig.told == ["+d0!", "+d1!", "+d2!"]
            rig.api.create(DEPLOYMENTS, "late", annotations=noted())
            await rig.settle()
            assert rig.told == ["+late"]
        assert rig.api.verbs() == ["watchlist"]
        query = rig.api.requests[0].query
        assert query["resourceVersion"] == ""
        assert query["resourceVersionMatch"] == "NotOlderThan"
        assert query["allowWatchBookmarks"] == query["sendInitialEvents"] == "true"

    run_virtual(main())


def test_r3_a_streaming_list_that_breaks_off_is_thrown_away_whole() -> None:
    async def main() -> None:
        rig = Rig(populated())
        rig.api.fail(Spoil(after=700, how="cut"), verb="watchlist")
        async with rig.running(synced=False):
            await rig.settle(0.1)
            assert rig.api.verbs() == ["watchlist"]
            assert rig.told == []
            assert len(rig.informer.store) == 0
            assert not rig.informer.has_synced
            await rig.factory.wait_synced(10)
            assert rig.told == ["+d0!", "+d1!", "+d2!"]

    run_virtual(main())


@pytest.mark.parametrize("how", ["cut", "close", "silence"])
def test_r3_wherever_it_breaks_off_the_end_is_the_same(how: str) -> None:
    async def main(after: int) -> None:
        rig = Rig(populated(2), seed=after)
        rig.api.fail(Spoil(after=after, how=how), verb="watchlist")
        async with rig.running():
            assert rig.told == ["+d0!", "+d1!"]
            assert set(rig.rows) == {"d0", "d1"}

    for after in range(0, 900, 37):
        run_virtual(main(after))


def test_r4_a_deletion_among_the_initial_events() -> None:
    gone = {"metadata": {"name": "early", "namespace": "ns", "uid": "u", "resourceVersion": "7"}}
    noisy = {"metadata": {**gone["metadata"], "annotations": noted()}}
    events = (("ADDED", wirejson.partial(noisy)), ("DELETED", wirejson.partial(gone)))

    async def main() -> None:
        rig = Rig(populated(1))
        rig.api.fail(Spoil(events=events), verb="watchlist")
        async with rig.running():
            assert rig.told == ["+d0!"]

    run_virtual(main())


@pytest.mark.parametrize("refusal", [Answer(422, "Invalid"), Answer(400, "BadRequest"), Answer(406, "NotAcceptable")])
def test_r6_a_server_without_streaming_lists_is_listed_and_not_asked_again_for_hours(refusal: Answer) -> None:
    async def main() -> None:
        rig = Rig(populated())
        rig.api.fail(refusal, verb="watchlist", times=100)
        async with rig.running():
            assert rig.told == ["+d0!", "+d1!", "+d2!"]
            assert rig.api.verbs() == ["watchlist", "list"]
            for _ in range(3):
                rig.api.compact()
                rig.api.create(DEPLOYMENTS, "x")
                rig.api.compact()
                rig.api.cut_streams()
                await rig.settle(200)
            assert rig.api.verbs().count("watchlist") == 1
            assert rig.api.verbs().count("list") == 4
            assert rig.told == []
            await rig.settle(8 * 3600)
            rig.api.create(DEPLOYMENTS, "y")
            rig.api.compact()
            rig.api.cut_streams()
            await rig.settle(200)
            assert rig.api.verbs().count("watchlist") == 2

    run_virtual(main())


@pytest.mark.parametrize("how", ["silence", "close"])
def test_r6_a_server_that_never_ends_its_initial_events_is_listed(how: str) -> None:
    async def main() -> None:
        rig = Rig(populated())
        # The stream carries everything but the bookmark, as servers do that do not know the parameters.
        drop = b"initial-events-end"
        rig.api.fail(
            Spoil(after=wire_size(rig.api), how=how, rewrite=lambda data: b"" if drop in data else data),
            verb="watchlist",
            times=100,
        )
        async with rig.running():
            assert rig.told == ["+d0!", "+d1!", "+d2!"]
            assert rig.api.verbs() == ["watchlist", "watchlist", "list"]

    def wire_size(api: FakeApi) -> int:
        objects = api.snapshot()[1][DEPLOYMENTS.collection_path()].values()
        wire = wireproto if api.protobuf else wirejson
        return sum(len(wire.event("ADDED", wirejson.partial(document))) for document in objects)

    run_virtual(main())


def test_r7_the_first_read_is_consistent_and_a_relist_is_not_older_than_what_is_known() -> None:
    async def main() -> None:
        rig = Rig(populated())
        async with rig.running():
            known = str(rig.api.revision)
            rig.api.cut_streams()
            rig.api.create(DEPLOYMENTS, "unseen", annotations=noted())
            rig.api.compact()
            await rig.settle(30)
            assert rig.api.verbs() == ["watchlist", "watch", "watchlist"]
            assert [seen.query["resourceVersion"] for seen in rig.api.requests] == ["", known, known]
            assert "unseen" in rig.rows

    run_virtual(main())


def test_r8_pages_carry_the_token_and_no_version_and_the_first_page_counts() -> None:
    async def main() -> None:
        api = make_api()
        api.streaming_lists = False
        for number in range(1203):
            api.create(DEPLOYMENTS, f"d{number:04}", annotations=noted())
        rig = Rig(api)
        async with rig.running():
            assert len(rig.informer.store) == 1203
            lists = [seen.query for seen in api.requests if seen.verb == "list"]
            assert [query.get("limit") for query in lists] == ["500"] * 3
            assert ["continue" in query for query in lists] == [False, True, True]
            assert all("resourceVersion" not in query for query in lists)
            assert rig.informer.store.last_sync_rv() == api.revision

    run_virtual(main())


def test_r8_a_token_that_expires_under_way_means_one_read_in_one_piece() -> None:
    async def main() -> None:
        api = make_api()
        api.streaming_lists = False
        for number in range(700):
            api.create(DEPLOYMENTS, f"d{number:04}", annotations=noted())
        rig = Rig(api)
        async with rig.running(synced=False):
            await until(lambda: "list" in api.verbs())
            api.delete(DEPLOYMENTS, ObjectKey("ns", "d0000"))
            api.compact()
            await rig.factory.wait_synced(10)
            assert len(rig.informer.store) == 699
            assert [seen.query.get("limit") for seen in api.requests if seen.verb == "list"] == ["500", "500", None]

    run_virtual(main())


@pytest.mark.parametrize("projection", [NOTES, WHOLE_NOTES])
@pytest.mark.parametrize("streaming", [True, False])
def test_d3_metadata_only_asks_for_partial_objects(projection: object, streaming: bool) -> None:
    async def main() -> None:
        api = populated(1)
        api.streaming_lists = streaming
        rig = Rig(api, projection=projection)  # type: ignore[arg-type]
        async with rig.running():
            assert rig.rows == {"d0": "0"}
            reduced = ["as=PartialObjectMetadata" in seen.accept for seen in api.requests]
            assert reduced == [projection is NOTES] * len(reduced)

    run_virtual(main())


@pytest.mark.parametrize("streaming", [True, False])
def test_custom_resources_are_read_whole(streaming: bool) -> None:
    async def main() -> None:
        api = make_api()
        api.streaming_lists = streaming
        api.serve(WIDGETS, custom=True)
        api.create(WIDGETS, "w", annotations=noted("n"), spec={"size": 3}, managedFields=[{"manager": "m"}])
        rig = Rig(api, resource=WIDGETS, projection=WHOLE_NOTES)
        async with rig.running():
            assert rig.rows == {"w": "n"}

    run_virtual(main())


def test_cluster_scoped_objects_have_an_empty_namespace() -> None:
    async def main() -> None:
        api = make_api(NODES)
        api.create(NODES, "n1", annotations=noted())
        rig = Rig(api, resource=NODES, namespaces=("a", "b"))
        async with rig.running():
            assert rig.informer.store.get(ObjectKey("", "n1")) is not None
            assert len(api.requests) == 1

    run_virtual(main())


@pytest.mark.parametrize("streaming", [True, False])
def test_r20_an_object_that_cannot_be_projected_keeps_its_row_through_a_relist(streaming: bool) -> None:
    async def main() -> None:
        api = populated(2)
        api.streaming_lists = streaming
        rig = Rig(api)
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            api.cut_streams()
            api.update(DEPLOYMENTS, ObjectKey("ns", "d0"), annotations=noted("poison"))
            api.delete(DEPLOYMENTS, ObjectKey("ns", "d1"))
            api.compact()
            await rig.settle(30)
            assert rig.told == ["-d1?"]
            assert rig.rows == {"d0": "0"}
            assert rig.observer.of("decode_failed")[-1][1] == ObjectKey("ns", "d0")
            assert rig.informer.status().undecodable == 1
            api.update(DEPLOYMENTS, ObjectKey("ns", "d0"), annotations=noted("well"))
            await rig.settle()
            assert rig.told == ["~d0"]
            assert rig.informer.status().undecodable == 0

    run_virtual(main())


def test_r22_an_object_of_three_mebibytes() -> None:
    async def main() -> None:
        rig = Rig(populated(1, chunk=65536))
        async with rig.running():
            rig.api.create(DEPLOYMENTS, "big", annotations={**noted(), "blob": "x" * (3 << 20)})
            await rig.settle()
            assert "big" in rig.rows

    run_virtual(main())


def test_a_refused_connection_at_the_start_is_waited_out() -> None:
    async def main() -> None:
        rig = Rig(populated(1))
        rig.api.fail(Refuse(), times=3)
        async with rig.running():
            assert rig.told == ["+d0!"]
            assert rig.api.verbs() == ["watchlist"] * 4

    run_virtual(main())


def test_h7_an_empty_collection_is_synced() -> None:
    async def main() -> None:
        rig = Rig(make_api())
        async with rig.running():
            assert rig.informer.has_synced
            assert rig.told == []

    run_virtual(main())
