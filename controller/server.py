"""Health and metrics over HTTP, on the event loop that does the work: a loop that hangs fails its own probe.

Contract:
- `/livez` (and `/healthz`) fail when only a restart helps, `/readyz` when this process cannot do its work now. Both
  answer 200 or 500, list their checks with `?verbose` or when one fails, and say why it failed.
- `/metrics` is text for Prometheus or OpenMetrics, whichever the scraper prefers. It is rendered in a thread, because
  thousands of series take tens of milliseconds.
- Port 0 is one that the system picks; `Server.port` tells which.
- Health needs no authentication and tells nothing but which check fails and why. Whoever wants to know who asks for
  metrics gives `metrics_application` a guard (see `controller.access`) and the server a context for TLS.

Sources of the ideas: kube-apiserver's healthz package (form of the answers), prometheus-client's exposition.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client.exposition import choose_encoder

from controller.metrics import Metrics
from controller.values import Address

Check = Callable[[], str | None]
"""Returns why it fails, or None. Runs on the event loop at each probe, so it looks and does not wait."""

_STOP_SECONDS: Final = 1.0


class ServeError(Exception):
    """A server could not be started; the text names the address, the reason and the way out."""


class Checks:
    """The named checks of this process, in the order in which they were added."""

    def __init__(self) -> None:
        self._live: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def live(self, name: str, check: Check) -> None:
        """Add a check whose failure only a restart can mend; it counts for readiness as well."""
        self._live[name] = check
        self._ready[name] = check

    def ready(self, name: str, check: Check) -> None:
        """Add a check of whether the work can be done now."""
        self._ready[name] = check

    def run_live(self) -> dict[str, str | None]:
        return {name: _run(check) for name, check in self._live.items()}

    def run_ready(self) -> dict[str, str | None]:
        return {name: _run(check) for name, check in self._ready.items()}


def _run(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:
        return f"the check itself failed: {error!r}"


def health_application(checks: Checks) -> web.Application:
    """Serves `/livez`, `/healthz` and `/readyz`."""

    async def live(request: web.Request) -> web.Response:
        return _answer("livez", checks.run_live(), verbose="verbose" in request.query)

    async def ready(request: web.Request) -> web.Response:
        return _answer("readyz", checks.run_ready(), verbose="verbose" in request.query)

    application = web.Application()
    application.router.add_get("/livez", live)
    application.router.add_get("/healthz", live)
    application.router.add_get("/readyz", ready)
    return application


def _answer(what: str, results: dict[str, str | None], *, verbose: bool) -> web.Response:
    failed = any(reason is not None for reason in results.values())
    if not failed and not verbose:
        return web.Response(text="ok")
    lines = [f"[+]{name} ok" if reason is None else f"[-]{name} failed: {reason}" for name, reason in results.items()]
    lines.append(f"{what} check {'failed' if failed else 'passed'}")
    return web.Response(text="\n".join(lines) + "\n", status=500 if failed else 200)


def metrics_application(metrics: Metrics, *, guard: Middleware | None = None) -> web.Application:
    """Serves `/metrics`; `guard` decides who gets it."""
    rendering = asyncio.Lock()

    async def scrape(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        async with rendering:  # one thread at a time, however many scrape
            metrics.refresh()
            body = await asyncio.to_thread(encode, metrics.registry)
        return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    application = web.Application(middlewares=() if guard is None else (guard,))
    application.router.add_get("/metrics", scrape)
    return application


class Server:
    """An application that is served while the context is open."""

    def __init__(
        self, address: Address, application: web.Application, *, option: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = address
        self._tls = tls
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=_STOP_SECONDS)
        self._option = option
        self.port = address.port

    @property
    def url(self) -> str:
        """The address as a client on this machine would write it."""
        host = self._address.host or "localhost"
        return f"{'https' if self._tls else 'http'}://{Address(host, self.port)}"

    async def __aenter__(self) -> Server:
        await self._runner.setup()
        try:
            listening = _listen(self._address)
        except OSError as error:
            await self._runner.cleanup()
            raise ServeError(
                f"listen on {self._address} ({self._option}): {error.strerror or error}; "
                f"set {self._option} to an address that is free, or to off"
            ) from error
        await web.SockSite(self._runner, listening, ssl_context=self._tls).start()
        self.port = listening.getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()


def _listen(address: Address) -> socket.socket:
    # One socket of our own: with port 0, asyncio would give IPv4 and IPv6 a port each.
    if not address.host and socket.has_dualstack_ipv6():
        return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    found = socket.getaddrinfo(address.host or "0.0.0.0", address.port, type=socket.SOCK_STREAM)  # noqa: S104
    family, where = found[0][0], found[0][4]
    return socket.create_server((where[0], where[1]), family=socket.AddressFamily(family), backlog=64)
