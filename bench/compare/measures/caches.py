"""Caches of Deployments: cold sync, what they weigh, and what an event costs.

Cold sync: from the first request until every object is there and every handler has been called, in a new process each
time, against a floor that reads the same stream and throws it away. The longest stall of the event loop is taken in
the same process, and so is its memory.

Memory: the private memory of the process after it gave back what it can, less that of the same process with one
object, by the number of objects.

Events: the contestants are suspended, the status of Deployments is written many times, and one after the other is
resumed and gets all of it as fast as one API server sends: what is left in its connection, then, when the server has
closed that, the rest from the server's watch cache. It is done when it has seen the marker that was written last. The
events are those of a busy cluster: statuses, which concern no backup.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.compare.cells import Cells, Measure
from bench.compare.contestants import Contestant, Field
from bench.compare.conversation import Memory, TooMuch
from bench.connection import MERGE, Connection, send_all
from bench.contender import ContenderFailed
from bench.fleet import ANNOTATION, Fleet, create_request, deployment
from bench.progress import Progress
from bench.scene import Scene
from bench.stalls import StallMeter

COLD_SYNC = Measure("cold-sync", "cold-sync", "cold sync", "s")
COLD_CPU = Measure("cold-sync", "cold-sync-cpu", "cold sync, CPU of the client", "s")
STREAM = Measure("cold-sync", "cold-sync-bytes", "cold sync, bytes of the stream", "MB")
STALL = Measure("cold-sync", "stall", "longest event-loop stall, cold sync", "ms")
STALL_CPU = Measure("cold-sync", "stall-cpu", "longest event-loop stall, cold sync, CPU", "ms")
RESIDENT = Measure("cold-sync", "cache-rss", "resident memory of the cache's process, after collection", "MB")
PEAK = Measure("cold-sync", "cache-peak", "most memory ever resident during the cold sync", "MB")
PER_OBJECT = Measure(
    "cold-sync", "cache-per-object", "memory for each object in the cluster, at most one in ten annotated", "B"
)
HELD = Measure("cold-sync", "cache-objects", "objects that the contestant says it saw", "", counted=True)
PER_TARGET = Measure("per-target", "cache-per-target", "memory for each cached object, all annotated", "B")
EVENT_CPU = Measure("events", "event-cpu", "CPU for each watch event", "µs")
EVENT_RATE = Measure("events", "event-rate", "watch events taken at full speed", "1/s", more_is_better=True)

MEASURES = (
    COLD_SYNC,
    COLD_CPU,
    STREAM,
    STALL,
    STALL_CPU,
    RESIDENT,
    PEAK,
    PER_OBJECT,
    PER_TARGET,
    EVENT_CPU,
    EVENT_RATE,
    HELD,
)

_DEPLOYMENTS = "/apis/apps/v1/deployments"
_ALONE = "bench-marker"
_MARKER = "marker"
_MARKERS = f"/apis/apps/v1/namespaces/{_ALONE}/deployments/{_MARKER}"
_IN_FLIGHT = 24
_FRESH = 50
"""Events written before a burst: the server's watch cache grows only while its oldest event is a fresh one, and what it
dropped cannot be watched from."""
_WARM = 2

_FAILURES = (ContenderFailed, OSError, ValueError, KeyError)
"""Of one contestant. Whatever else is raised ends the turn."""

Missed = Callable[[str, Exception], None]
"""Told of a contestant that failed, and how: the others go on."""


class Caches:
    """What the measurements of one fleet share."""

    def __init__(self, scene: Scene, field: Field, progress: Progress, missed: Missed) -> None:
        self._scene = scene
        self._field = field
        self._progress = progress
        self._missed = missed
        self._kubeconfig = scene.kubeconfig
        self._size = scene.fleet.objects
        self._burst = 0

    def prepare(self, *, asks: bool = True) -> None:
        """The marker, which asks for backup or does not, alone in its namespace."""
        asyncio.run(self._prepare(asks=asks))
        for encoding in self._field.floors[:_WARM]:  # the server's own caches are warm from here on
            with self._field.floor(encoding, self._kubeconfig) as floor:
                floor.wait("ready")

    async def _prepare(self, *, asks: bool) -> None:
        async with Connection(self._scene.plane) as connection:
            alone = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _ALONE}}
            await connection.request("POST", "/api/v1/namespaces", body=alone)
            await connection.request(**create_request(deployment(_MARKER, _ALONE, asks=asks)))

    def settle(self) -> None:
        """The marker asks for nothing: it names a blueprint that is not there, and controllers would say so."""
        withdrawn = {"metadata": {"annotations": {ANNOTATION: None}}}
        self._scene.plane.client().request("PATCH", _MARKERS, body=withdrawn, content_type=MERGE)

    @property
    def objects(self) -> int:
        return self._size + 1

    def cold_sync(self, chosen: Sequence[Contestant], taken: Cells) -> None:
        """One turn of the floors and of these."""
        for encoding in self._field.floors:
            self._tell("cold sync", f"floor, {encoding}")
            try:
                with self._field.floor(encoding, self._kubeconfig) as floor:
                    said = floor.wait("ready")
            except _FAILURES as error:
                self._missed(f"floor-{encoding}", error)
                continue
            for measure, value in (
                (COLD_SYNC, said["seconds"]),
                (COLD_CPU, said["cpu_seconds"]),
                (STREAM, said["bytes"] / 1e6),
            ):
                taken.add(measure.name, self._size, f"floor-{encoding}", value)
        for contestant in chosen:
            self._tell("cold sync", contestant.title)
            try:
                found = self._cold_sync(contestant)
            except _FAILURES as error:
                self._missed(contestant.name, error)
                continue
            for measure, value in found.items():
                taken.add(measure.name, self._size, contestant.name, value)

    def _cold_sync(self, contestant: Contestant) -> dict[Measure, float]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "stalls" if contestant.has_loop else None
            meter = StallMeter(file) if file else None
            with self._field.start(contestant, self._kubeconfig, objects=self.objects, stalls=file) as running:
                said = running.wait("ready")
                found = {COLD_SYNC: said["seconds"], COLD_CPU: said["cpu_seconds"], HELD: said["objects"]}
                if meter is not None:
                    wall, cpu = meter.read()
                    found |= {STALL: wall * 1e3, STALL_CPU: cpu * 1e3}
                found[PEAK] = running.memory().peak / 1e6
                full = _settled(running.collect)
        alone = self._alone(contestant)
        found[RESIDENT] = full.resident / 1e6
        found[PER_OBJECT] = (full.private - alone.private) / self._size
        return found

    def _alone(self, contestant: Contestant) -> Memory:
        """The memory of the same program with the marker alone."""
        with self._field.start(contestant, self._kubeconfig, objects=1, namespace=_ALONE) as running:
            running.wait("ready")
            return _settled(running.collect)

    def per_target(self, chosen: Iterable[Contestant], taken: Cells) -> None:
        """Memory where all of the fleet asks for backup: for each object that really is kept."""
        for contestant in chosen:
            self._tell("memory", contestant.title)
            try:
                with self._field.start(contestant, self._kubeconfig, objects=self.objects) as running:
                    running.wait("ready")
                    full = _settled(running.collect)
                alone = self._alone(contestant)
            except _FAILURES as error:
                self._missed(contestant.name, error)
                continue
            taken.add(PER_TARGET.name, self._size, contestant.name, (full.private - alone.private) / self._size)

    def events(self, chosen: Sequence[Contestant], taken: Cells, *, count: int) -> None:
        """One turn. Who lost the stream in it is told, and the turn taken again once; who does it twice is left out."""
        found, lost = self._burst_through(chosen, count)
        if lost and not any(isinstance(error, TooMuch) for error in lost.values()):
            self._progress.step(f"{', '.join(lost)} failed, once more: {next(iter(lost.values()))}")
            found, lost = self._burst_through(chosen, count)
        for name, error in lost.items():
            self._missed(name, error)
        for name, (seconds, cpu) in found.items():
            taken.add(EVENT_RATE.name, self._size, name, count / seconds)
            taken.add(EVENT_CPU.name, self._size, name, cpu / count * 1e6)

    def _burst_through(
        self, contestants: Sequence[Contestant], count: int
    ) -> tuple[dict[str, tuple[float, float]], dict[str, Exception]]:
        """Seconds and CPU seconds of each, and who failed."""
        self._burst += 1
        value = f"burst-{self._burst}"
        found: dict[str, tuple[float, float]] = {}
        lost: dict[str, Exception] = {}
        with ExitStack() as stack:
            running = []
            for contestant in contestants:
                self._tell(f"{count} events", f"{contestant.title} starts")
                try:
                    one = stack.enter_context(self._field.start(contestant, self._kubeconfig, objects=self.objects))
                    one.wait("ready")
                    one.expect(value)
                    one.suspend()
                    running.append(one)
                except _FAILURES as error:
                    lost[contestant.name] = error
            self._tell(f"{count} events", "they are written")
            since = asyncio.run(self._write(count, value))
            for encoding in self._field.floors:
                more = (f"-since={since}", f"-until={value}")
                try:
                    with self._field.floor(encoding, self._kubeconfig, *more) as floor:
                        said = floor.wait("ready")
                    found[f"floor-{encoding}"] = (said["seconds"], said["cpu_seconds"])
                except _FAILURES as error:
                    lost[f"floor-{encoding}"] = error
            for one in running:
                self._tell(f"{count} events", f"{one.name} takes them")
                resumed = time.time()
                one.resume()
                try:
                    said = one.wait("seen")
                    found[one.name] = (said["at"] - resumed, said["cpu_seconds"])
                except _FAILURES as error:
                    lost[one.name] = error
                one.suspend()
        return found, lost

    async def _write(self, count: int, value: str) -> str:
        """So many statuses, then the marker; the revision before all of it."""
        fleet: Fleet = self._scene.fleet
        async with Connection(self._scene.plane) as connection:
            for turn in range(_FRESH):
                await connection.request("PATCH", _MARKERS, body=_note(turn), content_type=MERGE)
            listed = await connection.read(f"{_DEPLOYMENTS}?limit=1")
            requests = (
                {
                    "method": "PATCH",
                    "path": f"{fleet.path(number)}/status",
                    "body": json.dumps({"status": {"replicas": self._burst * 1000 + turn % 1000}}).encode(),
                    "content_type": MERGE,
                }
                for turn in range(count)
                for number in (turn % fleet.objects,)
            )
            await send_all(connection, requests, in_flight=_IN_FLIGHT)
            ask = {"metadata": {"annotations": {ANNOTATION: value}}}
            await connection.request("PATCH", _MARKERS, body=ask, content_type=MERGE)
        revision: str = listed["metadata"]["resourceVersion"]
        return revision

    def _tell(self, what: str, who: str) -> None:
        self._progress.detail(f"{what} of {self._size}: {who}")


def _note(turn: int) -> dict[str, Any]:
    return {"metadata": {"labels": {"example.com/turn": str(turn)}}}


def _settled(collect: Callable[[], Memory]) -> Memory:
    """The least of a few collections: what is on its way out takes a moment."""
    found = []
    for _ in range(2):
        time.sleep(0.2)
        found.append(collect())
    return min(found, key=lambda memory: memory.private)
