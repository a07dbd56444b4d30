"""Our informer of Deployments, alone in its process: python -m bench.contenders.informer KUBECONFIG WHAT

WHAT is `time`, `stall` (the loop is watched) or `memory` (allocations are traced, which makes everything slow).

How memory is taken: one sync of an empty namespace comes first, so that modules, connections and caches of code are
there already. Then all Deployments are synced and the connection is closed. What is held now in excess of before is
what the objects cost; what becomes free when the informer is dropped is what the rows and their indexes cost. The rest
is divided by the objects that are not stored.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench import stalls
from controller.memory import THRESHOLDS
from informers import (
    AiohttpTransport,
    Credentials,
    InformerFactory,
    InformerObserver,
    RealClock,
    Resource,
    SharedInformer,
    load_credentials,
)
from reconcilers import mapping
from reconcilers.kinds import TARGETS
from reconcilers.rows import TargetRow, target_projection

_SECONDS = 120.0
_EMPTY = "default"


class _Counting(InformerObserver):
    """How many objects the collection had, stored or not."""

    items = 0

    def listed(self, resource: Resource, namespace: str, *, items: int, rows: int, seconds: float) -> None:
        self.items = items


async def main(credentials: Credentials, what: str) -> dict[str, Any]:
    if what == "memory":
        await _sync(credentials, namespaces=(_EMPTY,))
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
    started, spent = perf_counter(), process_time()
    informer, observer, seconds = await _sync(credentials, started=started)
    found: dict[str, Any] = {
        "seconds": seconds,
        "cpu_seconds": process_time() - spent,
        "rows": len(informer.store),
        "items": observer.items,
    }
    if what == "memory":
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        del informer
        gc.collect()
        emptied = tracemalloc.get_traced_memory()[0]
        found |= {"stored_bytes": after - emptied, "other_bytes": emptied - before}
    return found


async def _sync(
    credentials: Credentials, *, namespaces: Sequence[str] = (), started: float = 0.0
) -> tuple[SharedInformer[TargetRow], _Counting, float]:
    clock, observer = RealClock(), _Counting()
    transport = AiohttpTransport(credentials, user_agent="bench", clock=clock)
    factory = InformerFactory(transport, clock, observer, namespaces=namespaces)
    informer = factory.informer(
        TARGETS["Deployment"].resource,
        target_projection("Deployment"),
        indexes={"blueprint": mapping.blueprint_index},
    )
    informer.add_handler(lambda delta: None, name="bench")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(factory.run())
        await factory.wait_synced(_SECONDS)
        seconds = perf_counter() - started
        running.cancel()
    await transport.close()
    return informer, observer, seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        # Reading a kubeconfig imports a large library; an operator has done that before its loop starts.
        access = load_credentials(sys.argv[1])
        access.ssl_context()
        meter = stalls.install(Path(folder) / "stalls") if sys.argv[2] == "stall" else None
        if meter is not None:
            # As the operator does.
            gc.freeze()
            gc.set_threshold(*THRESHOLDS)
        if sys.argv[2] == "memory":
            tracemalloc.start()
        result = asyncio.run(main(access, sys.argv[2]))
        if meter is not None:
            result["stall_seconds"], result["stall_cpu_seconds"] = meter.read()
    print(json.dumps(result))
