"""Each behaviour of the scripted server that other tests build on, asserted against a real one by the same lines.

Every test here runs twice: on the fake in virtual time, and on a kube-apiserver.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from informers import (
    AiohttpTransport,
    ApiError,
    Expired,
    Invalid,
    NotFound,
    ObjectKey,
    Resource,
    ResourceVersionTooLarge,
    Transport,
    load_credentials,
)
from informers.encoding import ACCEPT_METADATA, ACCEPT_OBJECTS, PROTOBUF, Encoding, encoding_of
from informers.errors import error_from_status
from informers.frames import decode_line
from informers.listing import ACCEPT_METADATA as ACCEPT_METADATA_LIST
from informers.protobufframes import decode_frame
from informers.transport import METADATA
from tests.informers.live import CONFIG_MAPS
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tests.support.fakeapi import FakeApi
from tests.support.virtualtime import run_virtual
from tools.controlplane import ControlPlane

IN_JSON = f"{METADATA},application/json"
in_both = pytest.mark.parametrize("accept", [IN_JSON, ACCEPT_METADATA], ids=["json", "protobuf"])
MISSING = Resource("missing.example.com", "v1", "things", "Thing")


class World(Protocol):
    """A server, its transport, and the changes that a test makes."""

    namespace: str

    def transport(self) -> Transport: ...
    def create(self, name: str, note: str = "x") -> None: ...
    def update(self, name: str, note: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def forget_history(self) -> None: ...


@dataclass
class FakeWorld:
    api: FakeApi
    namespace: str = "ns"

    def transport(self) -> Transport:
        return self.api

    def create(self, name: str, note: str = "x") -> None:
        fields = [{"manager": "m", "operation": "Update"}]
        self.api.create(
            CONFIG_MAPS, name, annotations={"example.com/note": note}, managedFields=fields, data={"k": "v"}
        )

    def update(self, name: str, note: str) -> None:
        self.api.update(CONFIG_MAPS, ObjectKey("ns", name), annotations={"example.com/note": note})

    def delete(self, name: str) -> None:
        self.api.delete(CONFIG_MAPS, ObjectKey("ns", name))

    def forget_history(self) -> None:
        self.api.compact()


class RealWorld:
    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.plane = plane
        self.namespace = namespace
        self._api = plane.client("admin")
        self._kubeconfig = plane.kubeconfig("admin")

    def transport(self) -> Transport:
        return AiohttpTransport(load_credentials(str(self._kubeconfig)), user_agent="conformance", environ={})

    def create(self, name: str, note: str = "x") -> None:
        metadata = {"name": name, "namespace": self.namespace, "annotations": {"example.com/note": note}}
        self._api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": "v"}})

    def update(self, name: str, note: str) -> None:
        self._api.annotate("v1/ConfigMap", name, {"example.com/note": note}, namespace=self.namespace)

    def delete(self, name: str) -> None:
        self._api.delete("v1/ConfigMap", name, namespace=self.namespace)

    def forget_history(self) -> None:
        self.plane.compact_etcd()
        self.plane.stop()
        self.plane.restart()


Test = Callable[[World], Awaitable[None]]
Runner = Callable[[Test], None]


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    """A server that may be made to forget; without a cache of events, so that etcd's history is its own."""
    with ControlPlane(apiserver_flags={"watch-cache-sizes": "configmaps#0"}, audit=False) as plane:
        yield plane


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def run(request: pytest.FixtureRequest) -> Iterator[Runner]:
    yield from _runner(request, "control_plane")


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.cluster, pytest.mark.slow])])
def run_forgetful(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """For tests that make the server forget its history."""
    yield from _runner(request, "own_plane")


def _runner(request: pytest.FixtureRequest, fixture: str) -> Iterator[Runner]:
    if request.param == "fake":
        yield lambda test: run_virtual(_closing(FakeWorld(FakeApi(CONFIG_MAPS)), test))
        return
    plane = request.getfixturevalue(fixture)
    api = plane.client("admin")
    namespace = unique_name("conformance")
    create_namespace(api, namespace)
    yield lambda test: asyncio.run(_closing(RealWorld(plane, namespace), test))
    remove_namespace(api, namespace)


async def _closing(world: World, test: Test) -> None:
    await test(world)


@dataclass
class Watch:
    """Lines or frames of one watch, decoded."""

    lines: list[bytes]
    ended: str
    encoding: Encoding

    @property
    def events(self) -> list[dict[str, Any]]:
        read = [self.encoding.decode(line, metadata_only=False, marker=None) for line in self.lines]
        return [{"type": event.type, "object": event.document} for event in read]

    @property
    def told(self) -> list[str]:
        return [f"{event['type']} {event['object']['metadata'].get('name', '')}".strip() for event in self.events]


async def watch(
    world: World,
    version: str,
    *,
    streaming: bool = False,
    accept: str = ACCEPT_METADATA,
    until: Callable[[list[bytes]], bool] = lambda lines: False,
    timeout: int = 60,  # noqa: ASYNC109 - the server's
    on_line: Callable[[int], None] = lambda count: None,
    resource: Resource = CONFIG_MAPS,
) -> Watch:
    """Watch until the condition holds, the server ends it or refuses it."""
    query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "timeoutSeconds": str(timeout)}
    if streaming:
        query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    transport = world.transport()
    try:
        path = resource.collection_path(world.namespace)
        async with transport.stream(path, query=query, accept=accept, idle_timeout=70) as body:
            encoding = encoding_of(body.content_type)
            seen = Watch([], "left", encoding)
            splitter = encoding.splitter()
            async for chunk in body:
                for line in splitter.feed(chunk):
                    seen.lines.append(line)
                    on_line(len(seen.lines))
                if until(seen.lines):
                    return seen
            seen.ended = "closed"
    finally:
        await transport.close()
    return seen


