"""The one stream that a reflector has open: how it is asked for, and what is reported of its life.

Contract: `open` closes the stream before, and gives one that begins after a version, or with the collection (R2). What
it accepts follows from what the projection reads. `close` tells the observer why, and how long the stream lived.

Invariant: a watch from a version that the server may not have is not opened before it was asked (`doubt.py`).

Source of the idea: client-go `tools/cache/reflector.go: watch`, where the options of the request are made.
"""

from __future__ import annotations

from informers.clock import Clock
from informers.doubt import Doubt
from informers.encoding import ACCEPT_METADATA, ACCEPT_OBJECTS
from informers.observer import InformerObserver
from informers.resource import Resource
from informers.stream import WatchStream
from informers.transport import Transport

WATCH_SECONDS = (300.0, 600.0)


class Channel:
    """That of one reflector."""

    __slots__ = ("_accept", "_clock", "_doubt", "_namespace", "_observer", "_resource", "_transport", "path", "stream")

    def __init__(
        self,
        transport: Transport,
        resource: Resource,
        *,
        namespace: str,
        metadata_only: bool,
        clock: Clock,
        observer: InformerObserver,
    ) -> None:
        self.path = resource.collection_path(namespace or None)
        self.stream: WatchStream | None = None
        self._transport = transport
        self._resource = resource
        self._namespace = namespace
        self._accept = ACCEPT_METADATA if metadata_only else ACCEPT_OBJECTS
        self._clock = clock
        self._observer = observer
        self._doubt = Doubt(transport, resource, namespace=namespace)

    async def open(self, revision: str, *, initial: bool = False) -> WatchStream:
        """A stream of what comes after `revision`; `initial`: of the collection first, not older than that."""
        await self.close("reopened")
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": revision,
            # R9: spread over minutes, so that informers started together do not reconnect together for ever.
            "timeoutSeconds": str(int(self._clock.uniform(*WATCH_SECONDS))),
        }
        if initial:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        else:
            await self._doubt.settle(revision)
        self.stream = await WatchStream.open(
            self._transport, self.path, query=query, accept=self._accept, clock=self._clock
        )
        self._doubt.clear()
        self._observer.watch_started(self._resource, self._namespace)
        return self.stream

    async def failed(self, error: Exception, *, watching: bool) -> None:
        """Opening or reading it raised this."""
        if watching and self.stream is None:
            self._doubt.open_failed(error)
        await self.close(type(error).__name__)

    async def close(self, reason: str) -> None:
        """Idempotent."""
        stream, self.stream = self.stream, None
        if stream is not None:
            seconds = await stream.close()
            self._observer.watch_ended(
                self._resource, self._namespace, reason=reason, events=stream.events, seconds=seconds
            )
