"""Probes and scrapes, over real sockets."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from controller.metrics import Metrics
from controller.server import Checks, ServeError, Server, health_application, metrics_application
from controller.values import Address

LOOPBACK = Address("127.0.0.1", 0)


async def fetch(url: str, **headers: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers["Content-Type"]


async def test_probes_answer_ok_and_list_their_checks_when_asked() -> None:
    checks = Checks()
    checks.live("loop", lambda: None)
    checks.ready("informers", lambda: None)
    async with Server(LOOPBACK, health_application(checks), option="healthAddress") as server:
        for path in ("/livez", "/healthz", "/readyz"):
            assert (await fetch(server.url + path))[:2] == (200, "ok")
        assert (await fetch(server.url + "/livez?verbose"))[1] == "[+]loop ok\nlivez check passed\n"
        status, text, _ = await fetch(server.url + "/readyz?verbose")
        assert (status, text) == (200, "[+]loop ok\n[+]informers ok\nreadyz check passed\n")
        assert (await fetch(server.url + "/other"))[0] == 404


async def test_a_failing_check_says_why_and_only_where_it_counts() -> None:
    waiting: str | None = "deployments: no answer yet"
    checks = Checks()
    checks.live("loop", lambda: None)
    checks.ready("informers", lambda: waiting)
    async with Server(LOOPBACK, health_application(checks), option="healthAddress") as server:
        assert (await fetch(server.url + "/livez"))[0] == 200
        status, text, _ = await fetch(server.url + "/readyz")
        assert status == 500
        assert text == "[+]loop ok\n[-]informers failed: deployments: no answer yet\nreadyz check failed\n"
        waiting = None
        assert (await fetch(server.url + "/readyz"))[0] == 200


async def test_a_failing_live_check_fails_readiness_too() -> None:
    checks = Checks()
    checks.live("lease", lambda: "not renewed for 30 s")
    async with Server(LOOPBACK, health_application(checks), option="healthAddress") as server:
        assert (await fetch(server.url + "/livez"))[0] == 500
        assert (await fetch(server.url + "/healthz"))[0] == 500
        assert (await fetch(server.url + "/readyz"))[0] == 500


async def test_a_check_that_breaks_has_failed() -> None:
    def broken() -> str | None:
        raise LookupError("gone")

    checks = Checks()
    checks.ready("broken", broken)
    async with Server(LOOPBACK, health_application(checks), option="healthAddress") as server:
        status, text, _ = await fetch(server.url + "/readyz")
    assert status == 500
    assert "[-]broken failed: the check itself failed: LookupError('gone')" in text


async def test_metrics_in_the_form_that_the_scraper_prefers() -> None:
    metrics = Metrics(version="1.2.3")
    async with Server(LOOPBACK, metrics_application(metrics), option="metricsAddress") as server:
        status, text, kind = await fetch(server.url + "/metrics")
        assert status == 200
        assert kind.startswith("text/plain; version=")
        assert 'version="1.2.3"' in text
        _, text, kind = await fetch(server.url + "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        families = parse_openmetrics(text)  # type: ignore[no-untyped-call]
        assert {family.name for family in families} >= {"workqueue_adds", "autobackup_build_info"}


async def test_readings_are_taken_on_the_loop_and_rendered_elsewhere() -> None:
    metrics = Metrics(version="1")
    threads: list[threading.Thread] = []
    metrics.before_scrape(lambda: threads.append(threading.current_thread()))
    rendered: list[threading.Thread] = []
    metrics.loop_lag.collect = lambda: rendered.append(threading.current_thread()) or []  # type: ignore[method-assign,func-returns-value]
    async with Server(LOOPBACK, metrics_application(metrics), option="metricsAddress") as server:
        await asyncio.gather(*(fetch(server.url + "/metrics") for _ in range(3)))
    assert set(threads) == {threading.main_thread()}
    assert threading.main_thread() not in rendered
    assert len(rendered) == 3


async def test_every_interface_on_a_port_that_the_system_picked() -> None:
    async with Server(Address("", 0), health_application(Checks()), option="healthAddress") as server:
        assert server.port > 0
        assert (await fetch(f"http://127.0.0.1:{server.port}/livez"))[0] == 200
        assert server.url == f"http://localhost:{server.port}"


async def test_an_address_in_use_is_named_with_the_way_out() -> None:
    async with Server(LOOPBACK, health_application(Checks()), option="healthAddress") as server:
        taken = Address("127.0.0.1", server.port)
        with pytest.raises(
            ServeError, match=r"listen on 127\.0\.0\.1:.* in use .*; set healthAddress to an address that is free"
        ):
            async with Server(taken, health_application(Checks()), option="healthAddress"):
                pytest.fail("it started")


async def test_the_port_is_free_after_the_context() -> None:
    async with Server(LOOPBACK, health_application(Checks()), option="healthAddress") as server:
        address = Address("127.0.0.1", server.port)
        assert (await fetch(server.url + "/livez"))[0] == 200
    async with Server(address, health_application(Checks()), option="healthAddress") as server:
        assert (await fetch(server.url + "/livez"))[0] == 200
