"""A controller that has nothing to do, that is started again, and that loses its API server; and what a target costs.

Steady after a restart: every target was looked at and nothing is left to do. Recovery: from the moment at which the
API server answers again until a target that is annotated then has both objects. Cost: all requests, Events and
statuses too, and all bytes on the wire, while targets are annotated, their blueprint is edited, and they opt out.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from time import monotonic, perf_counter, sleep
from typing import Any

from bench.compare.cells import Cells, Measure
from bench.compare.controllers import Side
from bench.compare.wire import CountingRelay
from bench.connection import MERGE, Connection, send_all
from bench.fleet import ANNOTATION, BLUEPRINT, BLUEPRINTS, CONFIGURATIONS, REPOSITORIES, create_request, deployment
from bench.progress import Progress
from bench.scene import BESIDES, OPERATOR, object_writes, reads
from tools.controlplane import ApiFailure, AuditEvent

RESTART = Measure("restart", "restart with all targets converged → steady", "s")
RESTART_CPU = Measure("restart-cpu", "restart, CPU until steady", "s")
RESTART_WRITES = Measure("restart-writes", "restart with all targets converged: writes", "", counted=True)
RESTART_READS = Measure("restart-reads", "restart with all targets converged: reads", "", counted=True)
TARGETS_RSS = Measure("targets-rss", "resident memory of the controller, all objects annotated", "MB")
OPERATOR_RSS = Measure("operator-rss", "resident memory of the controller, at most 1,000 objects annotated", "MB")
RECOVERY = Measure("recovery", "API server back → the next target configured", "s")
RECOVERY_REQUESTS = Measure("recovery-requests", "requests after the API server was back", "", counted=True)
COST_REQUESTS = Measure("cost-requests", "requests for each target: create, edit, opt-out", "", counted=True)
COST_OBJECTS = Measure(
    "cost-objects", "of these, reads and writes of objects (no Events, no statuses)", "", counted=True
)
COST_BYTES = Measure("cost-bytes", "bytes on the wire for each target: create, edit, opt-out", "KB")
IDLE_REQUESTS = Measure("idle-requests", "requests in an idle hour", "1/h", counted=True)

MEASURES = (
    RESTART,
    RESTART_CPU,
    RESTART_WRITES,
    RESTART_READS,
    TARGETS_RSS,
    OPERATOR_RSS,
    RECOVERY,
    RECOVERY_REQUESTS,
    COST_REQUESTS,
    COST_OBJECTS,
    COST_BYTES,
    IDLE_REQUESTS,
)

_ASK = {"metadata": {"annotations": {ANNOTATION: BLUEPRINT}}}
_WITHDRAW = {"metadata": {"annotations": {ANNOTATION: None}}}
_PATIENCE = 300.0
_REST = 125.0


class Life:
    """What these measurements share."""

    def __init__(self, sides: Sequence[Side], cells: Cells, progress: Progress) -> None:
        self._sides = sides
        self._cells = cells
        self._progress = progress

    def restart(self, *, targets: int, rounds: int, memory: Measure = TARGETS_RSS, size: int = 0) -> None:
        """In turn; everything is as it should be and stays so."""
        for turn in range(rounds):
            for side in self._sides:
                self._progress.step(f"restart with {targets} targets, {side.name}, {turn + 1} of {rounds}")
                mark, started = side.scene.plane.audit_log.mark(), perf_counter()
                with side.running() as operator:
                    operator.wait_settled(targets)
                    seconds, spent = perf_counter() - started, operator.cpu_seconds
                    side.scene.wait_quiet()
                    resident = operator.memory / 1e6
                self._add(memory, side, resident, size)
                if memory is TARGETS_RSS:
                    sent = side.scene.requests(mark)
                    self._add(RESTART, side, seconds)
                    self._add(RESTART_CPU, side, spent)
                    self._add(RESTART_WRITES, side, sum(map(_is_write, sent)))
                    self._add(RESTART_READS, side, len(reads(sent)))

    def recovery(self, operators: Sequence[Any], *, rounds: int) -> None:
        """Each time after a rest, in which ours and client-go alike forget pauses that failures made longer."""
        restarted: dict[str, float] = {}
        for turn in range(rounds):
            for side, operator in zip(self._sides, operators, strict=True):
                if (rest := restarted.get(side.name, -math.inf) + _REST - monotonic()) > 0:
                    self._progress.step(f"{rest:.0f} s of rest for {side.name}")
                    sleep(rest)
                self._progress.step(f"the API server restarts, {side.name}, {turn + 1} of {rounds}")
                admin, server = side.scene.plane.client(), side.scene.plane.apiserver
                name, namespace = f"after-{turn}", side.scene.fleet.namespace_names[0]
                admin.create(deployment(name, namespace))
                side.scene.wait_quiet()
                mark = side.scene.plane.audit_log.mark()
                server.restart()
                back = perf_counter()
                path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
                _insist(partial(admin.request, "PATCH", path, body=_ASK, content_type=MERGE))
                _wait_for(admin, namespace, f"deploy-{name}")
                self._add(RECOVERY, side, perf_counter() - back)
                operator.wait_settled(side.targets)
                side.scene.wait_quiet()
                restarted[side.name] = monotonic()
                self._add(RECOVERY_REQUESTS, side, len(_all(side, mark)))

    def idle(self, *, seconds: float) -> None:
        """At the same time: nobody does anything."""
        self._progress.step(f"{seconds:.0f} s with nothing to do")
        for side in self._sides:
            side.scene.wait_quiet()
        marks = [side.scene.plane.audit_log.mark() for side in self._sides]
        sleep(seconds)
        for side, mark in zip(self._sides, marks, strict=True):
            self._add(IDLE_REQUESTS, side, len(_all(side, mark)) / seconds * 3600)

    def cost(self, *, count: int) -> None:
        """On a namespace of its own, through a relay that counts bytes."""
        for side in self._sides:
            self._progress.step(f"requests and bytes of {count} targets, {side.name}")
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
                self._add(COST_REQUESTS, side, len(sent) / count, count)
                self._add(COST_OBJECTS, side, len(of_objects) / count, count)
                self._add(COST_BYTES, side, (relay.bytes - before) / count / 1e3, count)

    def _add(self, measure: Measure, side: Side, value: float, size: int = 0) -> None:
        self._cells.add(measure.name, size or side.targets, side.name, value)


def _is_write(event: AuditEvent) -> bool:
    return event.is_write and (event.resource not in BESIDES or event.resource == "events")


def _all(side: Side, mark: int) -> list[AuditEvent]:
    """Every request, watches too."""
    return side.scene.plane.audit_log.requests(mark, user=OPERATOR)


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
