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


class Malformed(ValueError):
    """Not a message, or not the message that was expected here."""


def read_fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field."""
    at, end = 0, len(message)
    while at < end:
        tag = message[at]
        at += 1
        if tag > 0x7F:
            tag, at = _read_varint(message, at - 1)
        kind = tag & 7
        if tag < 8:
            raise Malformed("a field with the number 0")
        if kind == _BYTES:
            size, at = _read_varint(message, at)
            start, at = at, at + size
            if at > end:
                raise Malformed(f"field {tag >> 3} of {size} bytes has {end - start}")
            yield tag >> 3, message[start:at]
        elif kind == _VARINT:
            number, at = _read_varint(message, at)
            yield tag >> 3, number
        elif kind in _FIXED:
            start, at = at, at + _FIXED[kind]
            if at > end:
                raise Malformed(f"field {tag >> 3} is cut")
            yield tag >> 3, message[start:at]
        else:
            raise Malformed(f"field {tag >> 3} is of the unknown kind {kind}")


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


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    try:
        byte = message[at]
        if byte < 0x80:
            return byte, at + 1
        value, shift, last = byte & 0x7F, 7, at + _MAX_VARINT - 1
        while True:
            at += 1
            byte = message[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at + 1
            shift += 7
            if at >= last:
                raise Malformed("a number of more than ten bytes")
    except IndexError:
        raise Malformed("cut within a number") from None
