"""Telling from the cache alone whether an apply would change anything.

A subset comparison of desired against live cannot see removals: a field that we applied yesterday and no longer want
is still there, and the subset still matches. So the comparison is made over *what our field manager owns*: from the
live object we cut out exactly the fields that its `managedFields` entry of ours lists (`fieldsV1`), together with
their live values, and take a digest of that; the digest of a desired object is taken over its own content. The two are
equal if and only if an apply would be a no-op: a changed value differs, a field that somebody else took over or
removed is no longer owned, and a field that we no longer want is still owned.

This relies on the lists in our CRDs being atomic, so that a list is one leaf; the only associative list in what we
apply is `metadata.ownerReferences`.

A map that we apply empty and that somebody else fills looks changed: fieldsV1 does not say whether a map is owned whole
or only as being there. Such an object is applied once more, and what the server made of it is remembered.

Source: KEP-555 (server-side apply), structured-merge-diff `fieldpath/serialize.go` for the format of fieldsV1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from reconcilers.marks import PRODUCT as MANAGER

_IDENTITY = ("apiVersion", "kind")
_IDENTITY_METADATA = ("name", "namespace", "uid")
_ABSENT = object()


def digest(content: Any) -> str:
    """A short stable digest of JSON-like content; the order of keys does not matter."""
    encoded = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )
    return blake2b(encoded, digest_size=12).hexdigest()


def desired_fingerprint(body: Mapping[str, Any]) -> str:
    """The fingerprint that the live object will have once `body` is applied."""
    content = {name: value for name, value in body.items() if name not in _IDENTITY}
    metadata = {k: v for k, v in body.get("metadata", {}).items() if k not in _IDENTITY_METADATA}
    content.pop("metadata", None)
    if metadata:
        content["metadata"] = metadata
    return digest(content)


def live_fingerprint(obj: Mapping[str, Any], *, manager: str = MANAGER) -> str:
    """The fingerprint of what `manager` owns of a live object; "" when it has applied nothing to it."""
    fields = _owned(obj, manager)
    return "" if fields is None else digest(_cut(obj, fields))


def owned_keys(obj: Mapping[str, Any], name: str, *, manager: str = MANAGER) -> frozenset[str]:
    """The keys of the map `name` that `manager` applied and that nobody else set or changed since. Told without their
    values, which need not be there."""
    fields = (_owned(obj, manager) or {}).get(f"f:{name}") or {}
    return frozenset(field.removeprefix("f:") for field in fields if field.startswith("f:"))


def owned_annotation(obj: Mapping[str, Any], key: str, *, manager: str = MANAGER) -> str:
    """The value of an annotation as `manager` applied it; "" when somebody else set or changed it since."""
    metadata = (_owned(obj, manager) or {}).get("f:metadata") or {}
    if f"f:{key}" not in (metadata.get("f:annotations") or {}):
        return ""
    return str((obj["metadata"].get("annotations") or {}).get(key, ""))


def owned_field(obj: Mapping[str, Any], *path: str, manager: str = MANAGER) -> Any:
    """What `manager` owns of one field; None when it is nothing."""
    value, fields = obj, _owned(obj, manager) or {}
    for name in path:
        if f"f:{name}" not in fields:
            return None
        value, fields = (value or {}).get(name) or {}, fields[f"f:{name}"]
    return _cut(value, fields)


def _owned(obj: Mapping[str, Any], manager: str) -> Mapping[str, Any] | None:
    """The fieldsV1 of what `manager` applied to the object itself."""
    for entry in obj["metadata"].get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields: Mapping[str, Any] = entry.get("fieldsV1") or {}
            return fields
    return None


def _cut(value: Any, fields: Mapping[str, Any]) -> Any:
    """The part of `value` that `fields` (fieldsV1) names. An owned field that is gone shows as None."""
    if not fields:
        return value
    source = value if isinstance(value, dict) else {}
    cut = {name[2:]: _cut(source.get(name[2:]), sub) for name, sub in fields.items() if name.startswith("f:")}
    if cut:
        return cut
    items = sorted((name, sub) for name, sub in fields.items() if name != ".")
    return [_cut(_find(value, name), sub) for name, sub in items] if items else value


def _find(items: Any, selector: str) -> Any:
    if not isinstance(items, list):
        return None
    kind, _, text = selector.partition(":")
    wanted = json.loads(text)
    if kind == "v":
        return wanted if wanted in items else None
    if kind == "i":
        return items[wanted] if 0 <= wanted < len(items) else None
    for item in items:
        if isinstance(item, Mapping) and all(item.get(k, _ABSENT) == v for k, v in wanted.items()):
            return item
    return None


def prune(value: Any) -> Any:
    """`value` without nulls, which the API server drops and which would make every comparison fail."""
    if isinstance(value, Mapping):
        return {k: prune(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [prune(item) for item in value]
    return value
