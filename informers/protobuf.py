"""The wire format of protobuf: numbered fields, each a number or a run of bytes.

Contract: `read_fields` gives the fields of one message in the order in which they were written. What is inside of a run
of bytes (a text, another message) it neither knows nor looks at, so that a field nobody reads costs the same whatever
its size. Bytes that are no message raise `Malformed`, and nothing else does; each step consumes at least one byte.

Source of the rules: protobuf's encoding guide. Groups, long deprecated and never used by Kubernetes,
are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT = 10
_SHORT = 0x7F  # the largest number of one byte
_FIRST = 1 << 3  # the lowest tag: there is no field 0


class Malformed(ValueError):
    """Not a message, or not the message that was expected here."""


def read_fields(message: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field, from `at` to `end`."""
    if end is None:
        end = len(message)
    value: int | bytes
    while at < end:
        tag = message[at]
        at += 1
        if tag > _SHORT:
            tag, at = read_varint(message, at - 1)
        kind = tag & 7
        if kind == _VARINT:
            value, at = read_varint(message, at)
        else:
            if kind == _BYTES:
                size, at = read_varint(message, at)
            elif kind in _FIXED:
                size = _FIXED[kind]
            else:
                raise Malformed(f"field {tag >> 3} is of the unknown kind {kind}")
            start, at = at, at + size
            value = message[start:at]
        if at > end or tag < _FIRST:
            raise Malformed(f"field {tag >> 3} is cut")
        yield tag >> 3, value


def read_message(value: int | bytes) -> bytes:
    """What a field holds that has to be a run of bytes."""
    if isinstance(value, int):
        raise Malformed("a number where bytes are expected")
    return value


def read_text(value: int | bytes) -> str:
    """A text. As in Go's JSON, each byte that is not UTF-8 becomes one replacement character."""
    data = read_message(value)
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        return "".join("\ufffd" if "\udc80" <= character <= "\udcff" else character for character in text)


def read_number(value: int | bytes) -> int:
    """A signed integer."""
    if not isinstance(value, int):
        raise Malformed("bytes where a number is expected")
    return value - (1 << 64) if value >> 63 else value


def read_varint(message: bytes, at: int = 0) -> tuple[int, int]:
    """A number of one to ten bytes, and where it ends."""
    try:
        byte = message[at]
        if byte <= _SHORT:
            return byte, at + 1
        value, shift, last = byte & _SHORT, 7, at + _MAX_VARINT - 1
        while True:
            at += 1
            byte = message[at]
            value |= (byte & _SHORT) << shift
            if byte <= _SHORT:
                return value & 0xFFFFFFFFFFFFFFFF, at + 1
            shift += 7
            if at >= last:
                raise Malformed("a number of more than ten bytes")
    except IndexError:
        raise Malformed("cut within a number") from None
