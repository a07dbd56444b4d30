"""Events of a watch that passes the fault proxy, changed one by one. The server cuts long ones into several pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from tests.support.wireproto import STREAM

Change = Callable[[bytes], bytes]


def changed(pieces: AsyncIterator[bytes], change: Change, *, content_type: str) -> AsyncIterator[bytes]:
    """The same stream with each event changed; what leads a frame says how long it is then."""
    return _frames(pieces, change) if content_type == STREAM else _lines(pieces, change)


async def _lines(pieces: AsyncIterator[bytes], change: Change) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield change(line + b"\n")
    if rest:
        yield change(rest)


async def _frames(pieces: AsyncIterator[bytes], change: Change) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in pieces:
        rest += piece
        while len(rest) >= 4 and len(rest) >= (end := 4 + int.from_bytes(rest[:4], "big")):
            frame = change(rest[4:end])
            yield len(frame).to_bytes(4, "big") + frame
            rest = rest[end:]
    if rest:
        yield rest
