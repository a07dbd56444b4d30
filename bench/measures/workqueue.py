"""The work queue alone: CPU for one key from add to done, with the metrics that the operator keeps of it and its
settings of the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from time import process_time

from bench.figures import Figure, Goal
from bench.progress import Progress
from controller.memory import THRESHOLDS
from controller.metrics import Metrics
from controller.workqueue import WorkQueue
from informers.clock import RealClock
from reconcilers.keys import Key

KEYS = 100_000
KEY_US = Goal(0.5)
_NAMESPACES = 50


def work_queue(progress: Progress, *, rounds: int, keys: int = KEYS) -> list[Figure]:
    progress.step(f"work queue with {keys} keys")
    metrics = Metrics(version="bench").queue("bench")
    usual = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    seconds = [asyncio.run(_pass_through(keys, metrics)) for _ in range(rounds)]
    gc.set_threshold(*usual)
    each = tuple(second / keys * 1e6 for second in seconds)
    return [Figure("queue", "item", f"queue: add, get and done at {keys} keys, CPU per key", "µs", each, goal=KEY_US)]


async def _pass_through(keys: int, metrics: object) -> float:
    names = [Key("Deployment", f"team-{number % _NAMESPACES:02d}", f"svc-{number:06d}") for number in range(keys)]
    queue: WorkQueue[Key] = WorkQueue(RealClock(), observer=metrics)  # type: ignore[arg-type]
    started = process_time()
    for name in names:
        queue.add(name)
    for _ in names:
        queue.done(queue.try_get() or await queue.get())
    return process_time() - started
