"""A transport whose answers a test writes down; it remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from informers.errors import ApiError, error_from_response
from informers.transport import Body, Response


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    accept: str = "application/json"


Answer = Callable[[Asked], tuple[int, dict[str, Any]] | ApiError]


class ScriptedTransport:
    """Answers each request by a function of it: a status and a body, or an error to raise."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[Asked] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> Response:
        asked = Asked(method, path, dict(query or {}), json.loads(body) if body else None, accept)
        self.asked.append(asked)
        answer = self._answer(asked)
        if isinstance(answer, ApiError):
            raise answer
        status, document = answer
        if status >= 400:
            raise error_from_response(f"{method} {path}", status, {}, json.dumps(document).encode())
        return Response(status=status, body=json.dumps(document).encode())

    def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AbstractAsyncContextManager[Body]:
        raise NotImplementedError("nothing here streams")

    async def close(self) -> None:
        """There is nothing to close."""


def failure(status: int, reason: str, message: str = "", causes: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    """A Status object as the API server sends it."""
    return status, {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": message,
        "details": {"causes": [{"reason": cause, "message": cause} for cause in causes]},
    }
