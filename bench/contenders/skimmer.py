"""A prototype, for the comparison: the stream of our informer as protobuf, skimmed by hand.

It does what `bench.contenders.cache` does with an object that does not ask for backup: reads name, namespace, uid and
revision, and keeps nothing. One that asks is decoded as far as a row needs. It has none of the rest: no relist, no
resumption after a failure, no decision about what is deleted. It is here to say what protobuf would gain.

Frames are four bytes of length and a WatchEvent {1: type, 2: {1: raw}}; raw is four bytes of magic and an Unknown
{2: raw}, in which is the object, whose field 1 is its metadata.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl

from bench.contenders.stream import END, PATH, QUERY
from bench.peers.python.contract import ANNOTATION, Contract, arguments
from informers import AiohttpTransport, Credentials, RealClock, TransportError, load_credentials

_ACCEPT = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MARKER = ANNOTATION.encode()
_TURN_BYTES = 256 * 1024
_NAME, _NAMESPACE, _UID, _REVISION, _GENERATION, _ANNOTATIONS, _MANAGED = 1, 3, 5, 6, 7, 12, 17


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


class Cache:
    """Rows by name, and how far the stream was read."""

    def __init__(self, said: Contract) -> None:
        self._said = said
        self._rows: dict[tuple[str, str], Row] = {}
        self._seen = 0
        self.synced = False
        self.revision = b""

    def take(self, frame: bytes) -> None:
        kind, row, self.revision = skim(frame)
        if kind == b"BOOKMARK":
            if not self.synced and END in frame:
                self.synced = True
                self._said.ready(self._seen)
            return
        self._seen += 1
        if row is None:
            return
        key = (row.namespace, row.name)
        if kind == b"DELETED":
            self._rows.pop(key, None)
        elif self._rows.get(key) != row:
            self._rows[key] = row
            self._said.event(row.name, dict(row.annotations))


async def main(given: argparse.Namespace, credentials: Credentials) -> None:
    said = Contract()
    transport = AiohttpTransport(credentials, user_agent="bench", clock=RealClock())
    cache = Cache(said)
    path = PATH.replace("/deployments", f"/namespaces/{given.namespace}/deployments") if given.namespace else PATH
    query = dict(parse_qsl(QUERY, keep_blank_values=True))
    while True:
        frames = Frames()
        try:
            async with transport.stream(path, query=query, accept=_ACCEPT, idle_timeout=300) as pieces:
                since_turn = 0
                async for piece in pieces:
                    for frame in frames.feed(piece):
                        cache.take(frame)
                    since_turn += len(piece)
                    if since_turn >= _TURN_BYTES:
                        since_turn = 0
                        await asyncio.sleep(0)
        except TransportError:
            pass
        # What was suspended for long is resumed where it stopped; more than that a prototype does not survive.
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": cache.revision.decode()}


if __name__ == "__main__":
    options = arguments()
    access = load_credentials(options.kubeconfig)
    access.ssl_context()
    asyncio.run(main(options, access))
