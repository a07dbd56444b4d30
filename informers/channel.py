"""The one stream that a reflector has open: how it is asked for, whether it can be, and what is reported of its life.

Contract: `open` closes the stream before, and gives one that begins after a version, or with the collection (R2). What
it accepts follows from what the projection reads. `close` tells the observer why, and how long the stream lived.

`resume` goes on from where a watch was, unless the server was lost sight of and does not have our history
(`history.py`): a watch could not be opened, or nothing was heard for longer than it takes to exchange storage.

Source of the idea: client-go `tools/cache/reflector.go: watch`, where the options of the request are made.
"""

from __future__ import annotations

import asyncio

from informers.clock import Clock
from informers.encoding import ACCEPT_METADATA, ACCEPT_OBJECTS, Encoding
from informers.errors import (
    ApiError,
    DecodeError,
    ResourceVersionTooLarge,
    ServerError,
    TooManyRequests,
    TransportError,
    Unfinished,
)
from informers.history import Anchor, History
from informers.observer import InformerObserver
from informers.resource import Resource
from informers.stream import WatchStream
from informers.transport import Transport

WATCH_SECONDS = (1800.0, 3600.0)
QUESTION_SECONDS = 3.0
UNSEEN_SECONDS = 2.0
TRUST_SECONDS = 30.0


class Channel:
    """That of one reflector."""

    __slots__ = (
        "_accept",
        "_clock",
        "_history",
        "_loss",
        "_metadata_only",
        "_namespace",
        "_observer",
        "_resource",
        "_transport",
        "_trusted_at",
        "path",
        "stream",
    )

    def __init__(
        self,
        transport: Transport,
        resource: Resource,
        *,
        namespace: str,
        metadata_only: bool,
        clock: Clock,
        observer: InformerObserver,
        history: History,
    ) -> None:
        self.path = resource.collection_path(namespace or None)
        self.stream: WatchStream | None = None
        self._transport = transport
        self._resource = resource
        self._namespace = namespace
        self._metadata_only = metadata_only
        self._accept = ACCEPT_METADATA if metadata_only else ACCEPT_OBJECTS
        self._clock = clock
        self._observer = observer
        self._history = history
        self._loss = 0
        self._trusted_at = float("-inf")

    async def resume(self, revision: str) -> WatchStream | None:
        """A stream of what comes after `revision`; None where that may be of another history than the server's."""
        if not await self._is_trusted():
            return None
        began = self._clock.monotonic()
        stream = await self.open(revision)
        if self._clock.monotonic() - began > UNSEEN_SECONDS:
            self.doubt()  # who answers that late may not be who was asked
        if not await self._is_trusted():
            await self.close("history")
            return None
        return stream

    async def open(self, revision: str, *, initial: bool = False) -> WatchStream:
        """A stream of what comes after `revision`; `initial`: of the collection first, not older than that."""
        await self.close("reopened")
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": revision,
            # R9: spread widely, so that informers started together do not reconnect together for ever.
            "timeoutSeconds": str(int(self._clock.uniform(*WATCH_SECONDS))),
        }
        if initial:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        self.stream = await WatchStream.open(
            self._transport, self.path, query=query, accept=self._accept, clock=self._clock
        )
        self._loss = 0
        self._observer.watch_started(self._resource, self._namespace)
        return self.stream

    async def failed(self, error: Exception, *, watching: bool) -> None:
        """Opening or reading it raised this."""
        if watching and self.stream is None and isinstance(error, TransportError):
            self.doubt()
        await self.close(type(error).__name__)

    def doubt(self) -> None:
        """The server was lost sight of."""
        self._loss = self._history.lost()

    def rest(self, seconds: float) -> None:
        """It will not be looked at for that long."""
        trusted_at = max(self._trusted_at, self._history.proven_at)
        if seconds > UNSEEN_SECONDS and self._clock.monotonic() - trusted_at > TRUST_SECONDS:
            self.doubt()

    def trust(self) -> None:
        """The collection was read: whatever the server has, it is what we know."""
        self._loss, self._trusted_at = 0, self._clock.monotonic()

    async def _is_trusted(self) -> bool:
        """Whether a watch may go on from where it was. Raises where the server cannot be asked."""
        if not self._loss:
            return True
        ours = await self._history.is_ours(self._loss)
        self._loss = 0
        return ours

    async def is_told_again(self, anchor: Anchor) -> bool:
        """Whether a watch from just before this thing begins with it."""
        query = {
            "watch": "true",
            "resourceVersion": str(anchor.revision - 1),
            "timeoutSeconds": str(int(2 * QUESTION_SECONDS)),
        }
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                stream = await WatchStream.open(
                    self._transport, self.path, query=query, accept=self._accept, clock=self._clock
                )
                try:
                    lines = await stream.next_lines()
                finally:
                    await stream.close()
        except (TimeoutError, ResourceVersionTooLarge):
            return False
        except (TransportError, ServerError, TooManyRequests):
            raise
        except ApiError:
            return False  # of this kind alone, or expired: no proof, and nobody else's failure
        if lines is None:
            raise Unfinished(f"WATCH {self.path}", reason="Unfinished", message="the stream ended before anything came")
        return self._is(anchor, lines[0], stream.encoding)

    def _is(self, anchor: Anchor, line: bytes, encoding: Encoding) -> bool:
        if anchor.line:
            return line == anchor.line
        try:
            event = encoding.decode(line, metadata_only=self._metadata_only, marker=None)
        except DecodeError:
            return False
        return (event.uid, event.resource_version) == (anchor.uid, str(anchor.revision))

    async def close(self, reason: str) -> None:
        """Idempotent."""
        stream, self.stream = self.stream, None
        if stream is not None:
            seconds = await stream.close()
            self._observer.watch_ended(
                self._resource, self._namespace, reason=reason, events=stream.events, seconds=seconds
            )
