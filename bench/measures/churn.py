"""The operator's memory while objects change all the time and its connections are broken at random.

`RATE` changes a second: nearly all of them are of no interest to it, as in a cluster where controllers write what they
see; some objects come and go; some of a fixed set ask for backup and ask no more. Meanwhile a proxy between the
operator and the API server cuts, stops, refuses and loses requests every few seconds. All of it is drawn from a seed.

Resident memory is read every ten seconds. The first part, in which caches that live for minutes fill, is left out; the
figure is the slope of a straight line through the rest, per hour, with the window and the standard error beside it:
what a run of minutes says about an hour is an extrapolation. Every five minutes the operator gives back what is free,
so that the line goes through teeth of a saw; the lowest of each such time says whether something stays. In the end the
faults stop, and what the operator made has to be what is asked for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from math import sqrt
from time import monotonic
from typing import Any

from bench.connection import MERGE, Connection, Refused
from bench.figures import Figure, Goal
from bench.fleet import ANNOTATION, BLUEPRINT, create_request, deployment
from bench.operator import Operator
from bench.progress import Progress
from bench.scene import Scene
from controller.memory import EVERY_SECONDS
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Answer, CutAfter, DropAfter, Fault

RATE = 200.0
GROWTH = Goal(1.0)
SEED = 7
_IN_FLIGHT = 48
_SAMPLE_SECONDS = 10.0
_FAULT_SECONDS = (4.0, 12.0)
_WARM_SHARE, _WARM_SECONDS = 0.5, 660.0
_PATIENCE = 120.0
_BUSY = Answer(429, headers={"Retry-After": "1", "Content-Type": "application/json"})
_REQUEST_FAULTS: Sequence[Fault] = (Answer(500), Answer(503), _BUSY, DropAfter())


def churn(scene: Scene, progress: Progress, *, minutes: float) -> list[Figure]:
    """Measure for so long."""
    with FaultProxy(scene.plane.apiserver) as proxy:
        operator = Operator(scene.plane.kubeconfig("operator", server=proxy.url), scene.plane.folder)
        operator.start()
        try:
            operator.wait_ready()
            operator.wait_settled(scene.fleet.annotated)
            progress.step(f"{RATE:.0f} changes a second and faults for {minutes:g} minutes")
            run = _Churn(scene, proxy, operator, progress)
            asyncio.run(run.last(minutes * 60))
            return run.figures()
        finally:
            operator.stop()


class _Churn:
    def __init__(self, scene: Scene, proxy: FaultProxy, operator: Operator, progress: Progress) -> None:
        self._scene, self._proxy, self._operator, self._progress = scene, proxy, operator, progress
        self._chance = random.Random(SEED)
        self._samples: list[tuple[float, int]] = []
        self._changes = self._faults = self._failed = 0
        self._spent = self._seconds = 0.0
        self._present: dict[int, bool] = {}
        self._asks = {number: True for number in range(scene.fleet.objects) if scene.fleet.asks(number)}

    async def last(self, seconds: float) -> None:
        """Change and break for so long, then wait until all is well."""
        began, spent = monotonic(), self._operator.cpu_seconds
        async with Connection(self._scene.plane) as connection:
            async with asyncio.timeout(seconds + _PATIENCE), asyncio.TaskGroup() as group:
                until = began + seconds
                group.create_task(self._change(connection, until))
                group.create_task(self._break(until))
                group.create_task(self._sample(began, until))
            self._seconds, self._spent = monotonic() - began, self._operator.cpu_seconds - spent
            await self._heal(connection)

    def figures(self) -> list[Figure]:
        warm = min(_WARM_SECONDS, self._seconds * _WARM_SHARE)
        window = [(at, memory) for at, memory in self._samples if at >= warm]
        slope, error = line(window)
        hourly = slope * 3600 / 1e6
        minutes = (window[-1][0] - window[0][0]) / 60
        title = f"growth under {self._changes / self._seconds:.0f} changes/s and {self._faults} faults"
        group = "churn"
        return [
            Figure(group, "growth", f"{title}, last {minutes:.0f} min, extrapolated", "MB/h", (hourly,), goal=GROWTH),
            Figure(group, "error", "its standard error", "MB/h", (error * 3600 / 1e6,)),
            Figure(group, "memory", "resident memory meanwhile", "MB", tuple(size / 1e6 for _, size in window)),
            Figure(group, "lowest", f"lowest of each {EVERY_SECONDS / 60:.0f} min of the run", "MB", self._lowest()),
            Figure(group, "first", "resident memory when it began", "MB", (self._samples[0][1] / 1e6,)),
            Figure(group, "cpu", "CPU of the operator", "%", (self._spent / self._seconds * 100,)),
            Figure(group, "failed", "changes that failed", "", (float(self._failed),), goal=Goal(0, exact=True)),
        ]

    def _lowest(self) -> tuple[float, ...]:
        spans: dict[int, int] = {}
        for at, size in self._samples:
            span = int(at // EVERY_SECONDS)
            spans[span] = min(size, spans.get(span, size))
        return tuple(size / 1e6 for size in spans.values())

    async def _change(self, connection: Connection, until: float) -> None:
        """Keep the rate; a server that does not keep up is waited for."""
        began, limit = monotonic(), asyncio.Semaphore(_IN_FLIGHT)

        async def send(number: int) -> None:
            try:
                await connection.request(**self._request(number))
                self._changes += 1
            except Refused:
                self._failed += 1
            finally:
                limit.release()

        async with asyncio.TaskGroup() as group:
            sent = 0
            while (now := monotonic()) < until:
                if now < began + sent / RATE:
                    await asyncio.sleep(began + sent / RATE - now)
                await limit.acquire()
                group.create_task(send(sent))
                sent += 1

    def _request(self, count: int) -> dict[str, Any]:
        fleet, chance = self._scene.fleet, self._chance
        number = chance.randrange(fleet.objects)
        if count % 100 == 0:
            number = chance.choice(list(self._asks)[:50])
            asks = self._asks[number] = not self._asks[number]
            return self._patch(number, {ANNOTATION: BLUEPRINT if asks else None})
        if count % 100 == 50:
            # One that comes and goes under a name of its own.
            number = count // 100 % 40
            present = self._present[number] = not self._present.get(number, False)
            name, namespace = f"guest-{number}", fleet.namespace_names[0]
            if present:
                return dict(create_request(deployment(name, namespace)))
            return {"method": "DELETE", "path": f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"}
        return self._patch(number, {"example.com/seen": str(count)})

    def _patch(self, number: int, annotations: dict[str, str | None]) -> dict[str, Any]:
        names = self._scene.fleet.namespace_names
        path = f"/apis/apps/v1/namespaces/{names[number % len(names)]}/deployments/svc-{number:05d}"
        body = {"metadata": {"annotations": annotations}}
        return {"method": "PATCH", "path": path, "body": body, "content_type": MERGE}

    async def _break(self, until: float) -> None:
        """One fault after the other; the last ones end with the changes."""
        proxy, chance = self._proxy, self._chance
        while (left := until - monotonic()) > 0:
            self._faults += 1
            match chance.randrange(5):
                case 0:
                    await asyncio.to_thread(proxy.cut_all, reset=chance.random() < 0.5)
                case 1:
                    await asyncio.to_thread(proxy.pause)
                    await asyncio.sleep(min(left, chance.uniform(1, 8)))
                    await asyncio.to_thread(proxy.resume)
                case 2:
                    proxy.rule(CutAfter(chance.randrange(50_000), reset=chance.random() < 0.5), watch=True, times=2)
                    await asyncio.to_thread(proxy.cut_all)
                case _:
                    proxy.rule(chance.choice(_REQUEST_FAULTS), times=chance.randrange(1, 8))
            await asyncio.sleep(min(left, chance.uniform(*_FAULT_SECONDS)))
        proxy.clear()

    async def _sample(self, began: float, until: float) -> None:
        while (now := monotonic()) < until:
            self._samples.append((now - began, self._operator.memory))
            self._progress.count(int(now - began), int(until - began))
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _heal(self, connection: Connection) -> None:
        """All that ask have their objects, and nobody else has."""
        wanted = sum(self._asks.values())
        deadline = monotonic() + _PATIENCE
        while (found := len(self._scene.configurations())) != wanted:
            if monotonic() > deadline:
                raise TimeoutError(f"{found} BackupConfigurations {_PATIENCE:.0f} s after the last fault, not {wanted}")
            await asyncio.sleep(1)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The slope of the straight line nearest to these points, and its standard error."""
    count = len(points)
    middle_x, middle_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    rest = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in points)
    return slope, sqrt(rest / max(1, count - 2) / spread)
