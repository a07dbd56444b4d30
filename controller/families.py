"""Every metric the operator exports, as data: the registry and the reference page are both made from this
list.

Names that other operators use as well (`workqueue_*`, `controller_runtime_*`, `rest_client_*`,
`leader_election_*`) keep their spelling and labels, so dashboards and alerts made for those work unchanged.
Names are an interface: renaming one is a breaking change.

No label ever carries an annotation value, a path, an error text or the name of a Secret; every label has a
small, known set of values.

Sources of the names: controller-runtime `pkg/internal/metrics`, `pkg/metrics/workqueue.go`, client-go
`tools/metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Type(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric; `buckets` for histograms only: few, because each is a series per label set in every
    scrape. A histogram that is `tallied` is kept by `controller.tally`.
    """

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    tallied: bool = False


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name, Type.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(name, Type.GAUGE, text, labels)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Family:
    return Family(name, Type.HISTOGRAM, text, labels, buckets)


def _tally(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Family:
    return Family(name, Type.HISTOGRAM, text, labels, buckets, tallied=True)


_WORK: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
_REQUEST: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LAG: Final = (0.001, 0.005, 0.02, 0.05, 0.2, 1.0)

WORKQUEUE_DEPTH = _gauge(
    "workqueue_depth", "Keys that are ready and wait for a worker, by the priority they wait at.", "name", "priority"
)
WORKQUEUE_ADDS = _counter("workqueue_adds_total", "Times a key became ready to be worked on.", "name")
WORKQUEUE_QUEUE_DURATION = _tally(
    "workqueue_queue_duration_seconds", "How long keys were ready before a worker took them.", "name", buckets=_WORK
)
WORKQUEUE_WORK_DURATION = _tally(
    "workqueue_work_duration_seconds", "How long workers kept a key.", "name", buckets=_WORK
)
WORKQUEUE_UNFINISHED = _gauge(
    "workqueue_unfinished_work_seconds", "Seconds of work in progress, over all workers.", "name"
)
WORKQUEUE_LONGEST = _gauge(
    "workqueue_longest_running_processor_seconds", "Seconds the longest work in progress has taken so far.", "name"
)
WORKQUEUE_RETRIES = _counter("workqueue_retries_total", "Keys queued again because their work failed.", "name")

RECONCILES = _counter("controller_runtime_reconcile_total", "Reconciles by result.", "controller", "result")
RECONCILE_ERRORS = _counter("controller_runtime_reconcile_errors_total", "Reconciles that failed.", "controller")
RECONCILE_TERMINAL_ERRORS = _counter(
    "controller_runtime_terminal_reconcile_errors_total",
    "Reconciles that failed in a way that only a change of their objects can mend.",
    "controller",
)
RECONCILE_PANICS = _counter(
    "controller_runtime_reconcile_panics_total", "Reconciles ended by an unexpected exception.", "controller"
)
RECONCILE_TIMEOUTS = _counter(
    "controller_runtime_reconcile_timeouts_total", "Reconciles ended by their time limit.", "controller"
)
RECONCILE_TIME = _histogram(
    "controller_runtime_reconcile_time_seconds", "How long reconciles take.", "controller", buckets=_WORK
)
RECONCILE_LIMIT = _gauge(
    "controller_runtime_max_concurrent_reconciles", "Workers that may reconcile at a time.", "controller"
)
RECONCILES_ACTIVE = _gauge("controller_runtime_active_workers", "Workers that reconcile now.", "controller")

REQUESTS = _counter(
    "rest_client_requests_total",
    "Requests to the API server by status code, method and host; the code is <error> when there was no answer.",
    "code",
    "method",
    "host",
)
REQUEST_DURATION = _histogram(
    "rest_client_request_duration_seconds",
    "Time from a request to the first byte of its answer.",
    "verb",
    "host",
    buckets=_REQUEST,
)
LEADING = _gauge("leader_election_master_status", "1 where this process holds the lease, 0 where it does not.", "name")
LEADING_SLOWPATH = _counter(
    "leader_election_slowpath_total",
    "Renewals of the lease that took more than one request, because it had changed.",
    "name",
)

BUILD_INFO = _gauge("autobackup_build_info", "Constant 1; the labels say what runs.", "version", "python")
TARGETS = _gauge("autobackup_targets", "Objects that ask for backup, by what became of that.", "kind", "state")
RESOLVES = _counter("autobackup_resolve_total", "Blueprints resolved for a target, by result.", "result")
APPLIES = _counter(
    "autobackup_apply_total",
    "Objects looked at to be written, by result: noop is one that was right already and cost no request.",
    "kind",
    "result",
)
OSCILLATIONS = _counter(
    "autobackup_applier_oscillation_total",
    "Objects left alone for a while because somebody undoes each of our writes.",
    "kind",
)
INFORMER_SYNCED = _gauge(
    "autobackup_informer_synced", "1 when the cache of a resource is complete, 0 when it is not.", "resource"
)
INFORMER_OBJECTS = _gauge("autobackup_informer_objects", "Objects in the cache of a resource.", "resource")
INFORMER_LAST_EVENT = _gauge(
    "autobackup_informer_last_event_timestamp_seconds",
    "Unix time when a resource's watch was last heard of: an event, a bookmark, or that it was opened.",
    "resource",
)
WATCH_RESTARTS = _counter(
    "autobackup_watch_restarts_total", "Watches that ended and were opened anew, by reason.", "resource", "reason"
)
DECODE_ERRORS = _counter(
    "autobackup_decode_errors_total", "Objects of a resource that could not be decoded and were skipped.", "resource"
)
HANDLER_ERRORS = _counter(
    "autobackup_handler_errors_total", "Exceptions of code that listens to the cache of a resource.", "resource"
)
SECRET_COPIES = _gauge("autobackup_secret_copies", "Copies of storage Secrets that targets need, by state.", "state")
SECRET_COPY_WRITES = _counter(
    "autobackup_secret_copy_writes_total",
    "Copies of storage Secrets that were created, updated or deleted, and attempts that failed.",
    "result",
)
EVENTS_DROPPED = _counter(
    "autobackup_events_dropped_total", "Kubernetes Events that were not written, by reason.", "reason"
)
LOOP_LAG = _histogram(
    "autobackup_event_loop_lag_seconds", "How late the event loop serves a timer that is due.", buckets=_LAG
)

FAMILIES: Final[tuple[Family, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
"""All of them, in the order of this file."""
