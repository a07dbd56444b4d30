"""kopf with a bare handler of events and an index of what it has seen: the least that a cache needs.

kopf does not tell when the list is complete, so it is ready when as many objects came as there are.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import kopf

from bench.peers.python.contract import ANNOTATION, Contract, arguments


def main() -> None:
    given = arguments()
    os.environ["KUBECONFIG"] = given.kubeconfig
    logging.disable(logging.INFO)
    seen: dict[str, str] = {}
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    said = Contract()

    async def handle(*, uid: str, name: str, annotations: Any, **_: Any) -> None:
        seen[uid] = annotations.get(ANNOTATION, "")
        if len(seen) == given.objects and not ready:
            ready.append(True)
            said.ready(len(seen))
        said.event(name, annotations)

    ready: list[bool] = []
    kopf.on.login()(kopf.login_with_kubeconfig)
    kopf.on.event("apps", "v1", "deployments")(handle)
    asyncio.run(
        kopf.operator(
            settings=settings,
            clusterwide=not given.namespace,
            namespaces=[given.namespace] if given.namespace else [],
        )
    )


if __name__ == "__main__":
    main()
