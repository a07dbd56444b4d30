"""What an operator asks that has nothing to do: watches that the server ends, and next to nothing else (ADR 22)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from informers.apiservices import API_SERVICE
from reconcilers.kinds import CONFIGURATION, TARGETS
from tests.support.fakeapply import ApplyServer
from tests.support.virtualtime import run_virtual
from tests.worlds.people import SERVED, create, create_blueprint, key_of, start
from tests.worlds.process import Process, quiet
from tests.worlds.wire import Script, Wire

HOURS = 12
APP_BINDING = TARGETS["AppBinding"].resource
SECRET = "GET /api/v1/namespaces/demo/secrets/storage"
"""The storage Secret, which the operator may read here."""


def test_hours_at_rest_cost_a_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    original = Wire.request

    async def request(self: Wire, method: str, path: str, **options: Any) -> Any:
        asked[f"{method} {path}"] += 1
        return await original(self, method, path, **options)

    monkeypatch.setattr(Wire, "request", request)

    async def main() -> None:
        server = ApplyServer(*(resource for resource in SERVED if resource != APP_BINDING), API_SERVICE)
        start(server)
        create_blueprint()(server)
        create("Deployment")(server)
        process = Process(server, Script(()), who="operator")
        await asyncio.sleep(120)
        assert server.look(CONFIGURATION, key_of("deploy-shop")) is not None
        asked.clear()
        begin = len(server.requests)
        await asyncio.sleep(HOURS * 3600)
        looked = [seen for seen in server.requests[begin:] if APP_BINDING.plural in seen.path]
        await process.kill()
        assert HOURS <= len(looked) <= 2 * HOURS + 2, "for a kind whose group the server does not have"
        assert asked.keys() == {SECRET}, "no question about a right that is there, and nothing else"
        assert asked[SECRET] <= 15 * HOURS, "its metadata every five minutes or so"

    with quiet():
        run_virtual(main())
