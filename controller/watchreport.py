"""What informers report, as metrics and log lines.

One line for each decision (a relist, a failure, a kind that appeared), none for each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from controller import families as f
from controller.metrics import RESTART_REASONS, Metrics
from informers import InformerObserver
from informers.clock import Clock
from informers.errors import Expired, Forbidden, TooManyRequests, TransportError
from informers.resource import ObjectKey, Resource

_log = structlog.get_logger("informers")


class WatchReport(InformerObserver):
    """The observer of all informers of this process."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[Resource, Exception] = {}
        self._objects = metrics.gauge(f.INFORMER_OBJECTS)
        self._synced = metrics.gauge(f.INFORMER_SYNCED)
        self._last_event = metrics.gauge(f.INFORMER_LAST_EVENT)
        self._restarts = metrics.counter(f.WATCH_RESTARTS)
        self._decode_errors = metrics.counter(f.DECODE_ERRORS)
        self._handler_errors = metrics.counter(f.HANDLER_ERRORS)

    def preset(self, resources: Iterable[Resource]) -> None:
        """Have the series of these resources exist from the start, at 0: a rate over a series that appears with its
        first increment misses that increment."""
        for resource in resources:
            self._synced.labels(resource.plural).set(0)
            self._decode_errors.labels(resource.plural)
            self._handler_errors.labels(resource.plural)
            for reason in RESTART_REASONS:
                self._restarts.labels(resource.plural, reason)

    def watch_started(self, resource: Resource, namespace: str) -> None:
        # A server sends nothing about a kind that is quiet since it started, but it was heard just now.
        self._heard(resource)

    def watch_ended(self, resource: Resource, namespace: str, *, reason: str, events: int, seconds: float) -> None:
        self._restarts.labels(resource.plural, _restart_reason(reason)).inc()
        _log.debug(
            "Watch ended", resource=resource.plural, namespace=namespace, reason=reason, events=events, seconds=seconds
        )

    def listed(self, resource: Resource, namespace: str, *, items: int, rows: int, seconds: float) -> None:
        _log.debug(
            "Listed",
            resource=resource.plural,
            namespace=namespace,
            items=items,
            rows=rows,
            duration_s=round(seconds, 3),
        )

    def relist(self, resource: Resource, namespace: str, *, reason: str) -> None:
        _log.info("Reading a whole collection again", resource=resource.plural, namespace=namespace, reason=reason)

    def attempt_failed(
        self, resource: Resource, namespace: str, *, error: Exception, retry_in: float, repeated: bool
    ) -> None:
        self._failures[resource] = error
        if repeated:
            return
        # An expired resourceVersion, a cut connection and a server that wants to be asked later (each custom resource
        # of one that has just started) are everyday life; everything else somebody must know of.
        level = _log.debug if isinstance(error, Expired) else _log.info
        if not isinstance(error, Expired | TransportError | TooManyRequests):
            level = _log.warning
        level(
            "Watching failed and is tried again",
            resource=resource.plural,
            namespace=namespace,
            err=str(error),
            retry_in_s=round(retry_in, 1),
        )

    def failure(self, resource: Resource) -> Exception | None:
        """The last failure that was told of this resource, which may be over."""
        return self._failures.get(resource)

    def synced(self, resource: Resource, namespace: str, *, seconds: float) -> None:
        self._synced.labels(resource.plural).set(1)
        _log.debug("Cache is complete", resource=resource.plural, namespace=namespace, duration_s=round(seconds, 3))

    def availability(self, resource: Resource, *, available: bool) -> None:
        refused = isinstance(self._failures.get(resource), Forbidden)
        missing = "Kind may not be read; going on without it" if refused else "Kind is not served; waiting for it"
        _log.info(
            "Kind is served" if available else missing,
            resource=resource.plural,
            kind=resource.kind,
        )

    def events(self, resource: Resource, counts: Mapping[str, int]) -> None:
        self._heard(resource)

    def _heard(self, resource: Resource) -> None:
        self._last_event.labels(resource.plural).set(self._clock.wall().timestamp())

    def objects(self, resource: Resource, count: int) -> None:
        self._objects.labels(resource.plural).set(count)

    def decode_failed(self, resource: Resource, key: ObjectKey | None, error: Exception) -> None:
        self._decode_errors.labels(resource.plural).inc()
        _log.warning("Skipped an object that cannot be decoded", **_where(resource, key), err=str(error))

    def handler_failed(self, resource: Resource, handler: str, key: ObjectKey, error: Exception) -> None:
        self._handler_errors.labels(resource.plural).inc()
        _log.error("A handler failed", **_where(resource, key), handler=handler, err=repr(error), exc_info=error)

    def index_failed(self, resource: Resource, index: str, key: ObjectKey, error: Exception) -> None:
        self._handler_errors.labels(resource.plural).inc()
        _log.error("An index function failed", **_where(resource, key), index=index, err=repr(error), exc_info=error)


def _where(resource: Resource, key: ObjectKey | None) -> dict[str, str]:
    return {
        "resource": resource.plural,
        "namespace": key.namespace if key else "",
        "name": key.name if key else "",
    }


def _restart_reason(reason: str) -> str:
    return {
        "closed": "eof",
        "short": "eof",
        "IdleTimeout": "timeout",
        "Expired": "gone",
        "rewound": "gone",
        "undecodable": "decode",
        "refresh": "refresh",
        "DecodeError": "decode",
        "TransportError": "eof",
    }.get(reason, "http")
