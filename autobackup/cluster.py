"""The user's cluster, with the user's rights: read, and ask what a write would do.

Contract: credentials are those that kubectl would use. Nothing is ever changed: the only requests that are not a GET
are a server-side apply with `dryRun=All` and reviews of rights, which store nothing. Of a Secret no more than its
metadata is asked for, but by `autobackup password`, for that is what it is asked for.

`Unreachable` means that the cluster cannot be talked to at all, whatever is asked (no answer, no valid credentials, a
server that fails). Every other refusal is an `ApiError` that concerns one object and is told there.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from autobackup import __version__
from autobackup.exits import Unreachable
from informers import AiohttpTransport, Transport, load_credentials
from informers.errors import (
    REFUSED,
    ApiError,
    CredentialsError,
    DecodeError,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
    Unauthorized,
)
from informers.resource import ObjectKey, Resource
from informers.transport import METADATA
from reconcilers.plan import Apply

Object = dict[str, Any]
Item = TypeVar("Item")
Answer = TypeVar("Answer")

_APPLY = "application/apply-patch+yaml"
_METADATA_LIST = METADATA.replace("PartialObjectMetadata;", "PartialObjectMetadataList;")
_PAGE = 500
_AT_ONCE = 8
_FATAL = (TransportError, DecodeError, Unauthorized, ServerError, TooManyRequests)
_WRONG_ONE = "is this the cluster that you mean (--context, --kubeconfig), and does it run?"
_WAYS_OUT = {
    REFUSED: _WRONG_ONE,
    "NoAddress": _WRONG_ONE,
    "Timeout": _WRONG_ONE,
    "Unreachable": _WRONG_ONE,
    "Certificate": "is the certificate-authority of the kubeconfig that of this cluster, and is no proxy in between?",
}


class Cluster:
    """One API server."""

    def __init__(self, transport: Transport, *, namespace: str, source: str) -> None:
        self.transport = transport
        self.namespace = namespace
        self.source = source

    async def find(self, resource: Resource, key: ObjectKey, *, metadata_only: bool = False) -> Object | None:
        """The live object; None when there is none, or no such kind."""
        accept = METADATA if metadata_only else "application/json"
        try:
            return await self._json("GET", resource.object_path(key), accept=accept)
        except NotFound:
            return None

    async def all_of(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", metadata_only: bool = False
    ) -> list[Object]:
        """All live objects of a kind, in one namespace or everywhere, perhaps only with these labels, page by page."""
        accept = _METADATA_LIST if metadata_only else "application/json"
        found: list[Object] = []
        first = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        query = first
        while True:
            page = await self._json("GET", resource.collection_path(namespace), query=query, accept=accept)
            found.extend(page.get("items") or ())
            rest = (page.get("metadata") or {}).get("continue")
            if not rest:
                return found
            query = {**first, "continue": rest}

    async def served(self, resource: Resource) -> frozenset[str]:
        """The names that the API server serves in the group and version of a resource, subresources among them."""
        try:
            document = await self._json("GET", resource.api_path)
        except NotFound:
            return frozenset()
        return frozenset(str(entry.get("name")) for entry in document.get("resources") or ())

    async def after(self, step: Apply) -> Object:
        """What the object would be after this apply, as the API server sees it."""
        query = {"fieldManager": step.manager, "dryRun": "All", "force": "true" if step.force else "false"}
        body = json.dumps(step.body, ensure_ascii=False).encode()
        path = step.resource.object_path(step.key)
        return await self._json("PATCH", path, query=query, body=body, content_type=_APPLY)

    async def each(self, ask: Callable[[Item], Awaitable[Answer]], items: Iterable[Item]) -> list[Answer | ApiError]:
        """Ask for each item, a few at a time; an answer in the place of its item, be it an error."""
        found: dict[int, Answer | ApiError] = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(position: int, item: Item) -> None:
            async with gate:
                try:
                    found[position] = await ask(item)
                except ApiError as error:
                    found[position] = error

        async with asyncio.TaskGroup() as tasks:
            for position, item in enumerate(items):
                tasks.create_task(one(position, item))
        for answer in found.values():
            if isinstance(answer, _FATAL):
                raise answer
        return [found[position] for position in sorted(found)]

    async def _json(self, method: str, path: str, **more: Any) -> Object:
        found: Object = (await self.transport.request(method, path, **more)).json()
        return found


@asynccontextmanager
async def connect(
    kubeconfig: str | None, context: str | None, *, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[Cluster]:
    """The cluster of a kubeconfig; whatever makes it unreachable, then or later, is raised as `Unreachable`."""
    try:
        # kubectl looks at $KUBECONFIG before it looks whether it runs in a pod.
        credentials = load_credentials(kubeconfig or environ.get("KUBECONFIG"), context)
        transport = AiohttpTransport(credentials, user_agent=f"autobackup-cli/{__version__}")
        try:
            yield Cluster(transport, namespace=credentials.namespace, source=credentials.source)
        finally:
            await transport.close()
    except CredentialsError as error:
        raise Unreachable(str(error)) from None
    except _FATAL as error:
        way_out = f"; {_WAYS_OUT[error.reason]}" if error.reason in _WAYS_OUT else ""
        raise Unreachable(f"{credentials.server_url} ({credentials.source}): {error}{way_out}") from None
