"""One edit of a blueprint, until every target's BackupConfiguration shows it, as seen by a watch.

In turn with it, the same number of the same writes by one bare client with as many of them in flight as the operator
has workers: what the API server itself needs.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from bench.connection import MERGE, Connection, send_all
from bench.figures import Figure, Goal
from bench.fleet import BLUEPRINT, BLUEPRINTS, CONFIGURATIONS
from bench.measures.latency import apply_by_hand
from bench.operator import Operator
from bench.progress import Progress
from bench.scene import Scene, object_writes, other_writes, reads
from controller.config import Settings

SECONDS = Goal(3.0)
STALL_MS = Goal(50.0)
_PATIENCE = 120.0
_NAMESPACE = "bare-writes"


def roll_out(scene: Scene, operator: Operator, progress: Progress, *, rounds: int) -> list[Figure]:
    progress.step("blueprint edit until all targets show it")
    models = scene.configurations()
    targets = len(models)
    seconds, bare, wall, cpu, spent, statuses, events, writes, looks = ([] for _ in range(9))
    admin = scene.plane.client()
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
    asyncio.run(_write_by_hand(scene, models, schedule="0 0 * * *"))
    for turn in range(rounds):
        scene.wait_quiet()
        mark = scene.plane.audit_log.mark()
        operator.stalls.reset()
        before = operator.cpu_seconds
        seconds.append(asyncio.run(_edit(scene, targets, schedule=f"{turn % 60} {3 + turn // 60} * * *")))
        stall = operator.stalls.read()
        wall.append(stall[0] * 1e3)
        cpu.append(stall[1] * 1e3)
        operator.wait_settled(targets)
        scene.wait_quiet()
        spent.append((operator.cpu_seconds - before) / targets * 1e3)
        sent = scene.requests(mark)
        writes.append(len(object_writes(sent)) / targets)
        looks.append(len(reads(sent)) / targets)
        statuses.append(len(other_writes(sent)))
        events.append(sum(event.resource == "events" for event in sent) / targets)
        bare.append(asyncio.run(_write_by_hand(scene, models, schedule=f"{turn % 60} 1 * * *")))
        progress.count(turn + 1, rounds)
    root, _, plural = CONFIGURATIONS.rpartition("/")
    admin.request("DELETE", f"{root}/namespaces/{_NAMESPACE}/{plural}")
    group, by_hand = "rollout", f"the same writes by one bare client, {Settings().workers} in flight"
    ratios = tuple(ours / theirs for ours, theirs in zip(seconds, bare, strict=True))
    return [
        Figure(group, "seconds", f"blueprint edit over {targets} targets", "s", tuple(seconds), goal=SECONDS),
        Figure(group, "by_hand", by_hand, "s", tuple(bare)),
        Figure(group, "ratio", "blueprint edit ÷ bare client", "x", ratios),
        Figure(group, "stall", "longest stall of the loop meanwhile", "ms", tuple(wall), goal=STALL_MS),
        Figure(group, "stall_cpu", "longest stall of the loop meanwhile, CPU", "ms", tuple(cpu)),
        Figure(group, "cpu", "CPU of the operator per target, Events and all", "ms", tuple(spent)),
        Figure(group, "writes", "object writes per target", "", tuple(writes), goal=Goal(1, exact=True)),
        Figure(group, "reads", "reads per target", "", tuple(looks), goal=Goal(0, exact=True)),
        Figure(group, "statuses", "blueprint statuses for all of it", "", tuple(statuses)),
        Figure(group, "events", "Events per target", "", tuple(events)),
    ]


async def _edit(scene: Scene, targets: int, *, schedule: str) -> float:
    change = {"spec": {"schedule": schedule}}
    async with Connection(scene.plane) as connection, connection.watch(CONFIGURATIONS) as events:
        started = perf_counter()
        async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
            path = f"{BLUEPRINTS}/{BLUEPRINT}"
            group.create_task(connection.request("PATCH", path, body=change, content_type=MERGE))
            done = set()
            async for at, event in events:
                if event["object"]["spec"].get("schedule") == schedule:
                    done.add(event["object"]["metadata"]["uid"])
                if len(done) == targets:
                    return at - started
    raise EOFError(f"the watch ended before all of {targets} targets showed the edit")


async def _write_by_hand(scene: Scene, models: list[dict[str, Any]], *, schedule: str) -> float:
    """Apply as many objects like those of the operator, not marked as its, with this schedule."""
    requests = [
        apply_by_hand(
            CONFIGURATIONS,
            model["metadata"]["name"],
            _NAMESPACE,
            {**model, "spec": {**model["spec"], "schedule": schedule}},
        )
        for model in models
    ]
    async with Connection(scene.plane) as connection:
        started = perf_counter()
        await send_all(connection, requests, in_flight=Settings().workers)
        return perf_counter() - started


def first_roll_out(scene: Scene, operator: Operator, progress: Progress, *, started: float) -> list[Figure]:
    """Configuring every target for the first time, from the start of the process."""
    progress.step("first configuration of all targets")
    operator.wait_ready()
    operator.wait_settled(scene.fleet.annotated)
    seconds = perf_counter() - started
    scene.wait_quiet()
    title = f"first configuration of {scene.fleet.annotated} targets, from the start of the process"
    return [Figure("rollout", "first", title, "s", (seconds,))]
