"""From the bytes of a watch to events; pure functions and one small splitter, no I/O.

Contract: `LineSplitter` turns chunks into whole lines: borders of chunks mean nothing, blank lines are
skipped (R23), a line may have up to 16 MiB (R22), and what is left when the stream ends is a fragment that
nobody may use (R21). `decode_line` turns one line into a `RawEvent`, or raises `DecodeError`. `identify`
finds out which object an undecodable line was about, if that is certain (R20).

Two short cuts, both taken only where they are exact, both for metadata-only streams:

- `managedFields` is half of an object, and the last field of its metadata in what a Go server writes. The
  line is cut in front of it and closed again. Inside a JSON string a quote is always escaped, so the bytes
  searched for can occur nowhere else. If name, uid or resourceVersion should be missing afterwards, the whole
  line is decoded.
- An object without the projection's marker in what is left is not of interest, so that only its type, name,
  namespace, uid and resourceVersion are read, by a pattern anchored at the head of the line, where a Go
  server writes them first and in this order. If the pattern does not match, or something is escaped in a way
  that could hide the marker, the line is decoded.

Invariant (a differential test over a hostile corpus proves it): with and without the short cuts, the events
are equal, except that `document` is None where the marker is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any, NamedTuple

from informers.errors import DecodeError
from informers.resource import ObjectKey

MAX_LINE = 16 * 1024 * 1024
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
OBJECT_EVENTS = frozenset(("ADDED", "MODIFIED", "DELETED"))

_MANAGED_FIELDS = b',"managedFields":['
_HEAD = re.compile(
    rb'\{"type":"(ADDED|MODIFIED|DELETED)","object":\{"kind":"[^"\\]*","apiVersion":"[^"\\]*","metadata":\{'
    rb'"name":"([^"\\]+)"(?:,"generateName":"[^"\\]*")?(?:,"namespace":"([^"\\]*)")?(?:,"selfLink":"[^"\\]*")?'
    rb',"uid":"([^"\\]+)","resourceVersion":"([^"\\]+)"'
)
_HIDING = re.compile(rb"\\/|\\u00(?!3c|3e|26)")
# Keys in alphabetical order, as custom resources are written: no anchor, so it must match exactly once.
_SORTED = re.compile(
    rb'"name":"([^"\\]+)"(?:,"namespace":"([^"\\]*)")?(?:,"ownerReferences":\[[^\]]*\])?'
    rb'(?:,"resourceVersion":"[^"\\]*")(?:,"selfLink":"[^"\\]*")?,"uid":"[^"\\]*"\}'
)


class RawEvent(NamedTuple):
    """One line of a watch. `document` is None when the object is known to be of no interest."""

    type: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    document: Mapping[str, Any] | None

    @property
    def ends_initial_events(self) -> bool:
        """Whether this bookmark closes the initial events of a streaming list (R3)."""
        if self.document is None:
            return False
        annotations = self.document.get("metadata", {}).get("annotations")
        return isinstance(annotations, dict) and annotations.get(INITIAL_EVENTS_END) == "true"


class LineSplitter:
    """Whole lines out of arbitrary chunks."""

    __slots__ = ("_limit", "_parts", "_pending")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        # The parts of an unfinished line, joined once when it is complete: growing is linear.
        self._parts: list[bytes] = []
        self._pending = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes."""
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        lines = chunk.split(b"\n")
        if self._parts:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
            self._parts.clear()
            self._pending = 0
        self._keep(lines.pop())
        return [line for line in lines if line and not line.isspace()]

    @property
    def fragment(self) -> int:
        """The bytes of a line that has not ended yet."""
        return self._pending

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        self._parts.append(part)
        self._pending += len(part)
        if self._pending > self._limit:
            raise DecodeError(
                "read a watch line", reason="LineTooLong", message=f"no line end within {self._limit} bytes"
            )


