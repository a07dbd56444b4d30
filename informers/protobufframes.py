"""From the bytes of a protobuf watch to events; pure functions and one small splitter, no I/O.

Contract: the same as `frames.py` has for JSON, for streams that carry metadata only. Each frame is led by four bytes
that say how long it is: `FrameSplitter` makes whole frames of chunks, whose borders mean nothing (R23); one of more
than 16 MiB is refused (R22), and what is left when the stream ends is a fragment that nobody may use (R21).
`decode_frame` turns one into a `RawEvent` whose document is the one that JSON would have given, or raises
`DecodeError`. `identify_frame` finds out which object an undecodable frame was about, if that is certain (R20).

On the wire: WatchEvent {1: type, 2: RawExtension {1: raw}}; raw is the magic `k8s\\0` and Unknown {1: TypeMeta {1:
apiVersion, 2: kind}, 2: object}; field 1 of the object is its metadata. ERROR carries a Status instead.

The short cut, exact like those of JSON: a frame without the projection's marker anywhere is of no interest. Of it only
type, name, namespace, uid and resourceVersion are read, which stand at its head, in this order, in what a Go server
writes. A pattern finds them, and each length is compared; what is not exactly so is decoded field by field. Of a
frame with the marker only what comes behind them is.

Source: apiserver `pkg/endpoints/handlers/watch.go`; apimachinery `pkg/runtime/serializer/protobuf`.
"""

from __future__ import annotations

import re
from struct import Struct
from sys import intern
from typing import Any, NamedTuple

from informers.errors import DecodeError
from informers.frames import MAX_LINE, RawEvent, to_event
from informers.protobuf import Malformed, read_fields, read_message, read_text, read_varint
from informers.protobufmeta import read_metadata, read_status
from informers.resource import ObjectKey

MAGIC = b"k8s\0"

_LENGTH = Struct(">I")
_API_VERSION, _KIND = "meta.k8s.io/v1", "PartialObjectMetadata"
_HEAD = re.compile(
    rb"\n.(ADDED|MODIFIED|DELETED)\x12[\x80-\xff]*.\n[\x80-\xff]*.k8s\0"
    rb"\n'\n\x0emeta\.k8s\.io/v1\x12\x15PartialObjectMetadata\x12[\x80-\xff]*.\n([\x80-\xff]*.)"
    rb"\n(.)([!-~]+)\x12(.)([!-~]*)\x1a(.)([a-z0-9.-]*)\"\0\*",
    re.DOTALL,
)
_REVISION_TAG = 0x32
_TAIL = b'\x1a\0"\0'  # what ends the Unknown, and with it everything around it


class _Head(NamedTuple):
    """The event without its document, and where the rest of its metadata is."""

    event: RawEvent
    generated: bytes
    size: bytes
    start: int
    end: int


