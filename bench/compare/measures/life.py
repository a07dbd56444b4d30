"""A controller that has nothing to do, that is started again, and that loses its API server; and what a target costs.

A function or a method takes one turn. Steady after a restart: every target was looked at and nothing is left to do.
Recovery: from the moment at which the API server answers again until a target that is annotated then has both objects.
Cost: all requests, Events and statuses too, and all bytes on the wire, while targets are annotated, their blueprint is
edited, and they opt out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic, perf_counter, sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench.compare.cells import Cells, Measure
from bench.compare.controllers import Side
from bench.compare.crew import Crew
from bench.compare.wire import CountingRelay
from bench.connection import MERGE, Connection, send_all
from bench.fleet import ANNOTATION, BLUEPRINT, BLUEPRINTS, CONFIGURATIONS, REPOSITORIES, create_request, deployment
from bench.progress import Progress
from bench.scene import BESIDES, object_writes, reads
from tools.controlplane import OPERATOR, ApiFailure, AuditEvent

RESTART = Measure("restart", "restart", "restart with all targets converged → steady", "s")
RESTART_CPU = Measure("restart", "restart-cpu", "restart, CPU until steady", "s")
RESTART_WRITES = Measure("restart", "restart-writes", "restart with all targets converged: writes", "", counted=True)
RESTART_READS = Measure("restart", "restart-reads", "restart with all targets converged: reads", "", counted=True)
TARGETS_RSS = Measure("restart", "targets-rss", "resident memory of the controller, all objects annotated", "MB")
FEW_RSS = Measure(
    "footprint", "operator-rss", "resident memory of the controller, at most 1,000 objects annotated", "MB"
)
FEW = Measure("footprint", "restart-few", "restart → steady, at most 1,000 objects annotated", "s")
FEW_CPU = Measure("footprint", "restart-few-cpu", "the same restart, CPU until steady", "s")
FEW_WRITES = Measure("footprint", "restart-few-writes", "the same restart: writes", "", counted=True)
FEW_READS = Measure("footprint", "restart-few-reads", "the same restart: reads", "", counted=True)
RECOVERY = Measure("recovery", "recovery", "API server back → the next target configured", "s")
RECOVERY_REQUESTS = Measure("recovery", "recovery-requests", "requests after the API server was back", "", counted=True)
COST_REQUESTS = Measure("cost", "cost-requests", "requests for each target: create, edit, opt-out", "", counted=True)
COST_OBJECTS = Measure(
    "cost", "cost-objects", "of these, reads and writes of objects (no Events, no statuses)", "", counted=True
)
COST_BYTES = Measure("cost", "cost-bytes", "bytes on the wire for each target: create, edit, opt-out", "KB")
IDLE_REQUESTS = Measure("idle", "idle-requests", "requests in an idle hour", "1/h", counted=True)
IDLE_OTHERS = Measure("idle", "idle-others", "of these, other than watches", "1/h", counted=True)

_RESTART = (RESTART, RESTART_CPU, RESTART_WRITES, RESTART_READS, TARGETS_RSS)
_FOOTPRINT = (FEW, FEW_CPU, FEW_WRITES, FEW_READS, FEW_RSS)
MEASURES = (
    *_RESTART,
    *_FOOTPRINT,
    RECOVERY,
    RECOVERY_REQUESTS,
    COST_REQUESTS,
    COST_OBJECTS,
    COST_BYTES,
    IDLE_REQUESTS,
    IDLE_OTHERS,
)

_ASK = {"metadata": {"annotations": {ANNOTATION: BLUEPRINT}}}
_WITHDRAW = {"metadata": {"annotations": {ANNOTATION: None}}}
_PATIENCE = 300.0


def restart(crew: Crew, progress: Progress, taken: Cells) -> None:
    """Everything is as it should be and stays so; the new processes are those that run from here on."""
    for side in crew.sides:
        progress.detail(f"restart with {side.targets} targets, {side.name}")
        crew.stop(side)
        for measure, value in zip(_RESTART, _restarted(crew, side), strict=True):
            taken.add(measure.name, side.size, side.name, value)


def footprint(crew: Crew, progress: Progress, taken: Cells) -> None:
    """The same among many objects of which few are annotated; both work on one control plane, one after the other."""
    for side in crew.sides:
        progress.detail(f"what {side.name} weighs")
        found = _restarted(crew, side)
        crew.stop(side)
        for measure, value in zip(_FOOTPRINT, found, strict=True):
            taken.add(measure.name, side.scene.fleet.objects, side.name, value)


def _restarted(crew: Crew, side: Side) -> tuple[float, ...]:
    """Seconds, CPU seconds, writes, reads, megabytes."""
    mark, started = side.scene.plane.audit_log.mark(), perf_counter()
    operator = crew.start(side)
    operator.wait_settled(side.targets)
    seconds, spent = perf_counter() - started, operator.cpu_seconds
    side.scene.wait_quiet()
    sent = side.scene.requests(mark)
    return seconds, spent, sum(map(_is_write, sent)), len(reads(sent)), operator.memory / 1e6


class Recovery:
    """Each turn with processes whose server never went away: pauses that failures made longer are forgotten in them."""

    def __init__(self, crew: Crew, progress: Progress) -> None:
        self._crew = crew
        self._progress = progress
        self._shaken: dict[str, object] = {}
        self._turn = 0

    def turn(self, taken: Cells) -> None:
        self._turn += 1
        for side in self._crew.sides:
            if self._shaken.get(side.name) is self._crew.operator(side):
                self._crew.stop(side)
            operator = self._crew.operator(side)
            self._progress.detail(f"the API server restarts, {side.name}")
            admin, server = side.scene.plane.client(), side.scene.plane.apiserver
            name, namespace = f"after-{self._turn}", side.scene.fleet.namespace_names[0]
            admin.create(deployment(name, namespace))
            side.scene.wait_quiet()
            mark = side.scene.plane.audit_log.mark()
            self._shaken[side.name] = operator
            server.restart()
            back = perf_counter()
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
            _insist(partial(admin.request, "PATCH", path, body=_ASK, content_type=MERGE))
            _wait_for(admin, namespace, f"deploy-{name}")
            seconds = perf_counter() - back
            side.added += 1
            operator.wait_settled(side.targets)
            side.scene.wait_quiet()
            taken.add(RECOVERY.name, side.size, side.name, seconds)
            taken.add(RECOVERY_REQUESTS.name, side.size, side.name, len(_all(side, mark)))


class Idle:
    """From `Idle(...)` on nobody does anything there; `end` counts what was sent in its first seconds.

    A watch is opened again when the time is over that it asked for, up to an hour: how often, is taken from that time.
    """

    def __init__(self, sides: Sequence[Side]) -> None:
        self._sides = sides
        for side in sides:
            side.scene.wait_quiet()
        self._marks = [side.scene.plane.audit_log.mark() for side in sides]
        self._began = datetime.now(UTC)

    def end(self, taken: Cells, *, seconds: float) -> None:
        until = self._began + timedelta(seconds=seconds)
        sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
        for side, mark in zip(self._sides, self._marks, strict=True):
            sent = [event for event in _all(side, mark) if datetime.fromisoformat(event.time) <= until]
            others = sum(event.verb != "watch" for event in sent) / seconds * 3600
            watches = sum(3600 / asked for asked in _open_watches(side))
            taken.add(IDLE_REQUESTS.name, side.size, side.name, others + watches)
            taken.add(IDLE_OTHERS.name, side.size, side.name, others)


def cost(sides: Sequence[Side], progress: Progress, taken: Cells, *, count: int) -> None:
    """On a namespace of its own, through a relay that counts bytes."""
    for side in sides:
        progress.detail(f"requests and bytes of {count} targets, {side.name}")
        with ExitStack() as stack:
            plane = side.scene.plane
            relay = stack.enter_context(CountingRelay(plane.apiserver.port))
            kubeconfig = plane.kubeconfig("operator", server=f"https://127.0.0.1:{relay.port}")
            operator = stack.enter_context(side.running(kubeconfig))
            operator.wait_settled(side.targets)
            asyncio.run(_create_costed(side, count))
            side.scene.wait_quiet()
            mark, before = plane.audit_log.mark(), relay.bytes
            asyncio.run(_change_costed(side, count, _ASK))
            operator.wait_settled(side.targets + count)
            side.scene.wait_quiet()
            edit = {"spec": {"schedule": "7 7 * * *"}}
            plane.client().request("PATCH", f"{BLUEPRINTS}/{BLUEPRINT}", body=edit, content_type=MERGE)
            side.scene.wait_quiet()
            asyncio.run(_change_costed(side, count, _WITHDRAW))
            side.scene.wait_quiet()
            sent = _all(side, mark)
            of_objects = object_writes(sent) + reads(sent)
            for measure, value in (
                (COST_REQUESTS, len(sent) / count),
                (COST_OBJECTS, len(of_objects) / count),
                (COST_BYTES, (relay.bytes - before) / count / 1e3),
            ):
                taken.add(measure.name, count, side.name, value)


def _is_write(event: AuditEvent) -> bool:
    return event.is_write and (event.resource not in BESIDES or event.resource == "events")


def _all(side: Side, mark: int) -> list[AuditEvent]:
    """Every request, watches too."""
    return side.scene.plane.audit_log.requests(mark, user=OPERATOR)


def _open_watches(side: Side) -> list[float]:
    """The seconds that each of them asked for."""
    events = [e for e in side.scene.plane.audit_log.since() if e.user == OPERATOR and e.verb == "watch"]
    started = Counter(event.uri for event in events if event.stage == "ResponseStarted")
    ended = Counter(event.uri for event in events if event.stage == "ResponseComplete")
    return [float(parse_qs(urlsplit(uri).query)["timeoutSeconds"][0]) for uri in (started - ended).elements()]


def _wait_for(admin: Any, namespace: str, name: str) -> None:
    deadline = monotonic() + _PATIENCE
    for collection in (REPOSITORIES, CONFIGURATIONS):
        root, _, plural = collection.rpartition("/")
        path = f"{root}/namespaces/{namespace}/{plural}?fieldSelector=metadata.name%3D{name}"
        while not _insist(partial(admin.request, "GET", path))["items"]:
            if monotonic() > deadline:
                raise TimeoutError(f"{namespace}/{name} did not appear in {_PATIENCE:.0f} s")
            sleep(0.01)


def _insist(ask: Callable[[], Any]) -> Any:
    """A server that says it is ready may still refuse for a moment, until its caches are full."""
    deadline = monotonic() + _PATIENCE
    while True:
        try:
            return ask()
        except ApiFailure:
            if monotonic() > deadline:
                raise
            sleep(0.01)


async def _create_costed(side: Side, count: int) -> None:
    async with Connection(side.scene.plane) as connection:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "costed"}}
        await connection.request("POST", "/api/v1/namespaces", body=body)
        requests = [create_request(deployment(f"costed-{number:04d}", "costed")) for number in range(count)]
        await send_all(connection, requests, in_flight=8)


async def _change_costed(side: Side, count: int, change: dict[str, Any]) -> None:
    async with Connection(side.scene.plane) as connection:
        for number in range(count):
            path = f"/apis/apps/v1/namespaces/costed/deployments/costed-{number:04d}"
            await connection.request("PATCH", path, body=change, content_type=MERGE)
