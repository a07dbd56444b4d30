"""Objects as a real API server writes them: order of fields, what is left out, how text is escaped.

Built-in kinds, and anything reduced to its metadata, come from Go structs (kind and apiVersion first, metadata in the
order of its declaration, managedFields last); custom resources come from maps (keys sorted throughout).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_METADATA_ORDER = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
PARTIAL = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}


def encode(document: Any) -> bytes:
    """Like Go's encoder: no spaces, UTF-8 as it is, and the three characters that could upset a browser escaped."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def typed(document: Mapping[str, Any]) -> dict[str, Any]:
    """As a built-in kind is written."""
    rest = {key: value for key, value in document.items() if key not in ("kind", "apiVersion", "metadata")}
    return {
        "kind": document.get("kind"),
        "apiVersion": document.get("apiVersion"),
        "metadata": ordered_metadata(document.get("metadata", {})),
        **rest,
    }


def partial(document: Mapping[str, Any]) -> dict[str, Any]:
    """As PartialObjectMetadata."""
    return {**PARTIAL, "metadata": ordered_metadata(document.get("metadata", {}))}


def custom(document: Any) -> Any:
    """As a custom resource is written."""
    if isinstance(document, Mapping):
        return {key: custom(document[key]) for key in sorted(document)}
    return [custom(element) for element in document] if isinstance(document, list) else document


def ordered_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: metadata[key] for key in _METADATA_ORDER if metadata.get(key) not in (None, {}, [], "")}
    if isinstance(known.get("labels"), Mapping):
        known["labels"] = custom(known["labels"])
    if isinstance(known.get("annotations"), Mapping):
        known["annotations"] = custom(known["annotations"])
    return known


def event(kind: str, document: Any) -> bytes:
    """One line of a watch."""
    return encode({"type": kind, "object": document}) + b"\n"


def status(code: int, reason: str, message: str = "", **details: Any) -> dict[str, Any]:
    """The object that stands for a failure."""
    body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body |= {"message": message or reason, "reason": reason}
    if details:
        body["details"] = details
    return {**body, "code": code}
