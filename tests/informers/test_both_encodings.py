"""The same collections of a real kube-apiserver, watched in JSON and in protobuf."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from informers import AiohttpTransport, ApiError, Invalid, NotFound, Resource, load_credentials
from informers.encoding import ACCEPT_METADATA, JSON, PROTOBUF, Encoding, encoding_of
from informers.frames import RawEvent
from informers.transport import METADATA
from tests.informers.live import CONFIG_MAPS, config_map, served_widgets, widget
from tests.support import wireproto
from tests.support.wireproto import run
from tools.controlplane import ApiClient

MARKER = b"example.com/"
WATCHED = {"watch": "true", "allowWatchBookmarks": "true"}
INITIAL = {**WATCHED, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": ""}


@pytest.fixture
def transport(kubeconfig: Path) -> AiohttpTransport:
    return AiohttpTransport(load_credentials(str(kubeconfig)), user_agent="informer-test", environ={})


async def watch(
    transport: AiohttpTransport, resource: Resource, namespace: str, *, accept: str, query: dict[str, str], count: int
) -> tuple[Encoding, list[bytes]]:
    path = resource.collection_path(namespace)
    frames: list[bytes] = []
    async with asyncio.timeout(30), transport.stream(path, query=query, accept=accept, idle_timeout=30) as body:
        encoding = encoding_of(body.content_type)
        splitter = encoding.splitter()
        async for chunk in body:
            frames += splitter.feed(chunk)
            if len(frames) >= count:
                break
    return encoding, frames


def comparable(event: RawEvent) -> RawEvent:
    document = json.loads(json.dumps(event.document))
    document["metadata"].pop("managedFields", None)
    return event._replace(document=document)


async def compare(
    transport: AiohttpTransport, resource: Resource, namespace: str, query: dict[str, str], count: int
) -> list[RawEvent]:
    """What both say, which is the same."""
    told, lines = await watch(
        transport, resource, namespace, accept=f"{METADATA},application/json", query=query, count=count
    )
    assert told is JSON
    said, frames = await watch(transport, resource, namespace, accept=ACCEPT_METADATA, query=query, count=count)
    assert said is PROTOBUF
    in_json = [comparable(JSON.decode(line, metadata_only=False, marker=None)) for line in lines]
    in_protobuf = [PROTOBUF.decode(frame, metadata_only=True, marker=None) for frame in frames]
    assert in_protobuf == in_json
    for line, frame, event in zip(lines, frames, in_json, strict=True):
        skimmed = [
            decode(raw, metadata_only=True, marker=MARKER)
            for decode, raw in ((JSON.decode, line), (PROTOBUF.decode, frame))
        ]
        assert skimmed[0][:5] == skimmed[1][:5] == event[:5]
        noted = MARKER.decode() in json.dumps(event.document)
        assert [found.document is not None for found in skimmed] >= [noted, noted]
    return in_protobuf


def demanding(namespace: str) -> list[dict[str, Any]]:
    full = config_map("full", namespace, 'ü "\\ \u2028 備份 \U0001f4be <&>')
    full["metadata"] |= {
        "labels": {"a": "", "b": "x", "z.example.org/y": "1"},
        "finalizers": ["example.com/stay", "example.org/too"],
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1", "controller": True},
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "p", "uid": "u-2", "blockOwnerDeletion": False},
        ],
    }
    large = config_map("large", namespace)
    large["metadata"]["annotations"]["example.org/large"] = "x" * 200_000
    empty = config_map("empty", namespace, None)
    empty["metadata"]["annotations"] = {"example.org/empty": ""}
    long_name = config_map("n" * 253, namespace, None)
    generated = config_map("unused", namespace)
    generated["metadata"] |= {"name": None, "generateName": "generated-"}
    return [full, large, empty, long_name, generated, config_map("plain", namespace, None)]


async def test_what_an_object_carries_comes_out_the_same(
    transport: AiohttpTransport, api: ApiClient, namespace: str
) -> None:
    objects = demanding(namespace)
    for document in objects:
        api.create(document)
    await _create_in_protobuf(transport, namespace)
    before = api.request("GET", CONFIG_MAPS.collection_path(namespace))["metadata"]["resourceVersion"]
    count = len(objects) + 1
    initial = await compare(transport, CONFIG_MAPS, namespace, INITIAL, count + 1)
    assert [event.type for event in initial] == ["ADDED"] * count + ["BOOKMARK"]
    assert initial[-1].ends_initial_events
    (strange,) = (event.document for event in initial if event.name == "strange")
    assert strange is not None
    assert strange["metadata"]["annotations"] == {"example.com/note": "a\ufffd\ufffdb"}
    api.delete("v1/ConfigMap", "full", namespace=namespace)  # which its finalizers put off
    api.annotate("v1/ConfigMap", "empty", {"example.org/empty": None}, namespace=namespace)
    api.delete("v1/ConfigMap", "plain", namespace=namespace)
    api.patch("v1/ConfigMap", "full", {"metadata": {"finalizers": None}}, namespace=namespace)
    after = await compare(transport, CONFIG_MAPS, namespace, {**WATCHED, "resourceVersion": before}, 4)
    assert [event.type for event in after] == ["MODIFIED", "MODIFIED", "DELETED", "DELETED"]
    assert after[0].document is not None
    assert after[0].document["metadata"]["deletionTimestamp"]
    await transport.close()


async def _create_in_protobuf(transport: AiohttpTransport, namespace: str) -> None:
    """Only who writes protobuf can write what is no UTF-8."""
    metadata = run(1, "strange") + run(12, run(1, "example.com/note") + run(2, b"a\xe5\x82b"))
    body = wireproto.wrapped("v1", "ConfigMap", run(1, metadata))
    path = CONFIG_MAPS.collection_path(namespace)
    await transport.request("POST", path, body=body, content_type=wireproto.OBJECT)


async def test_a_custom_resource_comes_out_the_same(
    transport: AiohttpTransport, api: ApiClient, namespace: str
) -> None:
    with served_widgets(api) as resource:
        api.create(widget(resource.group, "w", namespace))
        assert [event.name for event in await compare(transport, resource, namespace, INITIAL, 2)] == ["w", ""]
    await transport.close()


async def test_an_error_in_the_stream_says_the_same(transport: AiohttpTransport, namespace: str) -> None:
    query = {**INITIAL, "resourceVersion": "999999999999"}
    said = []
    for accept, encoding in ((f"{METADATA},application/json", JSON), (ACCEPT_METADATA, PROTOBUF)):
        chosen, frames = await watch(transport, CONFIG_MAPS, namespace, accept=accept, query=query, count=1)
        assert chosen is encoding
        event = encoding.decode(frames[0], metadata_only=True, marker=None)
        assert event.document is not None
        said.append({**event.document, "message": event.document["message"].partition(",")[0]})
    assert said[0] == said[1]
    assert said[0]["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    await transport.close()


@pytest.mark.parametrize(
    ("plural", "query", "error"),
    [("configmaps", {**INITIAL, "resourceVersionMatch": ""}, Invalid), ("nothings", INITIAL, NotFound)],
)
async def test_a_refusal_is_in_json(
    transport: AiohttpTransport, namespace: str, plural: str, query: dict[str, str], error: type[ApiError]
) -> None:
    """There is no reduced form of a Status, so the last choice of the header decides, and its reason can be read."""
    resource = Resource("", "v1", plural, "X")
    with pytest.raises(error) as caught:
        await watch(transport, resource, namespace, accept=ACCEPT_METADATA, query=query, count=1)
    assert caught.value.message
    assert "\x00" not in caught.value.message
    await transport.close()