async def read_list(world: World, **query: str) -> dict[str, Any]:
    transport = world.transport()
    try:
        path = CONFIG_MAPS.collection_path(world.namespace)
        accept = query.pop("accept", ACCEPT_METADATA_LIST)
        document = (await transport.request("GET", path, query=query, accept=accept)).json()
        assert isinstance(document, dict)
        return document
    finally:
        await transport.close()


def has(count: int) -> Callable[[list[bytes]], bool]:
    return lambda lines: len(lines) >= count


@in_both
def test_a_streaming_list_and_what_follows_on_its_connection(run: Runner, accept: str) -> None:
    async def test(world: World) -> None:
        for name in ("b", "a"):
            world.create(name)

        def go_on(count: int) -> None:
            if count == 3:
                world.create("c")
                world.update("a", "y")
                world.delete("b")

        seen = await watch(world, "", streaming=True, until=has(6), on_line=go_on, accept=accept)
        assert seen.told == ["ADDED a", "ADDED b", "BOOKMARK", "ADDED c", "MODIFIED a", "DELETED b"]
        end = seen.events[2]["object"]["metadata"]
        assert end["annotations"]["k8s.io/initial-events-end"] == "true"
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen.events]
        assert versions[2] >= max(versions[:2])
        assert versions[2] < versions[3] < versions[4] < versions[5], "a deletion has a version of its own"

    run(test)


def test_how_a_reduced_object_is_written(run: Runner) -> None:
    async def test(world: World) -> None:
        world.create("a", ',"managedFields":[ <&> ü')
        seen = await watch(world, "", streaming=True, until=has(2), accept=IN_JSON)
        line = seen.lines[0]
        head = (
            rb'\{"type":"ADDED","object":\{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",'
            rb'"metadata":\{"name":"a","namespace":"[^"]+","uid":"[^"]+","resourceVersion":"\d+",'
        )
        assert re.match(head, line)
        assert line.count(b',"managedFields":[') == 1
        assert line.endswith(b"]}}}")
        assert b"\\u003c\\u0026\\u003e \xc3\xbc" in line
        assert b'"data"' not in line
        assert decode_line(line, metadata_only=True, marker=b"nothing.like.it").document is None, "the skim works"

    run(test)


def test_how_a_reduced_object_is_written_in_protobuf(run: Runner) -> None:
    async def test(world: World) -> None:
        world.create("a", ',"managedFields":[ <&> ü')
        seen = await watch(world, "", streaming=True, until=has(2))
        assert seen.encoding is PROTOBUF
        frame = seen.lines[0]
        head = b"k8s\x00\n'\n\x0emeta.k8s.io/v1\x12\x15PartialObjectMetadata\x12"
        assert re.match(rb"\n\x05ADDED\x12..\n.." + re.escape(head), frame, re.DOTALL)
        assert b'"\0*' in frame, "a text that is empty is written, and an empty link leads the uid"
        assert b"\x8a\x01" in frame, "and at the end who manages which field"
        assert decode_frame(frame, marker=b"nothing.like.it").document is None, "the skim works"
        in_json = await watch(world, "", streaming=True, until=has(2), accept=IN_JSON)
        assert decode_frame(frame) == decode_line(in_json.lines[0], metadata_only=True)
        assert decode_frame(seen.lines[1]).ends_initial_events

    run(test)


def test_how_a_whole_object_is_written(run: Runner) -> None:
    async def test(world: World) -> None:
        world.create("a")
        seen = await watch(world, "", streaming=True, until=has(2), accept=ACCEPT_OBJECTS)
        assert seen.lines[0].startswith(
            b'{"type":"ADDED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":'
        )
        assert seen.events[0]["object"]["data"] == {"k": "v"}

    run(test)


