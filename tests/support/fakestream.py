"""One open watch of the scripted API server, and what can be done to it on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from informers.errors import IdleTimeout, TransportError
from informers.resource import ObjectKey, Resource
from tests.support import wirejson, wireproto

if TYPE_CHECKING:
    from tests.support.fakeapi import FakeApi

BOOKMARK_SECONDS = 60.0
ALL_BYTES = 1 << 40


@dataclass(slots=True)
class Served:
    resource: Resource
    custom: bool
    objects: dict[ObjectKey, dict[str, Any]] = field(default_factory=dict)
    changed: bool = False
    """Since the server started: before that it sends no bookmarks."""

    def render(self, document: dict[str, Any], accept: str) -> dict[str, Any]:
        """As a real server would write it for this Accept header."""
        if "as=PartialObjectMetadata" in accept:
            return wirejson.partial(document)
        rendered = wirejson.custom(document) if self.custom else wirejson.typed(document)
        assert isinstance(rendered, dict)
        return rendered


class FakeStream:
    """One open watch, seen from both ends."""

    def __init__(
        self,
        api: FakeApi,
        attempt: str,
        served: Served,
        namespace: str,
        *,
        query: Mapping[str, str],
        accept: str,
        idle_timeout: float,
    ) -> None:
        self.resource = served.resource
        self.attempt = attempt
        self.query = query
        self.left = False
        self.rewrite: Callable[[bytes], bytes] | None = None
        self.resumes_from = int(query.get("resourceVersion") or 0)
        now = asyncio.get_running_loop().time()
        self._api, self._served, self._namespace, self._accept = api, served, namespace, accept
        self._idle = idle_timeout
        self.in_protobuf = api.protobuf and accept.startswith(wireproto.ACCEPTED)
        self._buffer = bytearray()
        self._allowed = ALL_BYTES
        self._ending = ""
        self._more = asyncio.Event()
        self._ends_at = now + float(query.get("timeoutSeconds") or 1800)
        self._bookmark_at = now + BOOKMARK_SECONDS

    def change(self, kind: str, document: dict[str, Any]) -> None:
        selector = self.query.get("fieldSelector", "")
        if selector and selector != f"metadata.name={document['metadata']['name']}":
            return
        if self._namespace in ("", document["metadata"].get("namespace", "")):
            self.push(self.encode(kind, self._served.render(document, self._accept)))

    def bookmark(self, *, initial_events_end: bool = False) -> None:
        metadata: dict[str, Any] = {"resourceVersion": str(self._api.revision)}
        if initial_events_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self.resource
        document = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        self.push(self.encode("BOOKMARK", self._served.render(document, self._accept)))

    def encode(self, kind: str, document: Mapping[str, Any]) -> bytes:
        return wireproto.event(kind, document) if self.in_protobuf else wirejson.event(kind, document)

    def push(self, data: bytes) -> None:
        self._buffer += self.rewrite(data) if self.rewrite and data else data
        self._more.set()

    def spoil(self, after: int, how: str) -> None:
        """Let `after` more bytes through, then: cut, close (politely), silence; `end` closes when all is sent."""
        self._allowed, self._ending = after, how
        self._more.set()

    def __aiter__(self) -> FakeStream:
        return self

    async def __anext__(self) -> bytes:
        loop = asyncio.get_running_loop()
        idle_at = loop.time() + self._idle
        while True:
            size = min(len(self._buffer), self._allowed, self._api.chunk)
            if size:
                data = bytes(self._buffer[:size])
                del self._buffer[:size]
                self._allowed -= size
                return data
            if self._allowed <= 0 or (self._ending == "end" and not self._buffer):
                if self._ending == "cut":
                    raise TransportError(self.attempt, reason="ClientPayloadError", message="connection reset by peer")
                if self._ending != "silence":
                    raise StopAsyncIteration
            await self._wait(idle_at)

    async def _wait(self, idle_at: float) -> None:
        loop = asyncio.get_running_loop()
        silent = self._ending == "silence" and self._allowed <= 0
        told = self._api.bookmarks and self._served.changed and not silent
        bookmark_at = self._bookmark_at if told else float("inf")
        ends_at = self._ends_at if not silent else float("inf")
        self._more.clear()
        try:
            async with asyncio.timeout_at(min(idle_at, bookmark_at, ends_at)):
                await self._more.wait()
        except TimeoutError:
            now = loop.time()
            if now >= idle_at:
                raise IdleTimeout(self.attempt, reason="IdleTimeout", message="no byte") from None
            if now >= ends_at:
                self.spoil(ALL_BYTES, "end")
            elif now >= bookmark_at:
                self._bookmark_at = now + BOOKMARK_SECONDS
                self.bookmark()
