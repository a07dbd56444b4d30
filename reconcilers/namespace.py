"""Namespaces: what the cache keeps of each, and when that matters to the targets in it.

A Namespace decides who may use a blueprint (its labels), holds annotations that its targets inherit, and its uid tells
one life of a name from the next. Nothing else of it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from informers.projection import Projection
from informers.resource import Resource
from informers.revision import parse_revision
from reconcilers.kinds import GROUP

NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A Namespace. `annotations` are only those under our prefixes."""

    name: str
    uid: str
    resource_version: int = field(compare=False)
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    terminating: bool = False
    created: str = ""
    namespace: str = ""

    def annotation(self, key: str) -> str | None:
        return next((value for name, value in self.annotations if name == key), None)


def project_namespace(obj: Mapping[str, Any]) -> NamespaceRow:
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    return NamespaceRow(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=parse_revision(metadata["resourceVersion"]),
        labels=tuple(sorted((metadata.get("labels") or {}).items())),
        annotations=tuple(sorted((key, value) for key, value in annotations.items() if _is_ours(key))),
        terminating=bool(metadata.get("deletionTimestamp")),
        created=str(metadata.get("creationTimestamp") or ""),
    )


def _is_ours(key: str) -> bool:
    domain, slash, _ = key.partition("/")
    return bool(slash) and (domain == GROUP or domain.endswith(f".{GROUP}"))


def affects_targets(old: NamespaceRow | None, new: NamespaceRow | None) -> bool:
    """Whether the targets in a namespace must be looked at after this change of it."""
    if old is None or new is None:
        return True
    return (old.uid, old.labels, old.annotations) != (new.uid, new.labels, new.annotations)


NAMESPACES: Projection[NamespaceRow] = Projection(project=project_namespace, metadata_only=True)