class FrameSplitter:
    """Whole frames out of arbitrary chunks."""

    __slots__ = ("_limit", "_missing", "_parts", "_pending")

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        # The parts of an unfinished frame, joined once when it is complete: growing is linear.
        self._parts: list[bytes] = []
        self._pending = 0
        self._missing = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk completes."""
        if self._pending:
            self._parts.append(chunk)
            self._pending += len(chunk)
            if self._pending < self._missing:
                return []
            chunk = b"".join(self._parts)
            self._parts.clear()
            self._pending = 0
        frames: list[bytes] = []
        at, end = 0, len(chunk)
        needed = 4
        while end - at >= 4:
            (size,) = _LENGTH.unpack_from(chunk, at)
            if size > self._limit:
                raise DecodeError(
                    "read a watch frame", reason="FrameTooLong", message=f"{size} bytes are more than {self._limit}"
                )
            needed = size + 4
            if at + needed > end:
                break
            if size:
                frames.append(chunk[at + 4 : at + needed])
            at += needed
            needed = 4
        if at < end:
            self._parts.append(chunk[at:])
            self._pending = end - at
            self._missing = needed
        return frames

    @property
    def fragment(self) -> int:
        """The bytes of a frame that has not ended yet."""
        return self._pending


def decode_frame(frame: bytes, *, metadata_only: bool = True, marker: bytes | None = None) -> RawEvent:
    """The event in one frame. There is only metadata in protobuf, so that `metadata_only` is always true."""
    head = _read_head(frame)
    if head is not None and marker is not None and marker not in frame:
        return head.event
    try:
        event = None if head is None else _read_rest(frame, head)
        if event is not None:
            return event
        kind, document = _read_event(frame)
    except Malformed as error:
        raise DecodeError(
            "decode a watch frame", reason="Malformed", message=f"{len(frame)} bytes of protobuf: {error}"
        ) from error
    return to_event({"type": kind, "object": document})


def identify_frame(frame: bytes) -> ObjectKey | None:
    """The object that a frame is about, or None unless that is certain."""
    head = _read_head(frame)
    return None if head is None else ObjectKey(head.event.namespace, head.event.name)


def read_object(raw: bytes) -> tuple[str, str, bytes]:
    """(apiVersion, kind, message) of what the magic leads."""
    if not raw.startswith(MAGIC):
        raise Malformed("no object that Kubernetes wrote")
    api_version = kind = ""
    message = b""
    for number, value in read_fields(raw[len(MAGIC) :]):
        if number == 1:
            for part, text in read_fields(read_message(value)):
                if part == 1:
                    api_version = read_text(text)
                elif part == 2:
                    kind = read_text(text)
        elif number == 2:
            message = read_message(value)
    return api_version, kind, message


def _read_event(frame: bytes) -> tuple[str, dict[str, Any]]:
    type_, raw = "", b""
    for number, value in read_fields(frame):
        if number == 1:
            type_ = read_text(value)
        elif number == 2:
            for part, inner in read_fields(read_message(value)):
                if part == 1:
                    raw = read_message(inner)
    if not type_:
        raise Malformed("no event type in it")
    api_version, kind, message = read_object(raw)
    if (api_version, kind) == ("v1", "Status"):
        return type_, read_status(message)
    return type_, {"kind": kind, "apiVersion": api_version, "metadata": _first_field(message)}


def _first_field(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in read_fields(message):
        if number == 1:
            found = read_metadata(read_message(value))
    return found


def _read_head(frame: bytes) -> _Head | None:
    match = _HEAD.match(frame)
    if match is None:
        return None
    kind, size, name_size, name, generated_size, generated, namespace_size, namespace = match.groups()
    if len(name) != name_size[0] or len(generated) != generated_size[0] or len(namespace) != namespace_size[0]:
        return None
    at = match.end()
    try:
        end = at + 1 + frame[at]
        uid = frame[at + 1 : end]
        at = end + 2
        end = at + frame[end + 1]
        if frame[at - 2] != _REVISION_TAG or end > len(frame) or not uid:
            return None
        revision = frame[at:end]
        if not revision.isdigit():
            return None
        event = RawEvent(
            kind.decode(), intern(namespace.decode()), name.decode(), uid.decode(), revision.decode(), None
        )
    except (IndexError, UnicodeDecodeError):
        return None
    return _Head(event, generated, size, match.start(3) - 1, end)


def _read_rest(frame: bytes, head: _Head) -> RawEvent | None:
    size, _ = read_varint(head.size)
    end = head.start + size
    if frame[end:] != _TAIL or end < head.end:
        return None
    event = head.event
    metadata = {"name": event.name, "namespace": event.namespace, "uid": event.uid}
    metadata["resourceVersion"] = event.resource_version
    if not event.namespace:
        del metadata["namespace"]
    if head.generated:
        metadata["generateName"] = head.generated.decode()
    metadata |= read_metadata(frame, head.end, end)
    return event._replace(document={"kind": _KIND, "apiVersion": _API_VERSION, "metadata": metadata})
