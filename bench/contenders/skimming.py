"""Watch events in protobuf, skimmed by hand: as much of them as our informer reads of JSON.

A WatchEvent is {1: type, 2: {1: raw}}; raw is four bytes of magic and an Unknown {2: raw}, in which is the object,
whose field 1 is its metadata. On the wire each is led by four bytes of length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_MARKER = b"stash.appscode.com/backup-blueprint"
_NAME, _NAMESPACE, _UID, _REVISION, _ANNOTATIONS, _MANAGED = 1, 3, 5, 6, 12, 17


@dataclass(frozen=True, slots=True)
class Row:
    """As much as our informer keeps of a target."""

    namespace: str
    name: str
    uid: str
    revision: int
    annotations: tuple[tuple[str, str], ...]


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each length-delimited field; others are passed over."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            _, at = _varint(data, at)
            continue
        size, at = _varint(data, at)
        yield tag >> 3, at, at + size
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7


def _inner(data: bytes, start: int, end: int, wanted: int) -> tuple[int, int]:
    for number, low, high in fields(data, start, end):
        if number == wanted:
            return low, high
    raise ValueError(f"no field {wanted}")


def skim(frame: bytes) -> tuple[bytes, Row | None, bytes]:
    """Type of the event, the row of an object that asks for backup, and the revision."""
    (_, start, end), (_, low, high) = fields(frame, 0, len(frame))
    kind = frame[start:end]
    low, high = _inner(frame, low, high, 1)
    low, high = _inner(frame, low + 4, high, 2)
    low, high = _inner(frame, low, high, 1)
    asks = frame.find(_MARKER, low, high) >= 0
    name = namespace = uid = revision = b""
    annotations: list[tuple[str, str]] = []
    for number, start, end in fields(frame, low, high):
        if number == _NAME:
            name = frame[start:end]
        elif number == _NAMESPACE:
            namespace = frame[start:end]
        elif number == _UID:
            uid = frame[start:end]
        elif number == _REVISION:
            revision = frame[start:end]
            if not asks:
                break
        elif number == _ANNOTATIONS:
            pair = [frame[a:b].decode() for _, a, b in fields(frame, start, end)]
            if "stash.appscode.com/" in pair[0]:
                annotations.append((pair[0], pair[1]))
        elif number == _MANAGED:
            break
    if not asks:
        return kind, None, revision
    row = Row(namespace.decode(), name.decode(), uid.decode(), int(revision), tuple(sorted(annotations)))
    return kind, row, revision


class Frames:
    """Whole frames out of arbitrary pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        data = self._rest + piece if self._rest else piece
        at = 0
        while len(data) - at >= 4:
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end > len(data):
                break
            yield data[at + 4 : end]
            at = end
        self._rest = data[at:]
