"""Server-side apply in miniature: who owns which field, what an apply changes, when it conflicts.

Maps are granular, lists are one leaf (as in our CRDs), `metadata.ownerReferences` is keyed by uid with whole elements.
An owned set is kept as `fieldsV1` in `metadata.managedFields`, exactly as the API server shows it, because that text
is what `reconcilers.fields` reads.

Source: KEP-555, structured-merge-diff `fieldpath` and `merge`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Path = tuple[str, ...]
Entry = tuple[str, str, str]
"""Manager, operation, subresource."""

_SERVER_METADATA = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
_SERVER_METADATA_MARKS = ("deletionTimestamp", "deletionGracePeriodSeconds", "finalizers")


class ConflictError(Exception):
    """409: another manager owns a field with another value, or the uid is not the live one."""


class MissingError(Exception):
    """An apply or delete named the uid of an object that is not there."""


def leaves(content: Mapping[str, Any]) -> dict[Path, Any]:
    """Every owned path of an applied configuration and its value; names and server fields are nobody's."""
    found = {path: value for name, value in content.items() for path, value in _leaves(value, (f"f:{name}",))}
    return {path: value for path, value in found.items() if not _of_server(path)}


def _of_server(path: Path) -> bool:
    if path[0] in ("f:apiVersion", "f:kind") or path == ("f:metadata",):
        return True
    return path[0] == "f:metadata" and path[1][2:] in _SERVER_METADATA + _SERVER_METADATA_MARKS


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, (*path, f"f:{name}"))
    elif path == ("f:metadata", "f:ownerReferences"):
        for item in value or ():
            yield (*path, "k:" + json.dumps({"uid": item["uid"]}, separators=(",", ":"))), item
    else:
        yield path, value


def fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in paths:
        at = root
        for element in path:
            at = at.setdefault(element, {})
    return root


def paths_of(fields: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    children = {name: sub for name, sub in fields.items() if name != "."}
    if path and len(children) < max(1, len(fields)):
        yield path
    for name, sub in children.items():
        yield from paths_of(sub, (*path, name))


def owners(obj: Mapping[str, Any]) -> dict[Entry, set[Path]]:
    """Who owns what of a live object."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): set(paths_of(entry["fieldsV1"]))
        for entry in obj["metadata"].get("managedFields", ())
    }


def write_owners(obj: dict[str, Any], owned: Mapping[Entry, set[Path]]) -> None:
    entries = []
    for (manager, operation, subresource), paths in sorted(owned.items()):
        if not paths:
            continue
        entry = {
            "manager": manager,
            "operation": operation,
            "apiVersion": obj["apiVersion"],
            "fieldsType": "FieldsV1",
            "fieldsV1": fields_v1(paths),
        }
        if subresource:
            entry["subresource"] = subresource
        entries.append(entry)
    obj["metadata"]["managedFields"] = entries


def apply(
    live: Mapping[str, Any] | None, body: Mapping[str, Any], *, manager: str, force: bool, subresource: str = ""
) -> dict[str, Any]:
    """The object after `manager` applied `body`; raises ConflictError or MissingError as the server would."""
    uid = body["metadata"].get("uid", "")
    if live is None and uid:
        raise MissingError(f"uid {uid} in precondition, but there is no such object")
    if live is not None and uid and uid != live["metadata"]["uid"]:
        raise ConflictError(f"uid {uid} in precondition, uid {live['metadata']['uid']} in object meta")
    version = body["metadata"].get("resourceVersion", "")
    if live is not None and version and version != live["metadata"]["resourceVersion"]:
        raise ConflictError("the object has been modified")
    if live is None:
        result = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": _identity(body)}
    else:
        result = copy.deepcopy(dict(live))
    wanted = leaves(body)
    owned = owners(result)
    me: Entry = (manager, "Apply", subresource)
    before = owned.get(me, set())
    conflicts = [
        (entry, path)
        for entry, paths in owned.items()
        for path, value in wanted.items()
        if entry != me and path in paths and look(result, path) != value
    ]
    if conflicts and not force:
        (other, _, _), path = conflicts[0]
        raise ConflictError(f"{'.'.join(path)} is owned by {other}")
    for entry, path in conflicts:
        owned[entry].discard(path)
    owned[me] = set(wanted)
    for path in before - set(wanted):
        if not any(path in paths for entry, paths in owned.items() if entry != me):
            remove(result, path)
    for path, value in wanted.items():
        put(result, path, copy.deepcopy(value))
    write_owners(result, owned)
    return result


def update(live: Mapping[str, Any], new: Mapping[str, Any], *, manager: str) -> dict[str, Any]:
    """The object after `manager` replaced its content by an ordinary update: what it changed is its own now."""
    result = copy.deepcopy(dict(new))
    result["metadata"]["managedFields"] = copy.deepcopy(live["metadata"].get("managedFields", []))
    before, after = leaves(live), leaves(result)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = set(before) - set(after)
    owned = owners(result)
    for paths in owned.values():
        paths.difference_update(changed | gone)
    owned.setdefault((manager, "Update", ""), set()).update(changed)
    write_owners(result, owned)
    return result


def _identity(body: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body["metadata"].items() if k in ("name", "namespace")}


def look(obj: Any, path: Path) -> Any:
    """The live value at a path, None when it is absent."""
    for element in path:
        if element.startswith("f:"):
            obj = obj.get(element[2:]) if isinstance(obj, Mapping) else None
        else:
            wanted = json.loads(element[2:])
            items = obj if isinstance(obj, list) else []
            obj = next((item for item in items if all(item.get(k) == v for k, v in wanted.items())), None)
    return obj


def put(obj: dict[str, Any], path: Path, value: Any) -> None:
    name = path[0][2:]
    if len(path) == 1:
        if not (value == {} and isinstance(obj.get(name), dict)):
            obj[name] = value
    elif path[1].startswith("k:"):
        items = [item for item in obj.get(name) or [] if not _selects(path[1], item)]
        obj[name] = [*items, value]
    else:
        if not isinstance(obj.get(name), dict):
            obj[name] = {}
        put(obj[name], path[1:], value)


def remove(obj: dict[str, Any], path: Path) -> None:
    name = path[0][2:]
    if len(path) == 1:
        obj.pop(name, None)
    elif path[1].startswith("k:"):
        obj[name] = [item for item in obj.get(name) or [] if not _selects(path[1], item)]
        if not obj[name]:
            del obj[name]
    elif isinstance(obj.get(name), dict):
        remove(obj[name], path[1:])
        if not obj[name]:
            del obj[name]


def _selects(element: str, item: Mapping[str, Any]) -> bool:
    return all(item.get(k) == v for k, v in json.loads(element[2:]).items())
