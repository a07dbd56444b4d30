"""The metrics of one process: a registry of its own, typed ways to feed it, children bound once.

Invariants:
- Every family of `families.FAMILIES` is registered here, and nothing else is (but for the collectors of the
  Python process that prometheus-client brings).
- Label sets that are known beforehand exist from the start at 0: `rate()` over a counter that appears with
  its first increment misses that increment.
- The event loop writes; a scrape renders in a thread. What is read rather than counted (depths, ages) is
  brought up to date on the loop, by `refresh`, before the thread starts: the thread never sees the
  operator's own structures.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from itertools import product
from typing import Protocol, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from controller import families as f
from controller.priorities import BANDS
from controller.tally import TallyFamily

T = TypeVar("T")

RESULTS = ("success", "error", "requeue", "requeue_after")
WRITTEN_KINDS = ("Repository", "BackupConfiguration", "BackupBlueprint")
APPLY_RESULTS = ("applied", "noop", "conflict", "denied", "quota", "error")
RESOLVE_RESULTS = ("configured", "waiting", "failed")
COPY_RESULTS = ("created", "updated", "deleted", "failed")
DROP_REASONS = ("overflow", "rate", "refused", "failed", "shutdown")
RESTART_REASONS = ("gone", "eof", "timeout", "http", "decode", "refresh")


class QueueReadings(Protocol):
    """What is read from a work queue at each scrape."""

    @property
    def added(self) -> int: ...
    def depth(self) -> dict[int, int]: ...
    def unfinished(self) -> tuple[float, float]: ...


class QueueMetrics:
    """`QueueObserver` of one queue; `bind` it to the queue for what is read instead of counted."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._adds = metrics.counter(f.WORKQUEUE_ADDS).labels(name)
        self._waited = metrics.tally(f.WORKQUEUE_QUEUE_DURATION).labels(name)
        self._worked = metrics.tally(f.WORKQUEUE_WORK_DURATION).labels(name)
        self._retries = metrics.counter(f.WORKQUEUE_RETRIES).labels(name)
        self._unfinished = metrics.gauge(f.WORKQUEUE_UNFINISHED).labels(name)
        self._longest = metrics.gauge(f.WORKQUEUE_LONGEST).labels(name)
        depth = metrics.gauge(f.WORKQUEUE_DEPTH)
        self._depth = {priority: depth.labels(name, str(priority)) for priority in BANDS}

    def bind(self, queue: QueueReadings) -> None:
        told = 0

        def read() -> None:
            nonlocal told
            added = queue.added
            self._adds.inc(added - told)
            told = added
            for priority, waiting in queue.depth().items():
                self._depth[priority].set(waiting)
            unfinished, longest = queue.unfinished()
            self._unfinished.set(unfinished)
            self._longest.set(longest)

        self._metrics.before_scrape(read)

    def ran(self, waited: float, worked: float) -> None:
        self._waited.observe(waited)
        self._worked.observe(worked)

    def retried(self) -> None:
        self._retries.inc()


class ReconcileMetrics:
    """The `controller_runtime_*` children of one controller (one kind)."""

    def __init__(self, metrics: Metrics, controller: str) -> None:
        reconciles = metrics.counter(f.RECONCILES)
        self._results = {result: reconciles.labels(controller, result) for result in RESULTS}
        self._seconds = metrics.histogram(f.RECONCILE_TIME).labels(controller)
        self._errors = metrics.counter(f.RECONCILE_ERRORS).labels(controller)
        self.terminal_errors = metrics.counter(f.RECONCILE_TERMINAL_ERRORS).labels(controller)
        self.panics = metrics.counter(f.RECONCILE_PANICS).labels(controller)
        self.timeouts = metrics.counter(f.RECONCILE_TIMEOUTS).labels(controller)
        self.limit = metrics.gauge(f.RECONCILE_LIMIT).labels(controller)
        self.active = metrics.gauge(f.RECONCILES_ACTIVE).labels(controller)

    def reconciled(self, result: str, seconds: float) -> None:
        """Count one reconcile; `result` is one of `RESULTS`."""
        self._results[result].inc()
        self._seconds.observe(seconds)
        if result == "error":
            self._errors.inc()


