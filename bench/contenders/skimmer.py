"""A prototype, for the comparison: the stream of our informer as protobuf, skimmed by hand.

It does what `bench.contenders.cache` does with an object that does not ask for backup: reads name, namespace, uid and
revision, and keeps nothing. One that asks is decoded as far as a row needs. It has none of the rest: no relist, no
resumption after a failure, no decision about what is deleted. It is here to say what protobuf would gain.
"""

from __future__ import annotations

import argparse
import asyncio
from urllib.parse import parse_qsl

from bench.contenders.skimming import Frames, Row, skim
from bench.contenders.stream import END, PATH, QUERY
from bench.peers.python.contract import Contract, arguments
from informers import AiohttpTransport, Credentials, RealClock, TransportError, load_credentials

_ACCEPT = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_TURN_BYTES = 256 * 1024


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
