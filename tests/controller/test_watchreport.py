"""What informers report, as metrics: H12, and the staleness of C6."""

from __future__ import annotations

import pytest
import structlog

from controller import families as f
from controller.metrics import Metrics
from controller.watchreport import WatchReport
from informers import InformerObserver, ObjectKey, Resource
from informers.errors import ApiError, Expired, Forbidden, ServerError, TooManyRequests, TransportError
from tests.support.virtualtime import START, VirtualClock, run_virtual

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
LEFT = frozenset({"suppressed", "undecodable"})
"""Reports that nobody could act upon; the debug page of informers shows what stands behind them."""


def test_h12_what_an_informer_reports_is_exported() -> None:
    async def main() -> None:
        metrics = Metrics(version="test")
        report = WatchReport(metrics, VirtualClock())
        report.synced(DEPLOYMENTS, "", seconds=1.0)
        report.objects(DEPLOYMENTS, 7)
        report.events(DEPLOYMENTS, {"ADDED": 3, "BOOKMARK": 1})
        report.watch_ended(DEPLOYMENTS, "", reason="Expired", events=1, seconds=2.0)
        report.watch_ended(DEPLOYMENTS, "", reason="short", events=0, seconds=0.1)
        report.watch_ended(DEPLOYMENTS, "", reason="IdleTimeout", events=0, seconds=70.0)
        report.watch_ended(DEPLOYMENTS, "", reason="Forbidden", events=0, seconds=70.0)
        report.decode_failed(DEPLOYMENTS, ObjectKey("ns", "a"), ValueError("x"))
        report.handler_failed(DEPLOYMENTS, "h", ObjectKey("ns", "a"), ValueError("x"))
        report.index_failed(DEPLOYMENTS, "i", ObjectKey("ns", "a"), ValueError("x"))

        def value(family: f.Family, **labels: str) -> float | None:
            return metrics.registry.get_sample_value(family.name, {"resource": "deployments", **labels})

        assert value(f.INFORMER_SYNCED) == 1
        assert value(f.INFORMER_OBJECTS) == 7
        assert value(f.INFORMER_LAST_EVENT) == START.timestamp()
        assert [value(f.WATCH_RESTARTS, reason=reason) for reason in ("gone", "eof", "timeout", "http")] == [1] * 4
        assert value(f.DECODE_ERRORS) == 1
        assert value(f.HANDLER_ERRORS) == 2

    with structlog.testing.capture_logs():
        run_virtual(main())


def test_c6_a_watch_that_was_opened_was_heard_of_although_its_kind_is_quiet() -> None:
    async def main() -> None:
        metrics, clock = Metrics(version="test"), VirtualClock()
        report = WatchReport(metrics, clock)
        report.events(DEPLOYMENTS, {"ADDED": 1})
        clock.suspend(1000)
        report.watch_started(DEPLOYMENTS, "")
        heard = metrics.registry.get_sample_value(f.INFORMER_LAST_EVENT.name, {"resource": "deployments"})
        assert heard == START.timestamp() + 1000

    run_virtual(main())


def test_h12_every_report_of_an_informer_is_taken_or_left_on_purpose() -> None:
    reports = {name for name in vars(InformerObserver) if not name.startswith("_")}
    assert reports - vars(WatchReport).keys() == LEFT


@pytest.mark.parametrize(("repeated", "lines"), [(False, 1), (True, 0)])
def test_a_failure_is_told_once_and_known_from_then_on(repeated: bool, lines: int) -> None:
    report = WatchReport(Metrics(version="test"), VirtualClock())
    error = Forbidden("LIST deployments", status=403, reason="Forbidden")
    with structlog.testing.capture_logs() as told:
        report.attempt_failed(DEPLOYMENTS, "", error=error, retry_in=30.0, repeated=repeated)
    assert len(told) == lines
    assert report.failure(DEPLOYMENTS) is error


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Expired("WATCH deployments", status=410), "debug"),
        (TransportError("WATCH deployments", reason="refused"), "info"),
        (TooManyRequests("WATCH deployments", status=429, message="storage is (re)initializing"), "info"),
        (ServerError("WATCH deployments", status=500), "warning"),
        (Forbidden("WATCH deployments", status=403), "warning"),
    ],
)
def test_what_passes_by_itself_is_no_warning(error: ApiError, level: str) -> None:
    """Each custom resource of a server that has just started answers 429 until its storage is there."""
    with structlog.testing.capture_logs() as told:
        WatchReport(Metrics(version="test"), VirtualClock()).attempt_failed(
            DEPLOYMENTS, "", error=error, retry_in=1.0, repeated=False
        )
    assert [line["log_level"] for line in told] == [level]
