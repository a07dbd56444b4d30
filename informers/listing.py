"""Reading a whole collection with LIST, where the server offers no streaming list.

Contract: the first page asks for the present state (no resourceVersion), in pages of 500, so that no page
takes longer to decode than the event loop may be held (T6) and no page is kept while the next one is fetched.
Pages after the first send the continue token and nothing about versions (R8). If the token expires under way,
the collection is read again in one piece. The resourceVersion is that of the first page.

Deviation from client-go, on purpose (R7, R13): a relist asks for the present as well, not for "not older than
the last version". Asking for a version would forbid paging, and since 1.31 servers answer such a read from
their cache (KEP-2340).

Source of the idea: client-go `tools/pager/pager.go: ListWithAlloc`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from informers.errors import DecodeError, Expired
from informers.resource import Resource
from informers.transport import Transport

PAGE = 500
LIST_SECONDS = 60.0
ACCEPT_OBJECTS = "application/json"
ACCEPT_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Page:
    """Some items, with what they leave out because all of them have it in common.

    `first` pages begin the collection; one that comes after others makes those void.
    """

    __slots__ = ("api_version", "first", "item_kind", "items", "revision", "token")

    def __init__(self, document: Any, resource: Resource, *, attempt: str, first: bool) -> None:
        metadata = document.get("metadata") if isinstance(document, dict) else None
        # A Go server writes an empty list as null now and then; an answer without the field is something else (H11).
        if not isinstance(metadata, dict) or not isinstance(document.get("items", ""), list | None):
            raise DecodeError(attempt, reason="BadList", message="the answer is not a list of objects")
        if not metadata.get("resourceVersion"):
            raise DecodeError(attempt, reason="BadList", message="a list without resourceVersion cannot be watched")
        kind = document.get("kind")
        self.first = first
        self.items: list[Any] = document["items"] or []
        self.api_version: str = document.get("apiVersion") or resource.api_version
        self.item_kind = kind.removesuffix("List") if isinstance(kind, str) else resource.kind
        self.revision = str(metadata["resourceVersion"])
        self.token = str(metadata.get("continue") or "")


async def read_pages(
    transport: Transport, resource: Resource, *, namespace: str, metadata_only: bool
) -> AsyncIterator[Page]:
    """The collection, page by page."""
    path = resource.collection_path(namespace or None)
    accept = ACCEPT_METADATA if metadata_only else ACCEPT_OBJECTS
    token, paged = "", True
    while True:
        query = {"limit": str(PAGE)} if paged else {}
        if token:
            query["continue"] = token
        try:
            response = await transport.request("GET", path, query=query, accept=accept, timeout=LIST_SECONDS)
        except Expired:
            if not token:
                raise
            token, paged = "", False  # one read in one piece cannot expire under way
            continue
        page = Page(response.json(), resource, attempt=response.attempt or f"GET {path}", first=not token)
        token = page.token
        yield page
        if not token:
            return
