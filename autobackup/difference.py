"""What an apply or a deletion would change, shown field by field.

Contract: pure. `Change` holds an object before and after; both without what the API server keeps for itself
(managedFields, versions, times, status), so that two equal objects differ in nothing.

`foreseen` says what an apply would make of a live object without asking the server: our own fields that are no longer
wanted go, the wanted ones are laid over the rest. That is server-side apply for schemas whose lists are atomic, as
those of our CRDs are; defaults and admission are the server's own and not in it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autobackup import yamltext
from autobackup.objects import name_of
from reconcilers.marks import PRODUCT

_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after; None where it is not there."""

    kind: str
    namespace: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def action(self) -> str:
        if self.before == self.after:
            return "unchanged"
        if self.before is None:
            return "create"
        return "update" if self.after is not None else "delete"

    def as_json(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "before": self.before,
            "after": self.after,
        }


def comparable(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what the server keeps for itself."""
    found = {name: value for name, value in obj.items() if name != "status"}
    found["metadata"] = {k: v for k, v in obj.get("metadata", {}).items() if k not in _SERVERS_OWN and v is not None}
    return found


def foreseen(live: Mapping[str, Any] | None, desired: Mapping[str, Any], *, manager: str = PRODUCT) -> dict[str, Any]:
    """What applying `desired` as `manager` would make of `live`, as far as it can be told from here."""
    if live is None:
        return dict(desired)
    owned: Mapping[str, Any] = {}
    for entry in live.get("metadata", {}).get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            owned = entry.get("fieldsV1") or {}
    left = _without(live, owned, desired)
    return _laid_over(left if isinstance(left, Mapping) else {}, desired)


def _without(live: Any, owned: Mapping[str, Any], desired: Any) -> Any:
    """`live` without the fields that we own and no longer want."""
    if not isinstance(live, Mapping):
        return live
    found = dict(live)
    for name, inner in owned.items():
        key = name.removeprefix("f:")
        if not name.startswith("f:") or key not in found:
            continue
        wanted = desired.get(key) if isinstance(desired, Mapping) else None
        if not any(field.startswith("f:") for field in inner):
            if wanted is None:
                del found[key]
        else:
            found[key] = _without(found[key], inner, wanted)
            if not found[key] and wanted is None:
                del found[key]
    return found


def _laid_over(live: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(live)
    for key, value in desired.items():
        before = found.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        found[key] = _laid_over(before, value) if both else value  # type: ignore[arg-type]
    return found


def unified(change: Change, *, ascii_only: bool = False) -> str:
    """The change as a unified diff of YAML."""
    label = f"{change.kind} {change.namespace}/{change.name}"
    before, after = (_lines(side, ascii_only) for side in (change.before, change.after))
    lines = difflib.unified_diff(
        before,
        after,
        fromfile=f"live: {label}" if change.before is not None else "live: (none)",
        tofile=f"{change.action}: {label}" if change.after is not None else f"delete: {label}",
    )
    return "".join(lines)


def _lines(obj: Mapping[str, Any] | None, ascii_only: bool) -> list[str]:
    if obj is None:
        return []
    return yamltext.write(_sorted(obj), ascii_only=ascii_only).splitlines(keepends=True)


def _sorted(value: Any) -> Any:
    """With keys in one order, so that only content differs."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value


def render(changes: Iterable[Change], output: str | None, *, ascii_only: bool = False) -> str:
    """The changes as a unified diff, as JSON, or as names."""
    found = list(changes)
    if output == "json":
        return json.dumps({"changes": [change.as_json() for change in found]}, indent=2, ensure_ascii=ascii_only) + "\n"
    if output == "name":
        return "".join(f"{name_of(change.kind, change.name)}\n" for change in found)
    return "".join(unified(change, ascii_only=ascii_only) for change in found)
