"""What a new leader does before its first plan: see everything that its predecessor wrote (L14).

A standby is warm, but its caches may lag. A plan made on a state from before the predecessor's last write would undo
it. So, after the Lease is won, each resource that we write is asked for its collection's version, by a consistent LIST
of one object, and nothing is planned until the cache has passed it. Versions are compared within one resource only.

A cache learns of versions by events and, once a minute, by bookmarks. On a quiet resource it would take that minute to
pass a version that was counted up by others, so a cache that is behind is asked to read its collection again at once.

Sources: KEP-2340 (consistent reads), KEP-5504 (comparable versions); "stale state" in the Sieve paper, OSDI'22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import structlog

from informers import SharedInformer
from informers.clock import Clock
from informers.resource import Resource
from informers.revision import parse_revision
from informers.transport import Transport

_ACCEPT: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_SECONDS: Final = 10.0
_LOOK_AGAIN: Final = 0.005
_RETRY: Final = (0.5, 1.5)

_log = structlog.get_logger("leader-election")


async def catch_up(transport: Transport, clock: Clock, written: Iterable[SharedInformer[Any]]) -> None:
    """Until these caches show what the API server had when this was called."""
    started = clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for informer in written:
            tasks.create_task(_catch_up(transport, clock, informer), name=f"catch up with {informer.name}")
    _log.info("Caches have caught up", duration_s=round(clock.monotonic() - started, 3))


async def _catch_up(transport: Transport, clock: Clock, informer: SharedInformer[Any]) -> None:
    wanted = {
        namespace: await _version(transport, clock, informer.resource, namespace)
        for namespace in informer.status().namespaces
    }

    def behind() -> bool:
        return any(informer.store.last_sync_rv(namespace) < version for namespace, version in wanted.items())

    if behind():
        informer.refresh()
    while behind():
        await clock.sleep(_LOOK_AGAIN)


async def _version(transport: Transport, clock: Clock, resource: Resource, namespace: str) -> int:
    """The version that the collection has at this moment, at the source and not in some cache."""
    path = resource.collection_path(namespace or None)
    while True:
        try:
            response = await transport.request("GET", path, query={"limit": "1"}, accept=_ACCEPT, timeout=_SECONDS)
            return parse_revision(response.json()["metadata"]["resourceVersion"])
        except Exception as error:  # without an answer nothing may be planned; a lost lease ends the waiting
            _log.warning("Cannot find out what the last leader wrote", resource=str(resource), err=str(error))
        await clock.sleep(clock.uniform(*_RETRY))
