"""A bare asynchronous client: many requests at once, and watches whose events carry their time of arrival."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from ssl import create_default_context
from time import perf_counter
from types import TracebackType
from typing import Any

import aiohttp

from tools.controlplane import ControlPlane

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The server answered a request of the benchmark with an error: nothing measured after it would mean anything."""


class Connection:
    """Requests as one user; `async with` opens and closes it."""

    def __init__(self, plane: ControlPlane, user: str = "admin") -> None:
        self._url = plane.url
        self._headers = {"Authorization": f"Bearer {plane.users[user].token}", "Accept-Encoding": "identity"}
        self._context = create_default_context(cafile=str(plane.apiserver.ca_file))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Connection:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0, ssl=self._context),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=256 * 1024,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        assert self._session is not None
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        headers = {"Content-Type": content_type} if data is not None else {}
        async with self._session.request(method, self._url + path, data=data, params=query, headers=headers) as answer:
            content = await answer.read()
            if answer.status >= 400:
                raise Refused(f"{method} {path}: {answer.status} {content[:300].decode(errors='replace')}")
            return content

    async def read(self, path: str) -> Any:
        return json.loads(await self.request("GET", path))

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[AsyncIterator[tuple[float, dict[str, Any]]]]:
        """(time of arrival, event) of everything that changes from now on; the watch is open when this is entered."""
        assert self._session is not None
        listed = await self.read(path + "?limit=1")
        query = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self._session.get(self._url + path, params=query) as answer:
            if answer.status != 200:
                raise Refused(f"WATCH {path}: {answer.status}")
            try:
                yield _events(answer)
            finally:
                # At once: an orderly farewell of TLS would outlive the event loop.
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[float, dict[str, Any]]]:
    rest = b""
    async for chunk in answer.content.iter_any():
        arrived = perf_counter()
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield arrived, json.loads(line)


async def send_all(connection: Connection, requests: Iterable[Mapping[str, Any]], *, in_flight: int) -> None:
    """Send requests (the arguments of `Connection.request`) in order, `in_flight` of them at a time."""
    waiting = iter(requests)

    async def send() -> None:
        for request in waiting:
            await connection.request(**request)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(send())
