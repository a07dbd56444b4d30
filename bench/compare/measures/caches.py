"""Caches of Deployments: cold sync, what they weigh, and what an event costs.

Cold sync: from the first request until every object is there and every handler has been called, in a new process each
time, against a floor that reads the same stream and throws it away.

Memory: the private memory of the process after it gave back what it can, less that of the same process with an empty
list, by the number of objects.

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
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.compare.cells import Cells, Measure
from bench.compare.contestants import Contestant, Field
from bench.compare.conversation import Memory
from bench.connection import MERGE, Connection, send_all
from bench.contender import ContenderFailed
from bench.fleet import ANNOTATION, Fleet, create_request, deployment
from bench.progress import Progress
from bench.scene import Scene
from bench.stalls import StallMeter

COLD_SYNC = Measure("cold-sync", "cold sync", "s")
COLD_CPU = Measure("cold-sync-cpu", "cold sync, CPU of the client", "s")
STREAM = Measure("cold-sync-bytes", "cold sync, bytes of the stream", "MB")
STALL = Measure("stall", "longest event-loop stall, cold sync", "ms")
STALL_CPU = Measure("stall-cpu", "longest event-loop stall, cold sync, CPU", "ms")
RESIDENT = Measure("cache-rss", "resident memory of the cache's process, after collection", "MB")
PEAK = Measure("cache-peak", "most memory ever resident during the cold sync", "MB")
PER_OBJECT = Measure("cache-per-object", "memory for each object in the cluster, at most one in ten annotated", "B")
PER_TARGET = Measure("cache-per-target", "memory for each cached object, all annotated", "B")
EVENT_CPU = Measure("event-cpu", "CPU for each watch event", "µs")
EVENT_RATE = Measure("event-rate", "watch events taken at full speed", "1/s", more_is_better=True)
HELD = Measure("cache-objects", "objects that the contestant says it saw", "", counted=True)

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
_EMPTY = "bench-empty"
_MARKER = "marker"
_MARKERS = f"/apis/apps/v1/namespaces/default/deployments/{_MARKER}"
_IN_FLIGHT = 24
_FRESH = 50
"""Events written before a burst: the server's watch cache grows only while its oldest event is a fresh one, and what it
dropped cannot be watched from."""
_WARM = 2


class Caches:
    """What the measurements of one fleet share."""

    def __init__(self, scene: Scene, field: Field, cells: Cells, progress: Progress) -> None:
        self._scene = scene
        self._field = field
        self._cells = cells
        self._progress = progress
        self._kubeconfig = scene.kubeconfig
        self._size = scene.fleet.objects
        self._burst = 0

    def prepare(self, *, asks: bool = True) -> None:
        """The marker, which asks for backup or does not, and a namespace with nothing in it."""
        asyncio.run(self._prepare(asks=asks))
        for encoding in self._field.floors[:_WARM]:  # the server's own caches are warm from here on
            with self._field.floor(encoding, self._kubeconfig) as floor:
                floor.wait("ready")

    async def _prepare(self, *, asks: bool) -> None:
        async with Connection(self._scene.plane) as connection:
            empty = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _EMPTY}}
            await connection.request("POST", "/api/v1/namespaces", body=empty)
            await connection.request(**create_request(deployment(_MARKER, "default", asks=asks)))

    @property
    def objects(self) -> int:
        return self._size + 1

    def cold_sync(self, contestants: Iterable[Contestant], *, rounds: int) -> None:
        chosen = list(contestants)
        self._progress.step(f"cold sync of {self._size}")
        for turn in range(rounds):
            for encoding in self._field.floors:
                with self._field.floor(encoding, self._kubeconfig) as floor:
                    said = floor.wait("ready")
                self._add(COLD_SYNC, f"floor-{encoding}", said["seconds"])
                self._add(COLD_CPU, f"floor-{encoding}", said["cpu_seconds"])
                if turn == 0:
                    self._add(STREAM, f"floor-{encoding}", said["bytes"] / 1e6)
            for contestant in chosen:
                with self._field.start(contestant, self._kubeconfig, objects=self.objects) as running:
                    said = running.wait("ready")
                    self._add(PEAK, contestant.name, running.memory().peak / 1e6)
                self._add(COLD_SYNC, contestant.name, said["seconds"])
                self._add(COLD_CPU, contestant.name, said["cpu_seconds"])
                if turn == 0:
                    self._add(HELD, contestant.name, said["objects"])
            self._progress.count(turn + 1, rounds)

    def stalls(self, contestants: Iterable[Contestant], *, rounds: int) -> None:
        """Of those that have an event loop."""
        self._progress.step(f"longest stall, cold sync of {self._size}")
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(rounds):
                for contestant in contestants:
                    if not _has_loop(contestant):
                        continue
                    file = Path(folder) / f"{contestant.name}-{turn}"
                    meter = StallMeter(file)
                    with self._field.start(contestant, self._kubeconfig, objects=self.objects, stalls=file) as running:
                        running.wait("ready")
                        wall, cpu = meter.read()
                    self._add(STALL, contestant.name, wall * 1e3)
                    self._add(STALL_CPU, contestant.name, cpu * 1e3)

    def memory(self, contestants: Iterable[Contestant], *, rounds: int) -> None:
        """Where all of the fleet asks for backup, it is the memory for each object that really is kept."""
        per = PER_TARGET if self._scene.fleet.annotated == self._size else PER_OBJECT
        self._progress.step(f"memory with {self._size}")
        for _ in range(rounds):
            for contestant in contestants:
                with self._field.start(contestant, self._kubeconfig, objects=self.objects) as running:
                    running.wait("ready")
                    full = _settled(running.collect)
                if per is PER_OBJECT:
                    self._add(RESIDENT, contestant.name, full.resident / 1e6)
                if contestant.name == "kopf":
                    # With nothing in the list kopf cannot be asked whether it is ready.
                    continue
                with self._field.start(contestant, self._kubeconfig, objects=0, namespace=_EMPTY) as running:
                    running.wait("ready")
                    empty = _settled(running.collect)
                self._add(per, contestant.name, (full.private - empty.private) / self._size)

    def events(self, contestants: Iterable[Contestant], *, rounds: int, count: int) -> None:
        """A turn in which somebody lost the stream is told, and taken again once."""
        chosen = list(contestants)
        for turn in range(rounds):
            self._progress.step(f"{count} events, turn {turn + 1} of {rounds}")
            try:
                found = self._burst_through(chosen, count)
            except ContenderFailed as error:
                self._progress.step(f"once more: {error}")
                found = self._burst_through(chosen, count)
            for name, (seconds, cpu) in found.items():
                self._add(EVENT_RATE, name, count / seconds)
                self._add(EVENT_CPU, name, cpu / count * 1e6)

    def _burst_through(self, contestants: list[Contestant], count: int) -> dict[str, tuple[float, float]]:
        """Seconds and CPU seconds of each."""
        self._burst += 1
        value = f"burst-{self._burst}"
        found = {}
        with ExitStack() as stack:
            running = []
            for contestant in contestants:
                one = stack.enter_context(self._field.start(contestant, self._kubeconfig, objects=self.objects))
                one.wait("ready")
                running.append(one)
            for one in running:
                one.expect(value)
                one.suspend()
            since = asyncio.run(self._write(count, value))
            for encoding in self._field.floors:
                more = (f"-since={since}", f"-until={value}")
                with self._field.floor(encoding, self._kubeconfig, *more) as floor:
                    said = floor.wait("ready")
                found[f"floor-{encoding}"] = (said["seconds"], said["cpu_seconds"])
            for one in running:
                resumed = time.time()
                one.resume()
                said = one.wait("seen")
                found[one.name] = (said["at"] - resumed, said["cpu_seconds"])
                one.suspend()
        return found

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

    def _add(self, measure: Measure, contestant: str, value: float) -> None:
        self._cells.add(measure.name, self._size, contestant, value)


def _note(turn: int) -> dict[str, Any]:
    return {"metadata": {"labels": {"example.com/turn": str(turn)}}}


def _has_loop(contestant: Contestant) -> bool:
    return contestant.kind != "go" and contestant.name != "kubernetes.informer"


def _settled(collect: Callable[[], Memory]) -> Memory:
    """The least of a few collections: what is on its way out takes a moment."""
    found = []
    for _ in range(3):
        time.sleep(0.3)
        found.append(collect())
    return min(found, key=lambda memory: memory.private)
