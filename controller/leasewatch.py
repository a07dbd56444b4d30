"""Tells each version of one Lease as soon as the API server has it (L13).

Contract: `run` calls `seen(lease)` for the present version and each later one, and `gone(order)` when the Lease is
deleted. It goes on until it is cancelled, whatever fails. A watch of the collection, cut down to one name, carries the
versions: that is a right which a role can give for that one name. While the watch cannot be opened, the Lease is read
once in a while instead.

Somebody renews the Lease all the time, or it may be taken: a stream that is silent for as long as a lease lasts counts
as dead.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from controller.lease import LEASE, Lease, read
from controller.terms import JITTER, Terms
from informers.clock import Clock
from informers.errors import IdleTimeout, NotFound, error_from_status
from informers.frames import LineSplitter, decode_line
from informers.resource import ObjectKey
from informers.revision import parse_revision
from informers.transport import Transport

_WATCH_SECONDS = (300.0, 600.0)
_log = structlog.get_logger("leader-election")


class LeaseWatch:
    """See the module's contract."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        key: ObjectKey,
        terms: Terms,
        seen: Callable[[Lease], None],
        gone: Callable[[int], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._key = key
        self._terms = terms
        self._seen = seen
        self._gone = gone
        self._troubled = False

    async def run(self) -> None:
        while True:
            try:
                await self._watch()
                pause = 0.0
            except IdleTimeout:
                pause = 0.0
            except Exception as error:  # whatever it is, the Lease is read instead (L4)
                await self._read_instead(error)
                pause = self._terms.retry
            # Also after a polite end, or a server that closes at once would be asked all the time.
            await self._clock.sleep(max(0.05, pause) * self._clock.uniform(1.0, 1.0 + JITTER))

    async def _watch(self) -> None:
        path = LEASE.collection_path(self._key.namespace)
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._key.name}",
            "timeoutSeconds": str(int(self._clock.uniform(*_WATCH_SECONDS))),
        }
        opened = self._transport.stream(path, query=query, accept="application/json", idle_timeout=self._terms.lease)
        async with opened as chunks:
            splitter = LineSplitter()
            async for chunk in chunks:
                for line in splitter.feed(chunk):
                    self._take(line)
                self._troubled = False

    def _take(self, line: bytes) -> None:
        event = decode_line(line)
        if event.type == "ERROR":
            raise error_from_status("watch the Lease", event.document or {})
        if event.name != self._key.name:
            return
        if event.type == "DELETED":
            self._gone(parse_revision(event.resource_version))
        elif event.document is not None:
            self._seen(read(event.document))

    async def _read_instead(self, error: Exception) -> None:
        if not self._troubled:
            self._troubled = True
            _log.info("The Lease cannot be watched at present; it is read now and then", err=str(error) or repr(error))
        path = LEASE.object_path(self._key)
        try:
            lease = read((await self._transport.request("GET", path, timeout=self._terms.attempt)).json())
        except NotFound:
            return  # it may never have been there: only a watch tells that it was deleted
        except Exception as failed:
            _log.debug("The Lease cannot be read either", err=str(failed) or repr(failed))
            return
        self._seen(lease)
