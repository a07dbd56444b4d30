"""Who gets a turn of the event loop, and when: R24, R27, H2, T3, T8; and a few rules that are seen in one turn."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import informers
from informers import Delta, ObjectKey, Resource, Updated, frames
from informers.stream import TURN_BYTES
from tests.informers.rig import DEPLOYMENTS, NOTES, Rig, describe, make_api, noted
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import run_virtual


def populated(*names: str) -> FakeApi:
    api = make_api()
    for name in names:
        api.create(DEPLOYMENTS, name, annotations=noted(name))
    return api


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that needs turns and no time: while these are counted, virtual time stands still."""
        for _ in range(5000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never happened")


def test_r10_every_stream_asks_for_bookmarks() -> None:
    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            rig.api.cut_streams()
            await rig.settle(5)
            assert rig.api.verbs() == ["watchlist", "watch"]
            assert [seen.query.get("allowWatchBookmarks") for seen in rig.api.requests] == ["true", "true"]

    run_virtual(main())


def test_r24_all_events_of_a_chunk_are_told_in_one_turn_of_the_loop() -> None:
    async def main() -> None:
        rig = Rig(make_api())
        turns = Turns()
        told: list[int] = []
        rig.informer.add_handler(lambda delta: told.append(turns.count), name="slow")
        async with rig.running():
            for number in range(200):
                rig.api.create(DEPLOYMENTS, f"d{number}", annotations=noted())
            counting = asyncio.create_task(turns.run())
            await turns.until(lambda: len(told) == 200)
            counting.cancel()
            await asyncio.wait([counting])
            assert len(set(told)) == 1, "nobody waits between the first event of a chunk and the last"

    run_virtual(main())


@pytest.mark.parametrize("chunk", [64 * 1024, 8 * TURN_BYTES])
def test_t8_however_much_arrives_at_once_others_get_a_turn(chunk: int) -> None:
    async def main() -> None:
        blob = "x" * 4096
        api = make_api(chunk=chunk)
        rig = Rig(api)
        turns = Turns()
        told: list[int] = []
        rig.informer.add_handler(lambda delta: told.append(turns.count), name="counted")
        count = 5 * TURN_BYTES // len(blob)
        async with rig.running():
            for number in range(count):
                api.create(DEPLOYMENTS, f"d{number}", annotations={**noted(), "blob": blob})
            counting = asyncio.create_task(turns.run())
            await turns.until(lambda: len(told) == count)
            counting.cancel()
            await asyncio.wait([counting])
            most = max(told.count(turn) for turn in set(told)) * len(blob)
            assert most <= TURN_BYTES + 2 * 64 * 1024, f"{most} bytes in one turn"

    run_virtual(main())


def test_h2_there_is_no_buffer_between_the_socket_and_the_handlers() -> None:
    """What cannot grow is not there. The one list of lines is a part of the chunk that is being worked on."""
    for path in Path(informers.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not names & {"Queue", "PriorityQueue", "deque", "call_soon", "call_soon_threadsafe"}, path.name


def test_r27_two_relists_at_a_time() -> None:
    kinds = [Resource("example.com", "v1", f"things{number}", f"Thing{number}") for number in range(6)]

    class Counting(FakeApi):
        """Streaming lists take a second, and are counted while they do."""

        now = most = 0

        def stream(self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float) -> Any:
            inner = super().stream(path, query=query, accept=accept, idle_timeout=idle_timeout)
            return _Slow(self, inner) if "sendInitialEvents" in query else inner

    class _Slow:
        def __init__(self, api: Counting, inner: Any) -> None:
            self._api, self._inner = api, inner

        async def __aenter__(self) -> Any:
            self._api.now += 1
            self._api.most = max(self._api.most, self._api.now)
            await asyncio.sleep(1)
            self._api.now -= 1
            return await self._inner.__aenter__()

        async def __aexit__(self, *args: Any) -> Any:
            return await self._inner.__aexit__(*args)

    async def main() -> None:
        api = Counting(*kinds)
        rig = Rig(api, resource=kinds[0])
        others = [rig.factory.informer(kind, NOTES) for kind in kinds[1:]]
        async with rig.running():
            assert api.most == 3
            api.most = 0
            for informer in (rig.informer, *others):
                informer.refresh()
            await rig.settle(30)
            assert api.verbs().count("watchlist") == 2 * len(kinds)
            assert api.most == 2

    run_virtual(main())


def test_s4_s5_a_deletion_found_by_a_relist_reaches_everybody_after_the_store_forgot_it() -> None:
    async def main() -> None:
        rig = Rig(populated("a", "b"), indexes={"note": lambda row: (row.note,)})
        seen: dict[str, list[tuple[str, bool, int]]] = {"first": [], "second": []}

        def look(name: str, delta: Delta[Any]) -> None:
            row = delta.new if isinstance(delta, Updated) else delta.row
            store = rig.informer.store
            known = store.get(ObjectKey(row.namespace, row.name)) is not None
            seen[name].append((describe(delta), known, len(store.index("note", row.note))))

        rig.informer.add_handler(lambda delta: look("first", delta), name="first")
        rig.informer.add_handler(lambda delta: look("second", delta), name="second")
        async with rig.running():
            for told in seen.values():
                told.clear()
            rig.api.cut_streams()
            rig.api.delete(DEPLOYMENTS, ObjectKey("ns", "a"))
            rig.api.compact()
            await rig.settle(20)
            assert seen == {"first": [("-a?", False, 0)], "second": [("-a?", False, 0)]}

    run_virtual(main())


def test_s10_each_received_object_is_projected_once() -> None:
    async def main() -> None:
        asked: list[str] = []

        def project(document: Mapping[str, Any]) -> Any:
            asked.append(document["metadata"]["name"])
            return NOTES.project(document)

        rig = Rig(populated("a", "b"), projection=replace(NOTES, project=project))
        for name in ("second", "third"):
            rig.informer.add_handler(lambda delta: None, name=name)
        async with rig.running():
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("2"))
            rig.api.delete(DEPLOYMENTS, ObjectKey("ns", "b"))
            rig.api.create(DEPLOYMENTS, "plain")
            await rig.settle()
            assert asked == ["a", "b", "a"], "neither a deletion nor an object without the marker"

    run_virtual(main())


@pytest.mark.usefixtures("encoding")
@pytest.mark.parametrize("encoding", ["json"], indirect=True)
def test_each_line_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    loads = json.loads

    def count(text: str) -> Any:
        parsed.append(text)
        return loads(text)

    async def main() -> None:
        rig = Rig(populated("a"))
        async with rig.running():
            rig.api.create(DEPLOYMENTS, "b", annotations=noted())
            rig.api.create(DEPLOYMENTS, "plain")
            await rig.settle()
            assert len(parsed) == 3, "two objects of interest and the bookmark between them"

    monkeypatch.setattr(frames.json, "loads", count)
    run_virtual(main())


@pytest.mark.parametrize("trouble", [None, Answer(500), Answer(410, "Expired")])
def test_t3_an_informer_can_be_stopped_at_any_moment(trouble: Answer | None) -> None:
    """After any number of turns of the loop: while it connects, reads, tells, watches or rests."""

    async def main(turns: int) -> None:
        rig = Rig(populated("a", "b"))
        if trouble is not None:
            rig.api.fail(trouble, times=2)
        task = asyncio.create_task(rig.factory.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        stopped = task.done()
        while not task.done():
            # A group does not pass a second cancellation on: whoever swallowed the first one gets his own.
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for each in left:
                each.cancel()
            await asyncio.wait(left, timeout=0.1)
        assert stopped, f"cancelled after {turns} turns, it went on"
        assert all(stream.left for stream in rig.api.streams)

    for turns in range(40):
        run_virtual(main(turns))
