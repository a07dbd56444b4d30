"""What is listed and watched, and how a single object is named.

Contract: a `Resource` is one served collection (group, version, plural); an `ObjectKey` names an object in it
and never carries a uid (S1: the uid belongs to the row, so that a re-created object is seen as one key with
two lives).

Invariant: a path is built from validated segments only. A segment that the API server itself would refuse
("", ".", "..", or one that contains "/" or "%") raises `ValueError` before any request is made, so no value
taken from an annotation can ever address another object.

Source of the idea: apimachinery `pkg/runtime/schema/group_version.go` and `pkg/api/validation/path/name.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote


class ObjectKey(NamedTuple):
    """Namespace and name; the namespace of a cluster-scoped object is the empty string."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource:
    """One served collection, for example `Resource("apps", "v1", "deployments", "Deployment")`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def api_path(self) -> str:
        """The root of the group and version: `/apis/apps/v1`, or `/api/v1` for the core group."""
        root = "apis" if self.group else "api"
        return f"/{root}/{self.api_version}"

    def collection_path(self, namespace: str | None = None) -> str:
        """The path to list, watch or create in; without a namespace, of the whole cluster."""
        if not namespace:
            return f"{self.api_path}/{self.plural}"
        if not self.namespaced:
            raise ValueError(f"{self} is cluster-scoped: it has no collection in namespace {namespace!r}")
        return f"{self.api_path}/namespaces/{_segment(namespace)}/{self.plural}"

    def object_path(self, key: ObjectKey, subresource: str = "") -> str:
        """The path of one object, or of its subresource (for example `status`)."""
        if self.namespaced and not key.namespace:
            raise ValueError(f"{self} is namespaced: {key.name!r} needs a namespace")
        path = f"{self.collection_path(key.namespace or None)}/{_segment(key.name)}"
        return f"{path}/{_segment(subresource)}" if subresource else path

    def __str__(self) -> str:
        """`deployments.apps/v1`: unique, and how people name a resource to kubectl."""
        return f"{self.plural}.{self.api_version}" if self.group else f"{self.plural}/{self.version}"


def _segment(value: str) -> str:
    if value in ("", ".", "..") or "/" in value or "%" in value:
        raise ValueError(
            f"{value!r} cannot be part of an API path: a name is neither empty nor '.' nor '..', "
            "and contains neither '/' nor '%'"
        )
    return quote(value, safe=":@!$&'()*+,;=~")
