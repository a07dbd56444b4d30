"""Who is let in: every answer that the API server may give, and those that it does not give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.access import ALLOWED_SECONDS, DENIED_SECONDS, Access, guard
from controller.metrics import Metrics
from controller.server import Server, metrics_application
from controller.values import Address
from informers.errors import ApiError, TransportError
from tests.support.scripted import Asked, ScriptedTransport, failure
from tests.support.virtualtime import StoppedClock

LOOPBACK = Address("127.0.0.1", 0)
ALICE = {"username": "alice", "uid": "u-1", "groups": ["ops", "system:authenticated"], "extra": {"k": ["v"]}}

Answers = dict[str, Any]


class Judge:
    """An API server that knows one token and says of its owner what the test wants; it can also be out of order."""

    def __init__(self) -> None:
        self.user: dict[str, Any] | None = ALICE
        self.allowed: Any = True
        self.broken: ApiError | tuple[int, dict[str, Any]] | None = None
        self.clock = StoppedClock()
        self.transport = ScriptedTransport(self.answer)
        self.access = Access(self.transport, self.clock)

    def answer(self, asked: Asked) -> tuple[int, dict[str, Any]] | ApiError:
        if self.broken is not None:
            return self.broken
        if asked.path.endswith("/tokenreviews"):
            known = asked.body["spec"]["token"] == "right" and self.user is not None
            return 201, {"status": {"authenticated": True, "user": self.user} if known else {"authenticated": False}}
        assert asked.path.endswith("/subjectaccessreviews")
        return 201, {"status": {"allowed": self.allowed}}

    def server(self) -> Server:
        application = metrics_application(Metrics(version="1"), guard=guard(self.access))
        return Server(LOOPBACK, application, option="metricsAddress")

    @property
    def asked(self) -> list[str]:
        return [asked.path.rsplit("/", 1)[1] for asked in self.transport.asked]


async def status(url: str, token: str | None = "right", *, method: str = "GET", header: str = "") -> int:
    headers = {"Authorization": header or f"Bearer {token}"} if token or header else {}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status


async def test_with_token_and_right() -> None:
    judge = Judge()
    async with judge.server() as server:
        assert await status(server.url + "/metrics") == 200
    identity, right = judge.transport.asked
    assert identity.body["spec"] == {"token": "right"}
    assert right.body["spec"] == {
        "user": "alice",
        "uid": "u-1",
        "groups": ["ops", "system:authenticated"],
        "extra": {"k": ["v"]},
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic cmlnaHQ6", "right", "Bearer wrong"])
async def test_without_a_valid_token(header: str) -> None:
    judge = Judge()
    async with judge.server() as server:
        assert await status(server.url + "/metrics", None, header=header) == 401
        assert await status(server.url + "/nothing-here", None, header=header) == 401
    assert "subjectaccessreviews" not in judge.asked


@pytest.mark.parametrize("allowed", [False, None, "true", 1])
async def test_with_a_token_and_no_right(allowed: object) -> None:
    judge = Judge()
    judge.allowed = allowed
    async with judge.server() as server:
        assert await status(server.url + "/metrics") == 403


async def test_the_right_is_asked_for_by_method_and_path() -> None:
    judge = Judge()
    async with judge.server() as server:
        assert await status(server.url + "/metrics", method="HEAD") == 200
        assert await status(server.url + "/nothing-here", method="PUT") == 404
    asked = [a.body["spec"]["nonResourceAttributes"] for a in judge.transport.asked if "access" in a.path]
    assert asked == [{"path": "/metrics", "verb": "head"}, {"path": "/nothing-here", "verb": "put"}]


@pytest.mark.parametrize(
    "broken",
    [
        TransportError("POST reviews", reason="Timeout"),
        failure(403, "Forbidden", "the operator may not create reviews"),
        failure(500, "InternalError"),
        (201, {}),
        (201, {"status": None}),
        (201, {"status": {"authenticated": True}}),
        (201, {"status": {"authenticated": "yes", "user": ALICE}}),
    ],
)
async def test_what_cannot_be_found_out_is_refused(broken: Any) -> None:
    judge = Judge()
    judge.broken = broken
    async with judge.server() as server:
        refused = await status(server.url + "/metrics")
        assert refused == (500 if isinstance(broken, ApiError) or broken[0] >= 400 else 401)
        judge.broken = None
        judge.clock.spent += DENIED_SECONDS
        assert await status(server.url + "/metrics") == 200


async def test_a_failure_is_not_remembered() -> None:
    judge = Judge()
    async with judge.server() as server:
        judge.broken = TransportError("POST reviews", reason="Timeout")
        assert await status(server.url + "/metrics") == 500
        judge.broken = None
        assert await status(server.url + "/metrics") == 200
        judge.clock.spent += ALLOWED_SECONDS
        judge.broken = TransportError("POST reviews", reason="Timeout")
        assert await status(server.url + "/metrics") == 500, "what was allowed once is not allowed for ever"


async def test_answers_are_remembered_for_a_while() -> None:
    judge = Judge()
    async with judge.server() as server:

        async def after(seconds: float, *, expected: int, asked: int) -> None:
            judge.clock.spent += seconds
            assert (await status(server.url + "/metrics"), len(judge.asked)) == (expected, asked)

        await after(0, expected=200, asked=2)
        await after(ALLOWED_SECONDS - 1, expected=200, asked=2)
        judge.allowed = False
        await after(1, expected=403, asked=4)
        judge.allowed = True
        await after(DENIED_SECONDS - 1, expected=403, asked=4)
        await after(1, expected=200, asked=5)
        judge.user = None
        await after(ALLOWED_SECONDS, expected=401, asked=6)
        judge.user = ALICE
        await after(DENIED_SECONDS - 1, expected=401, asked=6)
        await after(1, expected=200, asked=8)


async def test_no_token_is_kept_and_the_memory_is_bounded() -> None:
    judge = Judge()
    judge.user = None
    for number in range(1500):
        assert await judge.access.account_of(f"guess-{number}") is None
    memory = judge.access._accounts
    assert len(memory) <= 1024
    assert not any("guess" in repr(key) for key in memory)


async def test_many_who_ask_at_once_cause_few_questions_at_a_time() -> None:
    judge = Judge()
    running = most = 0
    plain: Callable[..., Any] = judge.transport.request

    async def slow(*given: Any, **more: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return await plain(*given, **more)

    judge.transport.request = slow  # type: ignore[method-assign]
    found = await asyncio.gather(*(judge.access.account_of("right") for _ in range(100)))
    assert {account.name for account in found if account} == {"alice"}
    await asyncio.gather(*(judge.access.account_of(f"guess-{number}") for number in range(100)))
    assert most <= 4
    assert judge.asked.count("tokenreviews") <= 4 + 100


async def test_a_handler_is_not_reached_before_all_is_known() -> None:
    judge = Judge()
    judge.allowed = False
    reached: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response()

    application = web.Application(middlewares=(guard(judge.access),))
    application.router.add_route("*", "/{anything:.*}", handler)
    async with Server(LOOPBACK, application, option="metricsAddress") as server:
        for method in ("GET", "PUT", "POST", "OPTIONS"):
            assert await status(server.url + "/debug/loglevel", method=method) == 403
        assert not reached
        judge.allowed = True
        judge.clock.spent += DENIED_SECONDS
        assert await status(server.url + "/debug/loglevel") == 200
    assert reached == ["/debug/loglevel"]
