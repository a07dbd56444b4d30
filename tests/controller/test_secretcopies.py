"""The keeper of copies, on a scripted server: what it costs, what it mends, what it does not let out."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.applier import Applier
from controller.secretcontent import SecretContent
from controller.secretcopies import LOOK_SECONDS, SecretCopies
from informers.resource import ObjectKey
from informers.transport import Response
from reconcilers.plan import Wish
from reconcilers.ports import SecretState
from reconcilers.secretcopy import CONSENT, SECRET
from tests.support.beside import beside
from tests.support.fakeapply import ApplyServer, Change, Object
from tests.support.virtualtime import VirtualClock, run_virtual

SOURCE = ObjectKey("vault", "bucket")
WISH = Wish(SOURCE, "nightly", "s3")


class Wanted:
    """What copies there should be, set by the test."""

    def __init__(self, *spaces: str) -> None:
        self.found = {ObjectKey(space, "storage"): {WISH} for space in spaces}
        self.needed: set[ObjectKey] = set()
        self.left: set[ObjectKey] = set()

    def wishes(self) -> dict[ObjectKey, set[Wish]]:
        return dict(self.found)

    def sources(self) -> set[ObjectKey]:
        return {SOURCE}

    def retired(self) -> set[ObjectKey]:
        return self.left

    def relied_on(self, key: ObjectKey) -> bool:
        return key in self.needed


class Recorded(ApplyServer):
    """Notes what is read whole; raises what nobody expects for a path with `poison` in it."""

    def __init__(self) -> None:
        super().__init__(SECRET)
        self.read: list[str] = []
        self.poison = ""

    async def request(self, method: str, path: str, *, accept: str = "application/json", **rest: Any) -> Response:
        if method == "GET" and "PartialObjectMetadata" not in accept:
            self.read.append(path)
        if self.poison and self.poison in path:
            raise RuntimeError("nobody expected this")
        rest.pop("timeout", None)
        await asyncio.sleep(0.001)
        return self.handle(method, path, accept=accept, **rest, who="operator")

    def written(self, mark: int = 0) -> list[Change]:
        return [change for change in self.journal[mark:] if change.who == "operator"]


def server_with(content: Mapping[str, str], **labels: str) -> Recorded:
    server = Recorded()
    metadata = {"name": "bucket", "namespace": "vault", "labels": {CONSENT: "true", **labels}}
    server.make({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict(content)})
    return server


FIRST = {"RESTIC_PASSWORD": "Zmlyc3Q=", "AWS_ACCESS_KEY_ID": "aQ==", "AWS_SECRET_ACCESS_KEY": "aw==", "OTHER": "eA=="}


@asynccontextmanager
async def keeping(server: Recorded, wanted: Wanted) -> AsyncIterator[SecretCopies]:
    clock = VirtualClock()
    applier = Applier(server, clock, most_in_flight=16)
    copies = SecretCopies(
        server,
        clock,
        applier=applier,
        demand=wanted,
        changed=lambda key: None,
        source_changed=lambda key: None,
        wrote=lambda result: None,
    )
    async with beside(copies.run()):
        await asyncio.sleep(5)
        yield copies


def rotate(server: Recorded, **data: str) -> None:
    server.edit(SECRET, SOURCE, lambda obj: obj["data"].update(data))


def copy_in(server: Recorded, space: str) -> Object | None:
    return server.look(SECRET, ObjectKey(space, "storage"))


def test_a_rotation_costs_one_reading_and_one_write_for_each_copy() -> None:
    async def test() -> None:
        spaces = [f"ns{number}" for number in range(1000)]
        server, wanted = server_with(FIRST), Wanted(*spaces)
        async with keeping(server, wanted) as copies:
            assert len(server.written()) == len(spaces)
            assert len(server.read) == 1
            mark = len(server.journal)
            rotate(server, RESTIC_PASSWORD="c2Vjb25k")
            await asyncio.sleep(9)
            assert len(server.written(mark)) == len(spaces)
            assert len(server.read) == 2
            assert all((found := copy_in(server, s)) and found["data"]["RESTIC_PASSWORD"] == "c2Vjb25k" for s in spaces)
            assert copies.counts()["Found"] == len(spaces)

    run_virtual(test())


def test_a_new_process_reads_no_content_and_writes_nothing() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop", "blog")
        async with keeping(server, wanted):
            pass
        mark, read = len(server.journal), len(server.read)
        async with keeping(server, wanted) as copies:
            await asyncio.sleep(3 * LOOK_SECONDS)
            assert copies.sight(ObjectKey("shop", "storage"), WISH).state is SecretState.FOUND
        assert (server.written(mark), server.read[read:]) == ([], [])

    run_virtual(test())


@pytest.mark.parametrize(
    "meddle",
    [
        lambda obj: obj["data"].update(RESTIC_PASSWORD="bWluZQ=="),
        lambda obj: obj["data"].pop("AWS_ACCESS_KEY_ID"),
        lambda obj: obj["metadata"]["annotations"].update({"autobackup.stash.appscode.com/source-version": "x"}),
        lambda obj: obj["metadata"]["annotations"].update({"autobackup.stash.appscode.com/keys": ""}),
        None,
    ],
    ids=["value", "key", "version", "keys", "deleted"],
)
def test_what_somebody_does_to_a_copy_is_mended_at_the_next_look(meddle: Any) -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop")
        async with keeping(server, wanted):
            before = copy_in(server, "shop")
            assert before is not None
            key = ObjectKey("shop", "storage")
            if meddle is None:
                server.remove(SECRET, key)
            else:
                server.edit(SECRET, key, meddle)
            await asyncio.sleep(1.3 * LOOK_SECONDS)
            after = copy_in(server, "shop")
            assert after is not None
            assert after["data"] == before["data"]
            assert after["metadata"]["annotations"] == before["metadata"]["annotations"]

    run_virtual(test())


def test_a_copy_goes_when_nobody_wants_it_and_nothing_relies_on_it() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop")
        key = ObjectKey("shop", "storage")
        async with keeping(server, wanted) as copies:
            wanted.found, wanted.needed = {}, {key}
            copies.wake()
            await asyncio.sleep(20)
            assert copy_in(server, "shop") is not None
            wanted.needed = set()
            await asyncio.sleep(5)
            assert copy_in(server, "shop") is None

    run_virtual(test())


def test_a_copy_that_was_left_behind_is_found_by_its_repository() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop")
        async with keeping(server, wanted):
            pass
        mine = {"name": "mine", "namespace": "shop"}
        server.make({"apiVersion": "v1", "kind": "Secret", "metadata": mine, "data": {}})
        wanted.found, wanted.left = {}, {ObjectKey("shop", "storage"), ObjectKey("shop", "mine")}
        async with keeping(server, wanted):
            assert copy_in(server, "shop") is None
            assert server.look(SECRET, ObjectKey("shop", "mine")) is not None

    run_virtual(test())


def test_what_was_looked_at_long_ago_is_looked_at_again_before_it_is_told() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted()
        key = ObjectKey("shop", "storage")
        wanted.left = {key}
        async with keeping(server, wanted) as copies:
            mine = {"name": "storage", "namespace": "shop"}
            made = server.make({"apiVersion": "v1", "kind": "Secret", "metadata": mine, "data": {}})
            wanted.found = {key: {WISH}}
            copies.wake()
            await asyncio.sleep(5)
            assert copies.sight(key, WISH).state is SecretState.CONFLICT
            assert server.look(SECRET, key) == made
            server.remove(SECRET, key)
            await asyncio.sleep(80)
            assert copies.sight(key, WISH).state is SecretState.FOUND, "the name became free"

    run_virtual(test())


def test_one_that_fails_in_a_way_that_nobody_expected_stops_no_other() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop", "poison", "blog")
        server.poison = "/namespaces/poison/"
        async with keeping(server, wanted) as copies:
            assert copy_in(server, "shop") is not None
            assert copy_in(server, "blog") is not None
            server.poison = ""
            await asyncio.sleep(2 * LOOK_SECONDS)
            assert copies.sight(ObjectKey("poison", "storage"), WISH).state is SecretState.FOUND

    run_virtual(test())


def test_two_that_want_different_things_under_one_name() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop")
        key = ObjectKey("shop", "storage")
        async with keeping(server, wanted) as copies:
            other = Wish(ObjectKey("another", "source"), "a-first-name", "s3")
            wanted.found[key] = {WISH, other}
            copies.wake()
            await asyncio.sleep(5)
            assert copies.sight(key, WISH).state is SecretState.FOUND, "a newcomer pushes nobody out"
            assert copies.sight(key, other).state is SecretState.CONFLICT

    run_virtual(test())


def test_content_is_dropped_when_the_last_write_is_done() -> None:
    async def test() -> None:
        server, wanted = server_with(FIRST), Wanted("shop")
        async with keeping(server, wanted) as copies:
            assert not copies._work.content

    run_virtual(test())


def test_content_does_not_print() -> None:
    content = SecretContent("1", {"RESTIC_PASSWORD": "Y2FuYXJ5"})
    shown = [
        repr(content),
        str(content),
        f"{content}",
        f"{content!r}",
        repr([content]),
        repr(vars(type(content)).keys()),
    ]
    try:
        content.data_for(["ABSENT"], identity="")
    except KeyError:
        shown.append(traceback.format_exc())
    assert not any("Y2FuYXJ5" in text or "canary" in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(content)


def test_a_password_of_its_own_takes_the_place_of_the_master() -> None:
    content = SecretContent("1", FIRST)
    found = content.data_for(["RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID"], identity="v1 s3:s3.example.com:store|a/b")
    assert found.keys() == {"RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID"}
    assert b64decode(found["RESTIC_PASSWORD"]) != b"first"
