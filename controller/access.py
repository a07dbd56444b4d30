"""Who asks, and may they? Bearer tokens and rights, judged by the API server.

Contract: a request without a valid token is answered 401, one whose account may not do this 403, and when the API
server cannot be asked, 500: what is not known to be allowed is refused. The right is that of a non-resource URL: the
path as it was asked for, with the method as verb (`get` on `/metrics`).

Answers are remembered for a minute when they let somebody in and for ten seconds when they do not; that something
could not be found out is never remembered. A token is remembered as a digest. Few questions are under way at a time,
whoever asks and however often.

Source of the idea: controller-runtime `pkg/metrics/filters` (the same reviews, the same statuses).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, TypeVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from cachetools import TLRUCache

from informers.clock import Clock
from informers.errors import ApiError, Forbidden
from informers.transport import Transport

_IDENTITY_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

ALLOWED_SECONDS: Final = 60.0
DENIED_SECONDS: Final = 10.0
_REMEMBERED: Final = 1024
_AT_ONCE: Final = 4
_SECONDS: Final = 10.0

_log = structlog.get_logger("access")

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Account:
    """Whose token it was, as the API server says."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Access:
    """Asks the API server, and remembers for a while what it said."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._accounts: TLRUCache[bytes, Account | None] = _memory(clock)
        self._rights: TLRUCache[tuple[Account, str, str], bool] = _memory(clock)
        self._asking = asyncio.Semaphore(_AT_ONCE)

    async def account_of(self, token: str) -> Account | None:
        """Whose token this is; None for nobody's. Raises `ApiError` when the API server does not say."""
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        if digest not in self._accounts:
            async with self._asking:
                if digest not in self._accounts:
                    self._accounts[digest] = await self._identify(token)
        return self._accounts.get(digest)

    async def may(self, account: Account, *, verb: str, path: str) -> bool:
        """Whether the account has this right. Raises `ApiError` when the API server does not say."""
        question = (account, verb, path)
        if question not in self._rights:
            async with self._asking:
                if question not in self._rights:
                    self._rights[question] = await self._authorize(account, verb=verb, path=path)
        return self._rights.get(question, False)

    async def _identify(self, token: str) -> Account | None:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        }
        body = json.dumps(review, ensure_ascii=True).encode()
        answer = await self._transport.request("POST", _IDENTITY_REVIEWS, body=body, timeout=_SECONDS)
        status = _status(answer.json())
        user = status.get("user")
        if status.get("authenticated") is not True or not isinstance(user, Mapping) or not user.get("username"):
            return None
        extra = user.get("extra") or {}
        return Account(
            str(user["username"]),
            str(user.get("uid") or ""),
            tuple(map(str, user.get("groups") or ())),
            tuple((str(key), tuple(map(str, extra[key] or ()))) for key in sorted(extra)),
        )

    async def _authorize(self, account: Account, *, verb: str, path: str) -> bool:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": account.name,
                "uid": account.uid,
                "groups": list(account.groups),
                "extra": {key: list(values) for key, values in account.extra},
                "nonResourceAttributes": {"path": path, "verb": verb},
            },
        }
        body = json.dumps(review, ensure_ascii=True).encode()
        answer = await self._transport.request("POST", _ACCESS_REVIEWS, body=body, timeout=_SECONDS)
        status = _status(answer.json())
        return status.get("allowed") is True and status.get("denied") is not True


def guard(access: Access) -> Middleware:
    """What stands before every handler of an application and lets through who may."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        token = _bearer(request.headers.get("Authorization", ""))
        if not token:
            return _unauthorized()
        verb = request.method.lower()
        try:
            account = await access.account_of(token)
            if account is None:
                return _unauthorized()
            allowed = await access.may(account, verb=verb, path=request.path)
        except ApiError as error:
            _log.warning(
                "Could not find out whether a request is allowed; refused it", path=request.path, **_why(error)
            )
            return web.Response(status=500, text="The API server could not be asked whether this is allowed\n")
        if not allowed:
            _log.debug("Refused a request", path=request.path, verb=verb, account=account.name)
            told = f"{account.name} may not {verb} {request.path}: a ClusterRole with this nonResourceURL allows it\n"
            return web.Response(status=403, text=told)
        return await handler(request)

    return check


def _unauthorized() -> web.Response:
    return web.Response(status=401, text="Unauthorized\n", headers={"WWW-Authenticate": "Bearer"})


def _bearer(header: str) -> str:
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _why(error: ApiError) -> dict[str, str]:
    found = {"err": str(error)}
    if isinstance(error, Forbidden):
        found["fix"] = (
            "bind the ClusterRole autobackup-metrics-access (manifests/rbac/metrics) to the operator's account"
        )
    return found


def _status(document: Any) -> Mapping[str, Any]:
    status = document.get("status") if isinstance(document, Mapping) else None
    return status if isinstance(status, Mapping) else {}


def _memory(clock: Clock) -> TLRUCache[Any, Any]:
    def until(_question: object, answer: object, now: float) -> float:
        return now + (ALLOWED_SECONDS if answer else DENIED_SECONDS)

    return TLRUCache(_REMEMBERED, ttu=until, timer=clock.monotonic)
