"""Is the store what the server has? A self-check for tests and for doubts (R28).

Contract: `check` takes a snapshot of a synced informer's rows, reads the collection at exactly the version that the
snapshot reaches, projects what it reads with the same projection, and compares key, uid and version of each row.
It raises `Inconsistent` that names up to ten differences. It needs a version that the server still has: check soon.

Cost: a whole LIST, unpaged. Not for every day, and not on the path of anything.

Source of the idea: client-go `util/consistencydetector`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from informers.errors import DecodeError
from informers.frames import decode_item
from informers.listing import ACCEPT_METADATA, ACCEPT_OBJECTS, LIST_SECONDS, Page
from informers.projection import Row
from informers.resource import ObjectKey
from informers.shared import SharedInformer
from informers.transport import Transport

R = TypeVar("R", bound=Row)
_SHOWN = 10


class Inconsistent(Exception):
    """A store differs from the collection that it mirrors, at one and the same version."""


async def check(transport: Transport, informer: SharedInformer[R]) -> int:
    """Compare now; returns how many rows were compared."""
    compared = 0
    for namespace in informer.status().namespaces:
        compared += await _check_slice(transport, informer, namespace)
    return compared


async def _check_slice(transport: Transport, informer: SharedInformer[R], namespace: str) -> int:
    revision = informer.store.last_sync_rv(namespace)
    stored = {
        ObjectKey(row.namespace, row.name): (row.uid, row.resource_version)
        for row in informer.store.rows()
        if namespace in ("", row.namespace)
    }
    path = informer.resource.collection_path(namespace or None)
    response = await transport.request(
        "GET",
        path,
        query={"resourceVersion": str(revision), "resourceVersionMatch": "Exact"},
        accept=ACCEPT_METADATA if informer.projection.metadata_only else ACCEPT_OBJECTS,
        timeout=LIST_SECONDS,
    )
    page = Page(response.json(), informer.resource, attempt=f"GET {path}", first=True)
    served: dict[ObjectKey, tuple[str, int]] = {}
    for item in page.items:
        row = _project(informer, item, api_version=page.api_version, kind=page.item_kind)
        if row is not None:
            served[ObjectKey(row.namespace, row.name)] = (row.uid, row.resource_version)
    differences = _differences(stored, served)
    if differences:
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise Inconsistent(f"{informer.name} at version {revision}: " + "; ".join(differences[:_SHOWN]) + more)
    return len(served)


def _project(informer: SharedInformer[R], item: Any, *, api_version: str, kind: str) -> R | None:
    try:
        event = decode_item(item, api_version=api_version, kind=kind)
        return None if event.document is None else informer.projection.project(event.document)
    except (DecodeError, ValueError, KeyError, TypeError, AttributeError):
        return None  # what cannot be projected has no row to compare


def _differences(stored: Mapping[ObjectKey, tuple[str, int]], served: Mapping[ObjectKey, tuple[str, int]]) -> list[str]:
    found = [f"{key} is stored and not served" for key in stored.keys() - served.keys()]
    found += [f"{key} is served and not stored" for key in served.keys() - stored.keys()]
    for key in stored.keys() & served.keys():
        if stored[key] != served[key]:
            found.append(f"{key} is stored as {stored[key]} and served as {served[key]}")
    return sorted(found)
