"""Watch events in protobuf, made of one that an API server wrote: of another type, with other texts in the metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from informers.protobuf import read_fields, read_message
from informers.protobufframes import MAGIC, read_object

NAME, UID, VERSION, ANNOTATIONS = 1, 5, 6, 12
_API_VERSION, _KIND = b"meta.k8s.io/v1", b"PartialObjectMetadata"


def changed(frame: bytes, kind: str, texts: Mapping[int, str]) -> bytes:
    """As it is on the wire, led by its length."""
    _, _, message = read_object(_inner(_inner(frame, 2), 1))
    metadata = ((number, texts.get(number, value)) for number, value in read_fields(_inner(message, 1)))
    return event(kind, metadata)


def event(kind: str, metadata: Iterable[tuple[int, int | bytes | str]]) -> bytes:
    """One of an object with this metadata."""
    unknown = [(1, _write([(1, _API_VERSION), (2, _KIND)])), (2, _write([(1, _write(metadata))])), (3, b""), (4, b"")]
    frame = _write([(1, kind), (2, _write([(1, MAGIC + _write(unknown))]))])
    return len(frame).to_bytes(4, "big") + frame


def _inner(message: bytes, wanted: int) -> bytes:
    return next(read_message(value) for number, value in read_fields(message) if number == wanted)


def _write(fields: Iterable[tuple[int, int | bytes | str]]) -> bytes:
    written = []
    for number, value in fields:
        if isinstance(value, int):
            written += [_varint(number << 3), _varint(value)]
        else:
            data = value.encode() if isinstance(value, str) else value
            written += [_varint(number << 3 | 2), _varint(len(data)), data]
    return b"".join(written)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
