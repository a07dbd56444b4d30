"""Our informer of Deployments under the contract of the comparison: `informers` alone, and the operator's own queue.

Its projection is the operator's: an object that does not ask for backup leaves no row.
"""

from __future__ import annotations

import argparse
import asyncio

from bench.peers.python.contract import ANNOTATION, Contract, arguments
from controller.workqueue import WorkQueue
from informers import (
    AiohttpTransport,
    Credentials,
    Delta,
    InformerFactory,
    InformerObserver,
    RealClock,
    Resource,
    Updated,
    load_credentials,
)
from reconcilers import mapping
from reconcilers.keys import Key
from reconcilers.kinds import TARGETS
from reconcilers.rows import TargetRow, target_projection

_SECONDS = 600.0


class _Counting(InformerObserver):
    """How many objects the collection had, stored or not."""

    items = 0

    def listed(self, resource: Resource, namespace: str, *, items: int, rows: int, seconds: float) -> None:
        self.items = items


async def main(
    given: argparse.Namespace, credentials: Credentials, *, transport: type[AiohttpTransport] = AiohttpTransport
) -> None:
    said, clock, observer = Contract(), RealClock(), _Counting()
    factory = InformerFactory(
        transport(credentials, user_agent="bench", clock=clock),
        clock,
        observer,
        namespaces=(given.namespace,) if given.namespace else (),
    )
    informer = factory.informer(
        TARGETS["Deployment"].resource,
        target_projection("Deployment"),
        indexes={"blueprint": mapping.blueprint_index},
    )
    queue: WorkQueue[Key] = WorkQueue(clock)

    def handle(delta: Delta[TargetRow]) -> None:
        row = delta.new if isinstance(delta, Updated) else delta.row
        queue.add(row.key)
        said.event(row.name, {ANNOTATION: ",".join(row.blueprints)})

    async def drain() -> None:
        while True:
            queue.done(await queue.get())

    informer.add_handler(handle, name="bench")
    async with asyncio.TaskGroup() as group:
        group.create_task(drain())
        group.create_task(factory.run())
        await factory.wait_synced(_SECONDS)
        said.ready(observer.items)


if __name__ == "__main__":
    options = arguments()
    # Reading a kubeconfig imports a large library; an operator has done that before its loop starts.
    access = load_credentials(options.kubeconfig)
    access.ssl_context()
    asyncio.run(main(options, access))
