"""The operator as a process: what is built, in which order it starts, and how it stops.

Start: caches first; no key is worked on before every cache is complete, because a blueprint that is not in the cache
yet looks like one that does not exist. Then, where replicas compete, it waits to become the leader: its caches are kept
warm, its queue is empty, nothing is written (L12).

Stop, on SIGTERM: not ready, no new work, what is under way may finish within the grace, Events are flushed, the lease
is given back, connections are closed. A lost lease ends the process at once and without any of that (L7). Any task that
ends with an exception ends the process: to be half dead and answer the probes would be worse than a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import structlog

from controller import families as f
from controller import memory
from controller.applier import Applier
from controller.barrier import WriteBarrier
from controller.brake import Brake
from controller.caches import Caches, View
from controller.claims import Claims
from controller.config import Settings
from controller.copydemand import CopyDemand
from controller.debug import Debug
from controller.diagnosis import lagging
from controller.election import Election
from controller.elector import LeadershipLost
from controller.fanout import FanOut
from controller.fence import FencedTransport
from controller.firstpass import FirstPass
from controller.handlers import Handlers
from controller.handover import DOUBT_SECONDS, tell
from controller.logs import Logs
from controller.looplag import watch_loop_lag
from controller.machinery import Machinery
from controller.metrics import Metrics
from controller.outcomes import Outcomes
from controller.promotion import catch_up
from controller.recorder import EventRecorder
from controller.secretcheck import StorageSecrets
from controller.secretcopies import SecretCopies
from controller.server import Checks
from controller.serverversion import ServerVersion
from controller.serving import serve
from controller.signals import stop_on_signal
from controller.templates import PodTemplates
from controller.watchdog import Watchdog
from controller.watchreport import WatchReport
from controller.worker import workers
from controller.workqueue import WorkQueue
from informers import (
    AiohttpTransport,
    InformerFactory,
    InformerStatus,
    NotSynced,
    RealClock,
    Transport,
    load_credentials,
)
from informers.clock import Clock
from informers.resource import ObjectKey, Resource
from reconcilers import defaults
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT

QUEUE = "autobackup"
_SYNC_REPORT_SECONDS = 30.0
_FLUSH_SECONDS = 1.5
# Nobody works until the Lease is given back, and it cannot be before the last Event: thousands of them, after many
# targets were configured, would hold up the next leader.
_FLUSH_SECONDS_OF_A_LEADER = 0.2

Job = Coroutine[None, None, None]

_log = structlog.get_logger("manager")


@dataclass(slots=True)
class _Readiness:
    """Why the operator is not ready; nothing when it is."""

    synced: bool = False
    stopping: bool = False
    lagging: Callable[[], str] = str
    """Says what is wrong with the caches now; nothing when they are complete and follow the API server."""

    def caches(self) -> str | None:
        return self.lagging() or (None if self.synced else "not complete yet")

    def shutdown(self) -> str | None:
        return "shutting down" if self.stopping else None


def run(settings: Settings, *, version: str) -> int:
    """Run the operator until it is told to stop; the exit code."""
    clock = RealClock()
    with Logs(clock, level=settings.log_level, form=settings.log_format) as logs:
        return _run(settings, version=version, clock=clock, logs=logs)


def _run(settings: Settings, *, version: str, clock: Clock, logs: Logs) -> int:
    credentials = load_credentials(settings.kubeconfig, settings.context, clock=clock)
    metrics = Metrics(version=version)
    identity = f"{socket.gethostname()}-{clock.token()}"
    transport = AiohttpTransport(
        credentials, user_agent=f"autobackup/{version} ({identity})", observer=metrics.request, clock=clock
    )
    _log.info("Starting", version=version, identity=identity, server=credentials.server_url, via=credentials.source)
    election = Election.of(settings, credentials, transport, clock=clock, metrics=metrics, identity=identity)
    memory.leave_out(search=True)
    with Watchdog(election.fence, clock):
        main = _main(settings, election, transport, clock=clock, metrics=metrics, identity=identity, logs=logs)
        return asyncio.run(main)


async def _main(
    settings: Settings,
    election: Election,
    transport: Transport,
    *,
    clock: Clock,
    metrics: Metrics,
    identity: str,
    logs: Logs,
) -> int:
    readiness = _Readiness()
    checks = Checks()
    checks.live("leader-election", election.overdue)
    server_version = ServerVersion(transport, clock)
    checks.ready("server-version", server_version.check)
    checks.ready("caches", readiness.caches)
    checks.ready("shutdown", readiness.shutdown)
    lost = False
    try:
        async with contextlib.AsyncExitStack() as stack:
            stop = stack.enter_context(stop_on_signal())
            operator = Operator(settings, election, transport, clock=clock, metrics=metrics, identity=identity)
            await serve(
                stack,
                settings,
                checks=checks,
                metrics=metrics,
                debug=operator.debug,
                logs=logs,
                transport=transport,
                clock=clock,
            )
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            background = [tasks.create_task(job) for job in (*operator.background(readiness), server_version.run())]
            await stop.wait()
            readiness.stopping = True
            _log.info("Stopping", grace_s=settings.shutdown_grace_seconds)
            await election.resign(await operator.drain(settings.shutdown_grace_seconds))
            for task in background:
                task.cancel()
    except* LeadershipLost:
        lost = True  # it was logged when it happened
    finally:
        await transport.close()
    _log.info("Stopped")
    return 1 if lost else 0


class Operator:
    """Everything that makes auto backup, wired together."""

    def __init__(
        self,
        settings: Settings,
        election: Election,
        transport: Transport,
        *,
        clock: Clock,
        metrics: Metrics,
        identity: str,
    ) -> None:
        self._settings = settings
        self._elector = election.elector
        self._transport = transport
        self._clock = clock
        self._metrics = metrics
        self._synced = asyncio.Event()
        # Whoever writes gets this one: nothing passes it while another process may lead (L6).
        self._fenced = fenced = FencedTransport(transport, election.fence)
        self._watching = WatchReport(metrics, clock)
        self._factory = InformerFactory(transport, clock, self._watching, namespaces=settings.namespaces)
        queue_metrics = metrics.queue(QUEUE)
        self._queue: WorkQueue[Key] = WorkQueue(clock, observer=queue_metrics, fan_out=FanOut(settings.workers))
        queue_metrics.bind(self._queue)
        self._recorder = EventRecorder(fenced, clock, identity=identity, dropped=metrics.event_dropped)
        self._factory.follow_api_services()
        self._caches = Caches.register(
            self._factory, namespaces=settings.namespaces, openshift=settings.openshift == "auto"
        )
        self._outcomes = Outcomes()
        first_pass = FirstPass()
        claims = Claims(clock)
        templates = PodTemplates(transport)
        applier = Applier(fenced, clock, most_in_flight=settings.max_in_flight_writes)
        self._secrets = StorageSecrets(
            fenced,
            clock,
            enabled=settings.check_storage_secrets == "auto",
            wanted=self._storage_secrets,
            changed=self._secret_changed,
        )
        self._copies = SecretCopies(
            fenced,
            clock,
            applier=applier,
            demand=CopyDemand(self._caches, self._outcomes, first_pass),
            changed=self._secret_changed,
            source_changed=self._source_changed,
            wrote=metrics.copy_written,
        )
        self.view = View(
            self._caches,
            claims=claims,
            outcomes=self._outcomes,
            templates=templates,
            secrets=self._secrets,
            copies=self._copies,
            applier=applier,
            clock=clock,
            defaults=defaults.parse(settings.defaults),
            closed=settings.require_allowed_namespaces,
        )
        self._barrier = barrier = WriteBarrier(self._revision_of)
        self._written = (self._caches.repositories, self._caches.configurations, self._caches.blueprints)
        self._caught_up = False
        self._handlers = Handlers(
            queue=self._queue, view=self.view, outcomes=self._outcomes, barrier=barrier, first_pass=first_pass
        )
        self._machinery = Machinery(
            queue=self._queue,
            view=self.view,
            applier=applier,
            templates=templates,
            claims=claims,
            outcomes=self._outcomes,
            first_pass=first_pass,
            barrier=barrier,
            brake=Brake(),
            clock=clock,
            metrics=metrics,
            emit=self._recorder.emit,
            secrets_wanted=self._wake_secrets,
        )
        self.debug = Debug(
            informers=self._statuses, queue=self._queue, view=self.view, recorded=self._outcomes.of, clock=clock
        )
        metrics.before_scrape(self._count_targets)
        metrics.before_scrape(self._count_copies)
        for kind in (*self._caches.targets, BLUEPRINT.kind):
            metrics.reconciles(kind).limit.set(settings.workers)
        self._watching.preset(informer.resource for informer in self._factory.informers)

    def background(self, readiness: _Readiness) -> list[Job]:
        """The jobs of the process, to be run until they are cancelled."""
        jobs: list[Job] = [
            watch_loop_lag(self._clock, self._metrics.loop_lag.observe),
            memory.keep_tidy(self._clock, busy=lambda: len(self._queue) > 0),
        ]
        if self._settings.auto_backup:
            lead = self._lead_alone() if self._elector is None else self._elector.run(self._lead, ready=self._synced)
            jobs += [self._factory.run(), self._sync(readiness), lead]
        else:
            readiness.synced = True
        return jobs

    async def drain(self, grace: float) -> str:
        """Take no new work, let what is under way finish. Returns what the next leader should know."""
        drained = await self._queue.drain(grace)
        if not drained:
            _log.warning("Work was still under way when the grace ended; it is done again by the next process")
        await self._recorder.flush(_FLUSH_SECONDS if self._elector is None else _FLUSH_SECONDS_OF_A_LEADER)
        in_doubt = self._clock.boottime() < self._fenced.unanswered_at + DOUBT_SECONDS
        return tell(self._written, self._barrier.newest) if self._caught_up and drained and not in_doubt else ""

    async def _sync(self, readiness: _Readiness) -> None:
        """Wait for the caches."""
        started = self._clock.monotonic()
        readiness.lagging = self._lagging
        while not readiness.synced:
            try:
                await self._factory.wait_synced(_SYNC_REPORT_SECONDS)
                readiness.synced = True
            except NotSynced:
                _log.warning("Still waiting for caches", err=self._lagging())
        memory.leave_out(search=False)  # it would take as long as twenty turns of the loop
        _log.info("Caches are complete", duration_s=round(self._clock.monotonic() - started, 3))
        self._synced.set()

    async def _lead_alone(self) -> None:
        await self._synced.wait()
        await self._work()

    async def _lead(self) -> None:
        """What the leader does, once it sees all that the last one wrote (L14)."""
        note = self._elector.told if self._elector else ""
        await catch_up(self._transport, self._clock, self._written, note=note)
        self._caught_up = True
        await self._work()

    async def _work(self) -> None:
        """Queue every key and reconcile; everything that writes runs in here."""
        self._handlers.attach(self._caches)
        async with asyncio.TaskGroup() as pool:
            pool.create_task(self._recorder.run())
            pool.create_task(self._secrets.run())
            pool.create_task(self._copies.run())
            for worker in workers(self._machinery, self._settings.workers):
                pool.create_task(worker.run())

    def _statuses(self) -> list[InformerStatus]:
        return [informer.status() for informer in self._factory.informers]

    def _lagging(self) -> str:
        return lagging(self._statuses(), self._watching.failure)

    def _wake_secrets(self) -> None:
        self._secrets.wake()
        self._copies.wake()

    def _source_changed(self, source: ObjectKey) -> None:
        self._handlers.source_changed(source)

    def _storage_secrets(self) -> dict[ObjectKey, set[str]]:
        """Each storage Secret that a target relies on, with the backends it is for."""
        return {key: self.view.providers(names) for key, names in self._outcomes.storage_secrets().items()}

    def _secret_changed(self, secret: ObjectKey) -> None:
        self._handlers.secret_changed(secret)

    def _revision_of(self, resource: Resource, namespace: str) -> int:
        for informer in self._written:
            if informer.resource == resource:
                return informer.store.last_sync_rv(namespace)
        return 0

    def _count_copies(self) -> None:
        for state, count in self._copies.counts().items():
            self._metrics.gauge(f.SECRET_COPIES).labels(state).set(count)

    def _count_targets(self) -> None:
        gauge = self._metrics.gauge(f.TARGETS)
        gauge.clear()
        for (kind, state), count in self._outcomes.counts().items():
            gauge.labels(kind, state).set(count)
