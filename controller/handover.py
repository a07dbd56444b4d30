"""What a leader that goes leaves for the next one: the newest version that it knows of each collection it writes (L14).

The versions are those of objects, so each has an event of its own, which comes to the successor's caches by itself: a
hand-over costs no request, however many targets there are. The last leader's caches had seen what the one before it
wrote; its own last writes are counted by the answers. A note is left only when all of that is known: after an orderly
stop, and if no write went unanswered of late. A deletion has no version; a successor that has not seen one yet deletes
again, which does nothing.

Contract: `understand` gives versions only where the note is about exactly the namespaces that are watched. Whatever
else is in a note, from another release or a person, means that nothing is known, and the API server is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from informers import SharedInformer
from informers.resource import Resource

DOUBT_SECONDS: Final = 90.0
"""How long after a write without an answer the caches may not show yet what came of it."""

Newest = Callable[[Resource, str], int]
"""The newest version of our own writes to a resource in a namespace; 0 without any."""


def tell(written: Iterable[SharedInformer[Any]], own: Newest) -> str:
    """The note."""
    versions = {str(informer.resource): _versions(informer, own) for informer in written}
    return json.dumps(versions, separators=(",", ":"))


def understand(note: str, informer: SharedInformer[Any]) -> dict[str, int] | None:
    """The versions, by namespace, that this cache has to pass; None when the note does not tell."""
    try:
        versions = json.loads(note) if note else None
    except ValueError:
        return None
    found = versions.get(str(informer.resource)) if isinstance(versions, dict) else None
    if not isinstance(found, dict) or set(found) != set(informer.status().namespaces):
        return None
    if not all(isinstance(version, int) and version >= 0 for version in found.values()):
        return None
    return found


def _versions(informer: SharedInformer[Any], own: Newest) -> dict[str, int]:
    namespaces = informer.status().namespaces
    newest = {namespace: own(informer.resource, namespace) for namespace in namespaces}
    for row in informer.store.rows():
        namespace = row.namespace if row.namespace in newest else ""
        newest[namespace] = max(newest.get(namespace, 0), row.resource_version)
    return {namespace: newest[namespace] for namespace in namespaces}
