"""Many objects fast: two Deployments are made through the API server, and the rest written into etcd as it stored those
two; or everything of some kinds is copied from another control plane's etcd.

Names, namespaces and uids are replaced by others of the same length, so what is stored is what the API server itself
would have stored. It learns of them as of any write by another API server. A hundred thousand take seconds instead of
minutes; requests that create objects are measured elsewhere, and by the objects that are really created.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any
from uuid import uuid4

import aiohttp

from bench.connection import Connection
from bench.fleet import Fleet, create_request, deployment
from tools.controlplane import ControlPlane

_ROOT = "/registry/deployments/"
_MADE = tuple(f"/registry/stash.appscode.com/{plural}/" for plural in ("repositories", "backupconfigurations"))
_BATCH = 100  # etcd takes no more than 128 operations in a transaction
_PATIENCE = 300.0


class NotSeeded(Exception):
    """What was written into etcd did not become objects of the API server."""


async def seed(plane: ControlPlane, connection: Connection, fleet: Fleet) -> None:
    """All Deployments of the fleet; its namespaces are there already."""
    names = fleet.namespace_names
    first = {fleet.asks(number): number for number in reversed(range(fleet.objects))}
    async with aiohttp.ClientSession(base_url=plane.etcd.url) as etcd:
        models = {}
        for asks, number in first.items():
            namespace = names[number % len(names)]
            made = await connection.request(**create_request(deployment(_name(number), namespace, asks=asks)))
            stored = await _read(etcd, f"{_ROOT}{namespace}/{_name(number)}")
            models[asks] = (stored, _name(number), namespace, json.loads(made)["metadata"]["uid"])
        rest = [number for number in range(fleet.objects) if number not in first.values()]
        for start in range(0, len(rest), _BATCH):
            await _write(etcd, list(_puts(fleet, models, rest[start : start + _BATCH])))
    await _wait_shown(connection, fleet, _name(fleet.objects - 1))


async def copy(source: ControlPlane, plane: ControlPlane, connection: Connection, fleet: Fleet) -> None:
    """Deployments and what was made for them, as they are there; the namespaces of the fleet are here already."""
    async with (
        aiohttp.ClientSession(base_url=source.etcd.url) as there,
        aiohttp.ClientSession(base_url=plane.etcd.url) as here,
    ):
        for prefix in (*_MADE, _ROOT):
            start, end = prefix.encode(), prefix[:-1].encode() + b"0"  # the character after "/"
            while True:
                found = await _range(there, start, end)
                puts = [{"requestPut": {"key": one["key"], "value": one["value"]}} for one in found]
                if not puts:
                    break
                await _write(here, puts)
                start = b64decode(found[-1]["key"]) + b"\x00"
    await _wait_shown(connection, fleet, _name(fleet.objects - 1))


async def _range(etcd: aiohttp.ClientSession, start: bytes, end: bytes) -> list[dict[str, str]]:
    asked = {"key": b64encode(start).decode(), "range_end": b64encode(end).decode(), "limit": _BATCH}
    async with etcd.post("/v3/kv/range", json=asked) as answer:
        if answer.status != 200:
            raise NotSeeded(f"etcd answered {answer.status}: {await answer.text()}")
        found: list[dict[str, str]] = (await answer.json()).get("kvs", [])
    return found


def _puts(fleet: Fleet, models: dict[bool, tuple[bytes, str, str, str]], numbers: Sequence[int]) -> Iterator[Any]:
    names = fleet.namespace_names
    for number in numbers:
        stored, name, namespace, uid = models[fleet.asks(number)]
        where = names[number % len(names)]
        for old, new in ((name, _name(number)), (namespace, where), (uid, str(uuid4()))):
            assert len(old) == len(new), f"{new} is not as long as {old}"
            stored = stored.replace(old.encode(), new.encode())
        key = f"{_ROOT}{where}/{_name(number)}".encode()
        yield {"requestPut": {"key": b64encode(key).decode(), "value": b64encode(stored).decode()}}


def _name(number: int) -> str:
    return f"svc-{number:05d}"


async def _read(etcd: aiohttp.ClientSession, key: str) -> bytes:
    async with etcd.post("/v3/kv/range", json={"key": b64encode(key.encode()).decode()}) as answer:
        found = await answer.json()
    return b64decode(found["kvs"][0]["value"])


async def _write(etcd: aiohttp.ClientSession, puts: list[Any]) -> None:
    async with etcd.post("/v3/kv/txn", json={"success": puts}) as answer:
        if answer.status != 200:
            raise NotSeeded(f"etcd answered {answer.status}: {await answer.text()}")


async def _wait_shown(connection: Connection, fleet: Fleet, last: str) -> None:
    """Until the API server's watch cache has the last one."""
    names = fleet.namespace_names
    path = f"/apis/apps/v1/namespaces/{names[(fleet.objects - 1) % len(names)]}/deployments"
    deadline = monotonic() + _PATIENCE
    while True:
        listed = await connection.read(f"{path}?resourceVersion=0")
        if any(item["metadata"]["name"] == last for item in listed["items"]):
            return
        if monotonic() > deadline:
            raise NotSeeded(f"the API server does not show {last} after {_PATIENCE:.0f} s")
        await asyncio.sleep(0.2)
