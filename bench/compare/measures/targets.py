"""Controllers with all objects annotated: from an annotation or an edit to the objects, and what it costs.

Ours and the peer run at the same time on two control planes with the same fleet, and do nothing but when they are
asked; they are asked in turn. Latencies are taken by a watch on the fresh targets' namespace; the end of a roll-out by
a watch on everything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from statistics import median
from time import perf_counter
from typing import Any

from bench.compare.cells import Cells, Measure
from bench.compare.controllers import Side
from bench.compare.crew import Crew
from bench.connection import MERGE, Connection, send_all
from bench.figures import percentile
from bench.fleet import ANNOTATION, BLUEPRINT, BLUEPRINTS, CONFIGURATIONS, REPOSITORIES, create_request, deployment
from bench.progress import Progress
from bench.scene import object_writes, reads

LATENCY_P50 = Measure("latency", "latency-p50", "annotate → both objects applied, idle, p50", "ms")
LATENCY_P99 = Measure("latency", "latency-p99", "annotate → both objects applied, idle, p99", "ms")
BUSY_P50 = Measure("busy", "latency-busy-p50", "annotate → both applied during a roll-out, p50", "ms")
BUSY_P99 = Measure("busy", "latency-busy-p99", "annotate → both applied during a roll-out, p99", "ms")
BUSY_RATIO = Measure("busy", "latency-busy-ratio", "p99 during a roll-out ÷ own idle p99", "x")
FIRST = Measure("first", "first", "process start → all targets configured for the first time", "s")
ROLLOUT = Measure("rollout", "rollout", "blueprint edit → all BackupConfigurations show it", "s")
ROLLOUT_CPU = Measure("rollout", "rollout-cpu", "blueprint edit, CPU of the controller for each target", "ms")
ROLLOUT_WRITES = Measure("rollout", "rollout-writes", "blueprint edit, object writes for each target", "", counted=True)
ROLLOUT_READS = Measure("rollout", "rollout-reads", "blueprint edit, reads for each target", "", counted=True)

MEASURES = (
    LATENCY_P50,
    LATENCY_P99,
    BUSY_P50,
    BUSY_P99,
    BUSY_RATIO,
    FIRST,
    ROLLOUT,
    ROLLOUT_CPU,
    ROLLOUT_WRITES,
    ROLLOUT_READS,
)

FRESH = "fresh"
_PATIENCE = 600.0
_PAUSE = 0.03
_ASK = {"metadata": {"annotations": {ANNOTATION: BLUEPRINT}}}

Event = tuple[float, dict[str, Any]]


class NotTheSame(Exception):
    """The controllers do not do the same work."""


class Targets:
    """What the measurements of one size share; both controllers run meanwhile. Each method takes one turn."""

    def __init__(self, crew: Crew, progress: Progress, *, trials: int) -> None:
        self._crew = crew
        self._progress = progress
        self._trials = trials
        self._prepared: dict[str, int] = defaultdict(int)
        self._edits = 0

    def first(self, taken: Cells, *, copied: bool) -> None:
        """All targets for the first time; both sides must then have the same objects, or nothing is a comparison.

        Copied, what the first side made is what the next one finds: it need not spend minutes to make the same.
        """
        first = self._crew.sides[0]
        for side in self._crew.sides:
            self._progress.step(f"first configuration of {side.size} targets, {side.name}")
            if copied and side is not first:
                side.scene.copy(first.scene)
                self._crew.operator(side)
                continue
            started = perf_counter()
            self._crew.start(side).wait_settled(side.targets)
            taken.add(FIRST.name, side.size, side.name, perf_counter() - started)
            side.scene.wait_quiet()
        self.compare()

    def compare(self) -> None:
        made = [_specs(side) for side in self._crew.sides]
        for other in made[1:]:
            if other != made[0]:
                name = next(name for name in (*made[0], *other) if other.get(name) != made[0].get(name))
                raise NotTheSame(f"{name} is {made[0].get(name)} on one side and {other.get(name)} on the other")

    def latency(self, taken: Cells) -> None:
        """One target after the other, ours and theirs in turn."""
        sides = self._running()
        asyncio.run(self._prepare_fresh(sides))
        for side, seconds in zip(sides, asyncio.run(self._latency(sides)), strict=True):
            taken.add(LATENCY_P50.name, side.size, side.name, median(seconds) * 1e3)
            taken.add(LATENCY_P99.name, side.size, side.name, percentile(seconds, 0.99) * 1e3)

    async def _latency(self, sides: Sequence[Side]) -> list[list[float]]:
        async with AsyncExitStack() as stack:
            seats = [await Seat.open(side, stack) for side in sides]
            seconds: list[list[float]] = [[] for _ in seats]
            for trial in range(self._trials):
                for seat, samples in zip(seats, seconds, strict=True):
                    samples.append(await seat.annotate(self._next(seat.side)))
                    await asyncio.sleep(_PAUSE)
                self._progress.count(trial + 1, self._trials)
            return seconds

    def rollout(self, taken: Cells) -> None:
        """An edit of the blueprint by itself."""
        for side in self._running():
            self._progress.detail(f"blueprint edit over {side.targets} targets, {side.name}")
            operator = self._crew.operator(side)
            mark, spent = side.scene.plane.audit_log.mark(), operator.cpu_seconds
            seconds = asyncio.run(self._edit(side))
            operator.wait_settled(side.targets)
            side.scene.wait_quiet()
            sent = side.scene.requests(mark)
            for measure, value in (
                (ROLLOUT, seconds),
                (ROLLOUT_CPU, (operator.cpu_seconds - spent) / side.targets * 1e3),
                (ROLLOUT_WRITES, len(object_writes(sent)) / side.targets),
                (ROLLOUT_READS, len(reads(sent)) / side.targets),
            ):
                taken.add(measure.name, side.size, side.name, value)

    def busy(self, taken: Cells, idle: Callable[[str], float | None]) -> None:
        """Targets annotated while an edit is rolled out; `idle` knows the p99 of a side at rest, in ms."""
        sides = self._running()
        asyncio.run(self._prepare_fresh(sides))
        for side in sides:
            self._progress.detail(f"annotate during a blueprint edit, {side.name}")
            seconds = asyncio.run(self._busy(side))
            slowest = percentile(seconds, 0.99) * 1e3
            taken.add(BUSY_P50.name, side.size, side.name, median(seconds) * 1e3)
            taken.add(BUSY_P99.name, side.size, side.name, slowest)
            if at_rest := idle(side.name):
                taken.add(BUSY_RATIO.name, side.size, side.name, slowest / at_rest)
            self._crew.operator(side).wait_settled(side.targets)
            side.scene.wait_quiet()

    def _running(self) -> Sequence[Side]:
        for side in self._crew.sides:
            self._crew.operator(side)
        return self._crew.sides

    async def _edit(self, side: Side) -> float:
        async with Connection(side.scene.plane) as connection:
            return await self._edit_over(connection, side)

    async def _edit_over(self, connection: Connection, side: Side) -> float:
        """Until each of them has shown the edit."""
        self._edits += 1
        schedule = f"{self._edits % 60} {self._edits // 60} * * *"
        async with connection.watch(CONFIGURATIONS) as events, asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
            started = perf_counter()
            change = {"spec": {"schedule": schedule}}
            path = f"{BLUEPRINTS}/{BLUEPRINT}"
            group.create_task(connection.request("PATCH", path, body=change, content_type=MERGE))
            done, wanted = set(), side.targets
            async for at, event in events:
                if event["object"]["spec"].get("schedule") == schedule:
                    done.add(event["object"]["metadata"]["uid"])
                if len(done) >= wanted:
                    return at - started
        raise EOFError(f"the watch ended before all of {wanted} targets showed the edit")

    async def _busy(self, side: Side) -> list[float]:
        """Annotate one target after the other for as long as the roll-out goes on."""
        seconds: list[float] = []
        async with AsyncExitStack() as stack:
            seat = await Seat.open(side, stack)
            async with asyncio.TaskGroup() as group:
                edit = group.create_task(self._edit(side))
                await asyncio.sleep(_PAUSE)
                while not edit.done() and len(seconds) < self._trials:
                    seconds.append(await seat.annotate(self._next(side)))
                    await asyncio.sleep(_PAUSE)
        return seconds

    async def _prepare_fresh(self, sides: Sequence[Side]) -> None:
        """Deployments that do not ask for backup yet, as many as a turn needs."""
        for side in sides:
            there = self._prepared[side.name]
            async with Connection(side.scene.plane) as connection:
                if there == 0:
                    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FRESH}}
                    await connection.request("POST", "/api/v1/namespaces", body=body)
                numbers = range(there, side.added + self._trials)
                await send_all(
                    connection, [create_request(deployment(_name(number), FRESH)) for number in numbers], in_flight=8
                )
            self._prepared[side.name] = side.added + self._trials

    def _next(self, side: Side) -> str:
        side.added += 1
        return _name(side.added - 1)


def _specs(side: Side) -> dict[str, Any]:
    admin = side.scene.plane.client()
    return {
        f"{collection}: {item['metadata']['namespace']}/{item['metadata']['name']}": item["spec"]
        for collection in (REPOSITORIES, CONFIGURATIONS)
        for item in admin.request("GET", collection)["items"]
    }


def _name(number: int) -> str:
    return f"fresh-{number:05d}"


class Seat:
    """Where a side is watched from: a connection and two watches on the namespace of the fresh targets."""

    def __init__(self, side: Side, connection: Connection, watches: Sequence[AsyncIterator[Event]]) -> None:
        self.side = side
        self._connection = connection
        self._watches = watches

    @classmethod
    async def open(cls, side: Side, stack: AsyncExitStack) -> Seat:
        connection = await stack.enter_async_context(Connection(side.scene.plane))
        watches = [
            await stack.enter_async_context(connection.watch(_within(collection, FRESH)))
            for collection in (REPOSITORIES, CONFIGURATIONS)
        ]
        return cls(side, connection, watches)

    async def annotate(self, name: str) -> float:
        """Seconds until both objects of this target were seen."""
        started = perf_counter()
        path = f"/apis/apps/v1/namespaces/{FRESH}/deployments/{name}"
        await self._connection.request("PATCH", path, body=_ASK, content_type=MERGE)
        async with asyncio.timeout(_PATIENCE):
            seen = [await _appears(events, name) for events in self._watches]
        return max(seen) - started


def _within(collection: str, namespace: str) -> str:
    root, _, plural = collection.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}"


async def _appears(events: AsyncIterator[Event], name: str) -> float:
    async for at, event in events:
        if event["type"] == "ADDED" and event["object"]["metadata"]["name"].endswith(name):
            return at
    raise EOFError(f"the watch ended before an object for {name} appeared")