@pytest.mark.parametrize("accept", [ACCEPT_METADATA_LIST, ACCEPT_OBJECTS])
def test_pages(run: Runner, accept: str) -> None:
    async def test(world: World) -> None:
        for number in range(5):
            world.create(f"c{number}")
        first = await read_list(world, limit="3", accept=accept)
        world.create("c9")
        token = first["metadata"]["continue"]
        second = await read_list(world, limit="9", accept=accept, **{"continue": token})
        names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
        assert names == [f"c{number}" for number in range(5)], "a later page is of the time of the first"
        assert "continue" not in second["metadata"]
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        if accept == ACCEPT_OBJECTS:
            assert first["kind"] == "ConfigMapList"
            assert all("kind" not in item for item in first["items"])
        else:
            assert first["kind"] == "PartialObjectMetadataList"

    run(test)


def test_an_empty_list_has_no_list_of_items(run: Runner) -> None:
    async def test(world: World) -> None:
        assert (await read_list(world))["items"] is None
        assert (await read_list(world, accept=ACCEPT_OBJECTS))["items"] == []

    run(test)


@in_both
def test_a_watch_resumes_after_its_version(run: Runner, accept: str) -> None:
    async def test(world: World) -> None:
        world.create("a")
        version = (await read_list(world))["metadata"]["resourceVersion"]
        world.create("b")
        world.delete("a")
        seen = await watch(world, version, until=has(2), accept=accept)
        assert seen.told == ["ADDED b", "DELETED a"]

    run(test)


def test_a_watch_ends_politely_when_its_time_is_over(run: Runner) -> None:
    async def test(world: World) -> None:
        seen = await watch(world, (await read_list(world))["metadata"]["resourceVersion"], timeout=1)
        assert seen.ended == "closed"
        assert [event["type"] for event in seen.events] in ([], ["BOOKMARK"])

    run(test)


@in_both
def test_a_version_of_the_future_is_refused_to_a_streaming_list(run: Runner, accept: str) -> None:
    async def test(world: World) -> None:
        seen = await watch(world, "999999999999", streaming=True, accept=accept)
        assert seen.ended == "closed"
        assert [event["type"] for event in seen.events] == ["ERROR"]
        assert isinstance(error_from_status("watch", seen.events[0]["object"]), ResourceVersionTooLarge)

    run(test)


def test_a_version_of_the_future_is_watched_in_silence(run: Runner) -> None:
    """kubernetes#107457, and why versions that go backwards are looked out for."""

    async def test(world: World) -> None:
        world.create("a")
        seen = await watch(world, "999999999999", timeout=2)
        assert seen.ended == "closed"
        assert not any(event["type"] in ("ADDED", "ERROR") for event in seen.events)

    run(test)


def test_a_version_of_the_future_is_refused_to_a_list_that_may_not_be_older(run: Runner) -> None:
    """However little of the list is asked for."""

    async def test(world: World) -> None:
        for number in range(3):
            world.create(f"c{number}")
        version = (await read_list(world))["metadata"]["resourceVersion"]
        fresh = {"limit": "1", "resourceVersionMatch": "NotOlderThan"}
        assert len((await read_list(world, resourceVersion=version, **fresh))["items"]) in (1, 3)
        with pytest.raises(ResourceVersionTooLarge):
            await read_list(world, resourceVersion="999999999999", **fresh)

    run(test)


def test_a_kind_that_is_not_served(run: Runner) -> None:
    async def test(world: World) -> None:
        with pytest.raises(NotFound):
            await watch(world, "", streaming=True, resource=MISSING)
        transport = world.transport()
        with pytest.raises(NotFound):
            await transport.request("GET", MISSING.api_path)
        found = (await transport.request("GET", CONFIG_MAPS.api_path)).json()
        await transport.close()
        assert found["kind"] == "APIResourceList"
        assert "configmaps" in [entry["name"] for entry in found["resources"]]

    run(test)


@in_both
def test_history_that_is_gone(run_forgetful: Runner, accept: str) -> None:
    async def test(world: World) -> None:
        world.create("a")
        world.create("a2")
        listed = await read_list(world, limit="1")
        version, token = listed["metadata"]["resourceVersion"], listed["metadata"]["continue"]
        for number in range(3):
            world.create(f"b{number}")
        world.forget_history()
        seen = await watch(world, version, until=has(1), accept=accept)
        error = seen.events[0]
        assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 410, "Expired")
        with pytest.raises(Expired):
            await read_list(world, limit="1", **{"continue": token})

    run_forgetful(test)


def test_a_streaming_list_that_is_not_offered() -> None:
    """Its real twin needs a server with other flags: test_real_server.py."""

    async def main() -> None:
        api = FakeApi(CONFIG_MAPS)
        api.streaming_lists = False
        with pytest.raises(Invalid) as caught:
            await watch(FakeWorld(api), "", streaming=True)
        assert isinstance(caught.value, ApiError)
        assert caught.value.status == 422

    run_virtual(main())
