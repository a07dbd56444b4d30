"""A transport whose answers a test writes down; it remembers what it was asked."""

from __future__ import annotations

import asyncio
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
    content_type: str = "application/json"
    timeout: float = 10.0


Answer = Callable[[Asked], tuple[int, dict[str, Any]] | ApiError]


class ScriptedTransport:
    """Answers each request by a function of it, after `seconds`: a status and a body, or an error to raise."""

    def __init__(self, answer: Answer, *, seconds: float = 0.0) -> None:
        self._answer = answer
        self._seconds = seconds
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
        content = json.loads(body) if body else None
        asked = Asked(method, path, dict(query or {}), content, accept, content_type, timeout)
        self.asked.append(asked)
        if self._seconds:
            await asyncio.sleep(self._seconds)
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


def made(_: Asked) -> tuple[int, dict[str, Any]]:
    """What is answered to a write that succeeds."""
    return 200, {"metadata": {"uid": "u", "resourceVersion": "1"}}


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
