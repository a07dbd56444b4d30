"""Whether an answer is the API server's, and about an object.

Something in between can answer as well: a portal with a page of its own, a proxy that lost its backend. A 200 without
an object, or a 404 of nobody who looked for one, says nothing about the object; to believe it would at worst delete
somebody's backups. Both are the transport's failure, and asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from informers.errors import DecodeError, NotFound
from informers.transport import Response


def read_object(response: Response) -> Mapping[str, Any]:
    """The object in an answer; `DecodeError` if what came is none, or none that is stored."""
    found = response.json()
    metadata = found.get("metadata") if isinstance(found, dict) else None
    if not isinstance(metadata, dict) or not metadata.get("uid"):
        raise DecodeError(response.attempt, reason="NotAnObject", message="the answer is no object of the API server")
    answer: Mapping[str, Any] = found
    return answer


def require_deletion(response: Response) -> None:
    """Raise `DecodeError` if an answer does not say that the object is deleted, or on its way."""
    found = response.json()
    if not isinstance(found, dict) or found.get("status") != "Success":
        read_object(response)


def require_definite(error: NotFound) -> None:
    """Raise `DecodeError` if a 404 does not come from an API server that looked for the object."""
    if error.reason != "NotFound":
        raise DecodeError(
            error.attempt, reason="NotFoundByWhom", message=f"a 404 that names no object: {error.message[:120]}"
        ) from error
