"""The work queue alone: what one key costs from add to done, with the metrics that the operator keeps of it."""

from __future__ import annotations

import asyncio
from time import perf_counter

from bench.figures import Figure
from bench.progress import Progress
from controller.metrics import Metrics
from controller.workqueue import WorkQueue
from informers.clock import RealClock
from reconcilers.keys import Key

KEYS = 100_000
_NAMESPACES = 50


def work_queue(progress: Progress, *, rounds: int, keys: int = KEYS) -> list[Figure]:
    progress.step(f"work queue with {keys} keys")
    metrics = Metrics(version="bench").queue("bench")
    seconds = [asyncio.run(_pass_through(keys, metrics)) for _ in range(rounds)]
    each = tuple(second / keys * 1e6 for second in seconds)
    return [Figure("queue", "item", f"queue: add, get and done at {keys} keys, per key", "µs", each)]


async def _pass_through(keys: int, metrics: object) -> float:
    names = [Key("Deployment", f"team-{number % _NAMESPACES:02d}", f"svc-{number:06d}") for number in range(keys)]
    queue: WorkQueue[Key] = WorkQueue(RealClock(), observer=metrics)  # type: ignore[arg-type]
    started = perf_counter()
    for name in names:
        queue.add(name)
    for _ in names:
        queue.done(queue.try_get() or await queue.get())
    return perf_counter() - started