def decode_line(line: bytes, *, metadata_only: bool = False, marker: bytes | None = None) -> RawEvent:
    """The event in one line."""
    if not metadata_only:
        return to_event(_load(line))
    cut = line.find(_MANAGED_FIELDS)
    end = cut if cut >= 0 else len(line)
    if marker is not None and line.find(marker, 0, end) < 0:
        event = _skim(line, end)
        if event is not None:
            return event
    if cut < 0:
        return to_event(_load(line))
    try:
        event = to_event(_load(line[:cut] + b"}}}"))
    except DecodeError:
        return to_event(_load(line))
    return event if event.uid else to_event(_load(line))


def decode_item(item: object, *, api_version: str, kind: str) -> RawEvent:
    """One element of a LIST as the event it stands for; lists leave out what all their items have in common."""
    if isinstance(item, dict):
        item.setdefault("apiVersion", api_version)
        item.setdefault("kind", kind)
    return to_event({"type": "ADDED", "object": item})


def identify(line: bytes) -> ObjectKey | None:
    """The object that a line is about, or None unless that is certain."""
    match = _HEAD.match(line)
    if match is None:
        found = list(_SORTED.finditer(line))
        if len(found) != 1:
            return None
        name, namespace = found[0].group(1, 2)
    else:
        name, namespace = match.group(2, 3)
    try:
        return ObjectKey((namespace or b"").decode(), name.decode())
    except UnicodeDecodeError:
        return None


def count_types(events: Iterable[str]) -> dict[str, int]:
    """How many of each type; everything outside the protocol is UNKNOWN (H11)."""
    counts: dict[str, int] = {}
    for kind in events:
        name = kind if kind in OBJECT_EVENTS or kind in ("BOOKMARK", "ERROR") else "UNKNOWN"
        counts[name] = counts.get(name, 0) + 1
    return counts


def _skim(line: bytes, end: int) -> RawEvent | None:
    match = _HEAD.match(line, 0, end)
    if match is None or _may_hide(line, end):
        return None
    kind, name, namespace, uid, revision = match.groups()
    try:
        return RawEvent(
            kind.decode(), intern((namespace or b"").decode()), name.decode(), uid.decode(), revision.decode(), None
        )
    except UnicodeDecodeError:
        return None


def _may_hide(line: bytes, end: int) -> bool:
    # An encoder may write any character as \uXXXX and a slash as \/: then the marker could be there unseen. Most
    # objects have no backslash, which one search for a byte tells; two searches for fixed bytes still cost a tenth of
    # the pattern, which tells apart the three characters that Go escapes.
    if line.find(b"\\", 0, end) < 0 or (line.find(b"\\u00", 0, end) < 0 and line.find(b"\\/", 0, end) < 0):
        return False
    return _HIDING.search(line, 0, end) is not None


def _load(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    # Too deep a nesting is a RecursionError; wrong bytes and wrong syntax are ValueErrors.
    except (ValueError, RecursionError) as error:
        raise DecodeError(
            "decode a watch line", reason=type(error).__name__, message=f"{len(text)} bytes: {error}"
        ) from error


def to_event(frame: Any) -> RawEvent:
    """The event in a decoded frame, however it was encoded."""
    kind = frame.get("type") if isinstance(frame, dict) else None
    document = frame.get("object") if isinstance(frame, dict) else None
    if not isinstance(kind, str) or not isinstance(document, dict):
        raise DecodeError("decode a watch line", reason="BadFrame", message="no event type and object in it")
    metadata = document.get("metadata")
    if kind not in OBJECT_EVENTS:
        revision = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        return RawEvent(kind, "", "", "", revision if isinstance(revision, str) else "", document)
    if not isinstance(metadata, dict):
        raise DecodeError("decode a watch line", reason="BadObject", message=f"{kind} without metadata")
    name = metadata.get("name")
    namespace = metadata.get("namespace", "")
    uid = metadata.get("uid", "")
    revision = metadata.get("resourceVersion")
    if not (name and revision) or not all(isinstance(text, str) for text in (name, namespace, uid, revision)):
        raise DecodeError(
            "decode a watch line", reason="BadObject", message=f"{kind} whose metadata has no name or resourceVersion"
        )
    # One string per namespace instead of one per object: the rows keep it.
    if namespace:
        namespace = metadata["namespace"] = intern(namespace)
    return RawEvent(kind, namespace, name, uid, revision, document)
