"""Follows the metadata of one Secret that others are copied from.

Contract: `run` calls `seen` with what is known of the Secret, first as soon as it can be told and then whenever that
may have changed. It goes on until it is cancelled, whatever fails. A watch of the collection, cut down to one name,
brings the changes: that is a right which a Role can give for that one name. Where only `get` was given, the Secret is
looked at every few seconds instead.

Content is never asked for here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from controller.answers import read_object, require_definite
from informers.clock import Clock
from informers.errors import ApiError, Forbidden, IdleTimeout, NotFound, error_from_status
from informers.frames import LineSplitter, decode_line
from informers.resource import ObjectKey
from informers.transport import METADATA, Transport
from reconcilers.secretcopy import SECRET, Source, SourceState, project_source

_WATCH_SECONDS = (300.0, 600.0)
_SILENCE_SECONDS = 130.0
"""Bookmarks come about once a minute: a connection that is silent for longer is taken for dead, and opened again."""
_SECONDS = 10.0
_UNWATCHED_SECONDS = 5.0
_REFUSED_SECONDS = 30.0

_log = structlog.get_logger("storage-secrets")


class SourceWatch:
    """See the module's contract."""

    def __init__(
        self, transport: Transport, clock: Clock, *, key: ObjectKey, seen: Callable[[ObjectKey, Source], None]
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._key = key
        self._seen = seen

    async def run(self) -> None:
        while True:
            pause = _UNWATCHED_SECONDS
            try:
                await self._look()
                await self._watch()
                pause = 0.05
            except IdleTimeout:
                pause = 0.05
            except Forbidden as error:
                pause = self._refused(error)
            except ApiError as error:
                _log.debug("Could not look at a source", namespace=self._key.namespace, err=str(error))
            await self._clock.sleep(pause * self._clock.uniform(0.8, 1.2))

    async def _look(self) -> None:
        path = SECRET.object_path(self._key)
        try:
            live = read_object(await self._transport.request("GET", path, accept=METADATA, timeout=_SECONDS))
        except NotFound as error:
            require_definite(error)
            self._seen(self._key, Source(SourceState.MISSING))
            return
        except Forbidden:
            self._seen(self._key, Source(SourceState.FORBIDDEN))
            raise
        self._seen(self._key, project_source(live["metadata"]))

    async def _watch(self) -> None:
        seconds = self._clock.uniform(*_WATCH_SECONDS)
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={self._key.name}",
            "timeoutSeconds": str(int(seconds)),
            "allowWatchBookmarks": "true",
        }
        path = SECRET.collection_path(self._key.namespace)
        opened = self._transport.stream(path, query=query, accept=METADATA, idle_timeout=_SILENCE_SECONDS)
        async with opened as chunks:
            splitter = LineSplitter()
            async for chunk in chunks:
                for line in splitter.feed(chunk):
                    self._take(line)

    def _take(self, line: bytes) -> None:
        event = decode_line(line)
        document = event.document or {}
        if event.type == "ERROR":
            raise error_from_status("watch a source", document)
        if event.type == "BOOKMARK" or event.name != self._key.name:
            return
        gone = event.type == "DELETED"
        self._seen(self._key, Source(SourceState.MISSING) if gone else project_source(document["metadata"]))

    def _refused(self, error: Forbidden) -> float:
        """Without the right to watch it is looked at often; without any, seldom."""
        watching = "watch" in error.message or "list" in error.message
        return _UNWATCHED_SECONDS if watching else _REFUSED_SECONDS


def same_version(before: Source | None, after: Source) -> Source:
    """`after`, with the keys that were read of the same version before."""
    if before is None or after.keys is not None or before.version != after.version:
        return after
    return replace(after, keys=before.keys)
