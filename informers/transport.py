"""The seam between the informers and HTTP.

Contract: one object that sends a request and returns the whole answer, or opens a stream of raw chunks. It
knows addresses, credentials and deadlines, and nothing of what is asked. Whatever goes wrong is an
`ApiError`: one of 400 or above by its status, one without an answer as `TransportError`. A stream that ends
cleanly just ends; one that was cut raises `TransportError` from its iterator, one that was silent for
`idle_timeout` seconds raises `IdleTimeout`.

Invariant: chunks are handed on as they come. Their borders mean nothing (R23).

Source of the idea: httpx transports; tests put a scripted server here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from informers.errors import DecodeError

METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""What to accept for the metadata of one object and nothing else of it."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer below 400. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    attempt: str = ""

    def json(self) -> Any:
        """The decoded body."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise DecodeError(
                self.attempt or "read a response",
                status=self.status,
                reason="BadBody",
                message=f"{len(self.body)} bytes that are not JSON: {error}",
            ) from error


@dataclass(frozen=True, slots=True)
class Body:
    """An answer that is read as it arrives, and what the server says that it is."""

    chunks: AsyncIterator[bytes]
    content_type: str = "application/json"

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks


class Transport(Protocol):
    """What sends requests to one API server."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the request: it ends in a TransportError that names it
    ) -> Response:
        """Send, and wait for the whole answer, all within `timeout` seconds."""
        ...

    def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AbstractAsyncContextManager[Body]:
        """GET, and hand out the body as it arrives. Entering raises what the status means."""
        ...

    async def close(self) -> None:
        """Give up all connections; idempotent."""
        ...
