"""The two servers of the process, as the configuration wants them.

Contract: health is served plain and to everybody, because probes have no credentials. Metrics are served the same way,
or with `metrics.secure` over TLS and to whom the API server allows it. The debug pages are on the metrics server,
behind the same guard; without one they answer only what was asked under a name of this machine, so that a web page in
somebody's browser, whose name was pointed here, gets nothing. The configuration has refused the rest: pages without a
guard on an address that others reach.
"""

from __future__ import annotations

import contextlib

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.access import Access, guard
from controller.config import Settings
from controller.debug import Debug, add_debug
from controller.logs import Logs
from controller.metrics import Metrics
from controller.server import Checks, Server, health_application, metrics_application
from controller.servingcert import ServingCertificate
from informers.clock import Clock
from informers.proxy import is_loopback
from informers.transport import Transport

_log = structlog.get_logger("manager")


async def serve(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    *,
    checks: Checks,
    metrics: Metrics,
    debug: Debug,
    logs: Logs,
    transport: Transport,
    clock: Clock,
) -> None:
    """Open the servers that are configured, until `stack` is closed."""
    if settings.health_address is not None:
        server = Server(settings.health_address, health_application(checks), option="healthAddress")
        await stack.enter_async_context(server)
        _log.info("Serving", option="healthAddress", url=server.url)
    if settings.metrics_address is not None:
        certificate = None
        if settings.metrics_secure:
            files = settings.metrics_cert_file, settings.metrics_key_file
            certificate = ServingCertificate(clock, cert_file=files[0], key_file=files[1])
        application = metrics_application(metrics, guard=_guard(settings, transport, clock))
        if settings.debug_endpoint:
            add_debug(application, debug, logs)
        server = Server(
            settings.metrics_address,
            application,
            option="metricsAddress",
            tls=certificate.context if certificate else None,
        )
        await stack.enter_async_context(server)
        _log.info(
            "Serving",
            option="metricsAddress",
            url=server.url,
            debug=settings.debug_endpoint,
            **({"certificate": certificate.source} if certificate else {}),
        )


def _guard(settings: Settings, transport: Transport, clock: Clock) -> Middleware | None:
    if settings.metrics_secure:
        return guard(Access(transport, clock))
    return only_under_local_names if settings.debug_endpoint else None


@web.middleware
async def only_under_local_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what was asked under a name that is not this machine's own, metrics apart."""
    if request.path.startswith("/debug/") and not is_loopback(request.url.host or ""):
        return web.Response(status=403, text="ask for this as 127.0.0.1 or localhost\n")
    return await handler(request)
