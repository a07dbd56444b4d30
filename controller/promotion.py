"""What a new leader does before its first plan: see everything that its predecessor wrote (L14).

A standby is warm, but its caches may lag. A plan made on a state from before the predecessor's last write would undo
it. So, after the Lease is won, each resource that we write is asked for its collection's version, by a consistent LIST
of one object, and nothing is planned until the cache has passed it. Versions are compared within one resource only.

A leader that stopped in an orderly way left these versions in the Lease (`handover.py`). Otherwise the API server is
asked. A cache learns of versions by events and, once a minute, by bookmarks: on a quiet resource it would take that
minute to pass a version that was counted up by others. So a cache that is behind is asked to read its collection again
at once; after an orderly hand-over, only if the events do not come.

Sources: KEP-2340 (consistent reads), KEP-5504 (comparable versions); "stale state" in the Sieve paper, OSDI'22.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from controller.handover import understand
from informers import SharedInformer
from informers.clock import Clock
from informers.resource import Resource
from informers.revision import parse_revision
from informers.transport import Transport

_ACCEPT: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_SECONDS: Final = 10.0
_LOOK_AGAIN: Final = 0.005
_PATIENCE: Final = 0.25
_RETRY: Final = (0.5, 1.5)

_log = structlog.get_logger("leader-election")


async def catch_up(
    transport: Transport, clock: Clock, written: Iterable[SharedInformer[Any]], *, note: str = ""
) -> None:
    """Until these caches show what the last leader wrote: by its note, or else what the API server has now."""
    started = clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for informer in written:
            job = _catch_up(transport, clock, informer, told=understand(note, informer))
            tasks.create_task(job, name=f"catch up with {informer.name}")
    _log.info("Caches have caught up", duration_s=round(clock.monotonic() - started, 3), by_note=bool(note))


async def _catch_up(
    transport: Transport, clock: Clock, informer: SharedInformer[Any], *, told: Mapping[str, int] | None
) -> None:
    if told is not None:
        patience = clock.monotonic() + _PATIENCE
        while _is_behind(informer, told) and clock.monotonic() < patience:
            await clock.sleep(_LOOK_AGAIN)
        if not _is_behind(informer, told):
            return
    wanted = {
        namespace: await _version(transport, clock, informer.resource, namespace)
        for namespace in informer.status().namespaces
    }
    if _is_behind(informer, wanted):
        informer.refresh()
    while _is_behind(informer, wanted):
        await clock.sleep(_LOOK_AGAIN)


def _is_behind(informer: SharedInformer[Any], wanted: Mapping[str, int]) -> bool:
    return any(informer.store.last_sync_rv(namespace) < version for namespace, version in wanted.items())


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