class Metrics:
    """See the module's contract."""

    def __init__(self, *, version: str) -> None:
        # A time of creation for every series doubles the size of a scrape and nobody reads it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._families: dict[str, Counter | Gauge | Histogram | TallyFamily] = {}
        for family in f.FAMILIES:
            self._families[family.name] = self._build(family)
        self._readers: list[Callable[[], None]] = []
        self._reconciles: dict[str, ReconcileMetrics] = {}
        self._requests: dict[tuple[str, str, str], Counter] = {}
        self._durations: dict[tuple[str, str], Histogram] = {}
        self.loop_lag = self.histogram(f.LOOP_LAG)
        self.gauge(f.BUILD_INFO).labels(version, platform.python_version()).set(1)
        self.preset(f.EVENTS_DROPPED, DROP_REASONS)
        self.preset(f.SECRET_COPY_WRITES, COPY_RESULTS)
        self.preset(f.RESOLVES, RESOLVE_RESULTS)
        self.preset(f.APPLIES, WRITTEN_KINDS, APPLY_RESULTS)
        self.preset(f.OSCILLATIONS, WRITTEN_KINDS)

    def _build(self, family: f.Family) -> Counter | Gauge | Histogram | TallyFamily:
        match family.type:
            case f.Type.COUNTER:
                return Counter(family.name, family.help, family.labels, registry=self.registry)
            case f.Type.GAUGE:
                return Gauge(family.name, family.help, family.labels, registry=self.registry)
            case f.Type.HISTOGRAM if family.tallied:
                tally = TallyFamily(family.name, family.help, family.labels, family.buckets)
                self.registry.register(tally)
                return tally
            case f.Type.HISTOGRAM:
                return Histogram(
                    family.name, family.help, family.labels, registry=self.registry, buckets=family.buckets
                )

    def counter(self, family: f.Family) -> Counter:
        return self._typed(family, Counter)

    def gauge(self, family: f.Family) -> Gauge:
        return self._typed(family, Gauge)

    def histogram(self, family: f.Family) -> Histogram:
        return self._typed(family, Histogram)

    def tally(self, family: f.Family) -> TallyFamily:
        return self._typed(family, TallyFamily)

    def _typed(self, family: f.Family, wanted: type[T]) -> T:
        built = self._families[family.name]
        if not isinstance(built, wanted):
            raise TypeError(f"metric {family.name} is a {family.type}, not a {wanted.__name__.lower()}")
        return built

    def preset(self, family: f.Family, *values: Iterable[str]) -> None:
        """Create every combination of these label values, one iterable a label in the family's order, at 0."""
        for labels in product(*values):
            self._families[family.name].labels(*labels)

    def before_scrape(self, read: Callable[[], None]) -> None:
        """Have `read` set gauges, on the event loop, each time before the registry is rendered."""
        self._readers.append(read)

    def refresh(self) -> None:
        for read in self._readers:
            read()

    def queue(self, name: str) -> QueueMetrics:
        return QueueMetrics(self, name)

    def reconciles(self, controller: str) -> ReconcileMetrics:
        """The children of a controller; the same ones each time."""
        bound = self._reconciles.get(controller)
        if bound is None:
            bound = self._reconciles[controller] = ReconcileMetrics(self, controller)
        return bound

    def request(self, method: str, host: str, code: str, seconds: float) -> None:
        """Count one request to the API server (the transport's observer)."""
        counter = self._requests.get((code, method, host))
        if counter is None:
            counter = self.counter(f.REQUESTS).labels(code, method, host)
            self._requests[code, method, host] = counter
        counter.inc()
        duration = self._durations.get((method, host))
        if duration is None:
            duration = self._durations[method, host] = self.histogram(f.REQUEST_DURATION).labels(method, host)
        duration.observe(seconds)

    def applied(self, kind: str, result: str) -> None:
        """Count one object looked at to be written; `result` is one of `APPLY_RESULTS`."""
        self.counter(f.APPLIES).labels(kind, result).inc()

    def oscillated(self, kind: str) -> None:
        """Count an object of this kind that is left alone because somebody undoes our writes."""
        self.counter(f.OSCILLATIONS).labels(kind).inc()

    def resolved(self, state: str) -> None:
        """Count one blueprint looked at for one target, by how the target then stood with it."""
        self.counter(f.RESOLVES).labels(state).inc()

    def copy_written(self, result: str) -> None:
        """Count what became of a copy of a storage Secret; `result` is one of `COPY_RESULTS`."""
        self.counter(f.SECRET_COPY_WRITES).labels(result).inc()

    def event_dropped(self, reason: str) -> None:
        """Count a Kubernetes Event that was not written; `reason` is one of `DROP_REASONS`."""
        self.counter(f.EVENTS_DROPPED).labels(reason).inc()
