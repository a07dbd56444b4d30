"""Handlers and sync: H1-H9, several namespaces, and what a status says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from informers import Added, Delta, Inconsistent, NotSynced, ObjectKey, Resource, Updated, check_consistency
from informers.shared import FIRST_SHARE
from tests.informers.rig import DEPLOYMENTS, NODES, NOTES, WHOLE_NOTES, WIDGETS, Rig, describe, make_api, noted
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import run_virtual


def populated(*names: str, namespace: str = "ns") -> FakeApi:
    api = make_api()
    for name in names:
        api.create(DEPLOYMENTS, name, namespace, annotations=noted(name))
    return api


def test_s5_the_store_and_its_indexes_are_complete_before_a_handler_is_told() -> None:
    async def main() -> None:
        rig = Rig(populated("a", "b"), indexes={"note": lambda row: (row.note,)})
        seen: list[tuple[str, int, bool]] = []

        def look(delta: Delta[Any]) -> None:
            row = delta.new if isinstance(delta, Updated) else delta.row
            indexed = row in rig.informer.store.index("note", row.note)
            seen.append((describe(delta), len(rig.informer.store), indexed))

        rig.informer.add_handler(look, name="look")
        async with rig.running():
            assert seen == [("+a!", 2, True), ("+b!", 2, True)]
            seen.clear()
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("new"))
            rig.api.delete(DEPLOYMENTS, ObjectKey("ns", "b"))
            await rig.settle()
            assert seen == [("~a", 2, True), ("-b", 1, False)]

    run_virtual(main())


def test_h3_a_handler_that_raises_disturbs_nobody_and_its_key_is_not_lost() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        failed: list[ObjectKey] = []

        def broken(delta: Delta[Any]) -> None:
            raise ValueError(describe(delta))

        rig.informer.add_handler(broken, name="broken", on_failure=lambda key, error: failed.append(key))
        after: list[str] = []
        rig.informer.add_handler(lambda delta: after.append(describe(delta)), name="after")
        async with rig.running():
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("2"))
            await rig.settle()
            assert rig.told == after == ["+a!", "~a"]
            assert failed == [ObjectKey("ns", "a")] * 2
            reports = rig.observer.of("handler_failed")
            assert [report[1] for report in reports] == ["broken", "broken"]
            assert rig.api.verbs() == ["watchlist"]

    run_virtual(main())


def test_h4_a_late_handler_is_given_what_is_there_and_then_what_happens() -> None:
    async def main() -> None:
        rig = Rig(populated("a", "b"))
        async with rig.running():
            late: list[str] = []
            registration = rig.informer.add_handler(lambda delta: late.append(describe(delta)), name="late")
            assert late == ["+a!", "+b!"]
            assert registration.has_synced
            rig.api.create(DEPLOYMENTS, "c", annotations=noted())
            await rig.settle()
            assert late == ["+a!", "+b!", "+c"]
            assert rig.told == ["+a!", "+b!", "+c"]

    run_virtual(main())


def test_h4_a_handler_that_joins_from_within_a_handler_has_no_gap_and_no_duplicate() -> None:
    async def main() -> None:
        rig = Rig(populated("a", "b"))
        inner: list[str] = []

        def join(delta: Delta[Any]) -> None:
            if not inner:
                rig.informer.add_handler(lambda change: inner.append(describe(change)), name="inner")

        rig.informer.add_handler(join, name="outer")
        async with rig.running():
            assert inner == ["+a!", "+b!"]

    run_virtual(main())


def test_h5_after_remove_returned_there_is_no_call() -> None:
    async def main() -> None:
        rig = Rig(populated("a", "b"))
        told: list[str] = []

        def once(delta: Delta[Any]) -> None:
            told.append(describe(delta))
            registration.remove()
            registration.remove()

        registration = rig.informer.add_handler(once, name="once")
        async with rig.running():
            assert told == ["+a!"]
            rig.api.create(DEPLOYMENTS, "c", annotations=noted())
            await rig.settle()
            assert told == ["+a!"]
            assert not registration.active

    run_virtual(main())


def test_h6_a_handler_is_synced_when_it_was_given_the_initial_rows() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        rig.api.fail(Answer(500), times=2)
        observed: list[bool] = []
        rig.informer.add_handler(lambda delta: observed.append(rig.registration.has_synced), name="look")
        async with rig.running(synced=False):
            assert not rig.registration.has_synced
            await rig.registration.wait_synced()
            assert rig.told == ["+a!"]
            assert observed == [False], "not before the last of them was handed over"

    run_virtual(main())


def test_h6_who_is_not_synced_is_named_with_its_last_error() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        rig.factory.informer(WIDGETS, WHOLE_NOTES)
        async with rig.running(synced=False):
            with pytest.raises(NotSynced, match=r"widgets\.example\.com/v1 \(.*404.*\)") as caught:
                await rig.factory.wait_synced(30)
            assert "deployments" not in str(caught.value)

    run_virtual(main())


def test_h7_an_outage_does_not_unsync() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            rig.api.fail(Answer(500), times=1000)
            rig.api.cut_streams()
            await rig.settle(600)
            assert rig.informer.has_synced
            status = rig.informer.status()
            assert status.state == "resting"
            assert "500" in status.last_error
            assert status.last_event_at is not None
            assert rig.clock.monotonic() - status.last_event_at > 500

    run_virtual(main())


def test_h8_only_the_first_complete_state_is_initial() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            rig.api.cut_streams()
            rig.api.create(DEPLOYMENTS, "b", annotations=noted())
            rig.api.compact()
            await rig.settle(20)
            assert rig.told == ["+a!", "+b"]
            assert "watchlist" in rig.api.verbs()[1:]

    run_virtual(main())


def test_h9_an_update_brings_both_rows() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("b"))
            await rig.settle()
            update = rig.deltas[-1]
            assert isinstance(update, Updated)
            assert (update.old.note, update.new.note) == ("a", "b")

    run_virtual(main())


def test_several_namespaces_are_one_store_and_one_sync() -> None:
    async def main() -> None:
        api = populated("a", namespace="one")
        api.create(DEPLOYMENTS, "b", "two", annotations=noted())
        api.create(DEPLOYMENTS, "c", "three", annotations=noted())
        rig = Rig(api, namespaces=("one", "two", "one"))
        async with rig.running():
            assert sorted(rig.told) == ["+a!", "+b!"]
            assert [seen.path for seen in api.requests] == [
                "/apis/apps/v1/namespaces/one/deployments",
                "/apis/apps/v1/namespaces/two/deployments",
            ]
            assert rig.informer.status().namespaces == ("one", "two")

    run_virtual(main())


def test_a_relist_of_one_namespace_leaves_the_others_alone() -> None:
    async def main() -> None:
        api = populated("a", namespace="one")
        api.create(DEPLOYMENTS, "b", "two", annotations=noted())
        rig = Rig(api, namespaces=("one", "two"))
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            in_one = next(stream for stream in api.streams if "/one/" in stream.attempt)
            in_one.spoil(0, "cut")
            api.delete(DEPLOYMENTS, ObjectKey("one", "a"))
            api.compact()
            await rig.settle(20)
            assert rig.told == ["-a?"]
            assert rig.get("b", "two") is not None
            marks = rig.informer.store
            assert marks.last_sync_rv("one") == api.revision
            assert marks.last_sync_rv() == min(marks.last_sync_rv("one"), marks.last_sync_rv("two"))

    run_virtual(main())


def test_one_namespace_that_fails_keeps_the_informer_unsynced() -> None:
    async def main() -> None:
        api = populated("a", namespace="one")
        rig = Rig(api, namespaces=("one", "two"))
        api.fail(Answer(403, "Forbidden"), times=1)
        async with rig.running(synced=False):
            await rig.settle(1)
            assert not rig.informer.has_synced
            await rig.settle(61)
            assert rig.informer.has_synced

    run_virtual(main())


def test_r27_three_initial_reads_at_a_time_in_the_order_of_registration() -> None:
    async def main() -> None:
        kinds = [DEPLOYMENTS, WIDGETS, NODES, *map(make_kind, range(4))]
        api = make_api(*kinds)
        rig = Rig(api, projection=NOTES)
        for kind in kinds[1:]:
            rig.factory.informer(kind, NOTES)
        api.fail(Answer(500), resource=WIDGETS)  # the second one rests and holds nobody up
        gate = Gate(api)
        async with rig.running(synced=False):
            await rig.settle(5)
            assert gate.waiting == 3
            gate.release.set()
            await rig.factory.wait_synced(60)
            order = list(dict.fromkeys(seen.path.rpartition("/")[2] for seen in api.requests))
            assert order == [kind.plural for kind in kinds]

    run_virtual(main())


def make_kind(number: int) -> Resource:
    return Resource("example.com", "v1", f"things{number}", f"Thing{number}")


class Gate:
    """Holds every stream of a server back until it is released."""

    def __init__(self, api: FakeApi) -> None:
        self.waiting = 0
        self.release = asyncio.Event()
        self._stream = api.stream
        api.stream = self._hold  # type: ignore[method-assign]

    @asynccontextmanager
    async def _hold(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.waiting += 1
        await self.release.wait()
        async with self._stream(*args, **kwargs) as chunks:
            yield chunks


def test_s12_one_cache_per_resource_unless_named() -> None:
    async def main() -> None:
        rig = Rig(make_api())
        with pytest.raises(ValueError, match=r"deployments\.apps/v1 already"):
            rig.factory.informer(DEPLOYMENTS, WHOLE_NOTES)
        named = rig.factory.informer(DEPLOYMENTS, WHOLE_NOTES, name="whole")
        assert rig.factory.informers == (rig.informer, named)
        async with rig.running():
            with pytest.raises(RuntimeError, match="register all of them first"):
                rig.factory.informer(WIDGETS, WHOLE_NOTES)

    run_virtual(main())


def test_h10_a_resync_replays_the_store_to_who_asked_for_it() -> None:
    async def main() -> None:
        rig = Rig(populated("a", "b"))
        told: list[tuple[float, str]] = []

        def hear(delta: Delta[Any]) -> None:
            told.append((rig.clock.monotonic(), describe(delta)))

        async with rig.running():
            registration = rig.informer.add_handler(hear, name="again", resync=100)
            await rig.settle(1000)
            assert [what for _, what in told[:6]] == ["+a!", "+b!", "~a", "~b", "~a", "~b"]
            times = sorted({at for at, _ in told})
            gaps = [later - earlier for earlier, later in pairwise(times)]
            assert 9 <= len(gaps) <= 12
            assert all(89.9 <= gap <= 110.1 for gap in gaps)
            assert rig.told == ["+a!", "+b!"], "nobody else notices"
            registration.remove()
            told.clear()
            await rig.settle(1000)
            assert told == []
            often = rig.informer.add_handler(hear, name="often", resync=0.001)
            await rig.settle(10)
            assert len(told) <= 2 * 13, "once a second at most"
            often.remove()

    run_virtual(main())


def test_h3_an_on_failure_that_raises_as_well() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))

        def broken(*_: object) -> None:
            raise ValueError("broken")

        rig.informer.add_handler(broken, name="broken", on_failure=broken)
        async with rig.running():
            assert rig.informer.has_synced
            assert [seen[1] for seen in rig.observer.of("handler_failed")] == ["broken", "broken.on_failure"]

    run_virtual(main())


def test_t8_a_large_collection_is_told_in_shares_and_handlers_may_join_meanwhile() -> None:
    async def main() -> None:
        rig = Rig(populated(*(f"d{number}" for number in range(2500))))
        late: list[str] = []
        async with rig.running(synced=False):
            async with asyncio.timeout(10):
                while not rig.deltas:  # noqa: ASYNC110 - finer than any event: between two shares
                    await asyncio.sleep(0)
            assert len(rig.deltas) == 1000
            assert len(rig.informer.store) == 2500
            assert not rig.registration.has_synced
            rig.informer.add_handler(lambda delta: late.append(describe(delta)), name="late")
            rig.api.create(DEPLOYMENTS, "new", annotations=noted())
            await rig.factory.wait_synced(10)
            await rig.settle()
            assert len(rig.deltas) == len(late) == 2501
            assert len(set(late)) == 2501

    run_virtual(main())


def test_t8_who_joins_late_is_given_many_rows_in_turns_and_each_object_from_its_beginning_on() -> None:
    async def main() -> None:
        rig = Rig(populated(*(f"d{number:04}" for number in range(2500))))
        async with rig.running():
            told: list[str] = []
            late = rig.informer.add_handler(lambda delta: told.append(describe(delta)), name="late")
            assert told == [f"+d{number:04}!" for number in range(FIRST_SHARE)]
            assert not late.has_synced
            for name in ("d0001", "d2000", "d2001", "d2002"):
                rig.api.update(DEPLOYMENTS, ObjectKey("ns", name), annotations=noted("newer"))
            for name in ("d0000", "d2001", "d2002"):
                rig.api.delete(DEPLOYMENTS, ObjectKey("ns", name))
            rig.api.create(DEPLOYMENTS, "d2002", annotations=noted("again"))
            before = len(told)
            while not late.has_synced:  # as the loop goes, turn by turn
                await asyncio.sleep(0)
                assert len(told) - before <= 1000 + 10
                before = len(told)
            await late.wait_synced()
            await rig.settle()
            assert [one for one in told if one in ("~d0001", "-d0000")] == ["~d0001", "-d0000"]
            assert [one.rstrip("!") for one in told if one.endswith(("d2000", "d2000!"))] == ["+d2000"]
            assert [one for one in told if "d2001" in one] == ["+d2001!", "-d2001"]
            assert [one for one in told if "d2002" in one] == ["+d2002!", "-d2002", "+d2002"]
            assert len(told) == 2500 + 2 + 2 + 1

            gone = rig.informer.add_handler(lambda delta: told.append("!"), name="leaves while it waits")
            gone.remove()
            await gone.wait_synced()
            await rig.settle()
            assert told.count("!") == FIRST_SHARE

    run_virtual(main())


def test_r28_the_self_check() -> None:
    async def main() -> None:
        api = populated("a", "b", "c")
        rig = Rig(api)
        async with rig.running():
            assert await check_consistency(api, rig.informer) == 3
            store = rig.informer.store
            store.remove(ObjectKey("ns", "a"), uid="", revision=0)
            store.upsert(replace(rig.get("b"), uid="other", resource_version=9999))
            store.upsert(replace(rig.get("c"), name="d"))
            with pytest.raises(Inconsistent) as caught:
                await check_consistency(api, rig.informer)
            assert "ns/a is served and not stored; ns/b is stored as ('other', 9999)" in str(caught.value)
            assert "ns/d is stored and not served" in str(caught.value)

    run_virtual(main())


def test_r1_two_handlers_share_one_watch() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        rig.informer.add_handler(lambda delta: None, name="second")
        async with rig.running():
            assert rig.api.verbs() == ["watchlist"]

    run_virtual(main())


def test_an_informer_that_is_stopped_leaves_its_streams() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            assert [stream.left for stream in rig.api.streams] == [False]
        assert [stream.left for stream in rig.api.streams] == [True]
        assert "stopped" in rig.observer.reasons("watch_ended")

    run_virtual(main())


def test_an_added_row_is_what_the_store_has() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            added = rig.deltas[0]
            assert isinstance(added, Added)
            assert added.row is rig.get("a")

    run_virtual(main())
