"""`kubernetes.aio`: a list, then a watch from its revision, with a dictionary and a queue as the glue of a cache."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from kubernetes.aio import client, config, watch

from bench.peers.python.contract import Contract, arguments


async def main(given: argparse.Namespace) -> None:
    await config.load_kube_config(given.kubeconfig)
    async with client.ApiClient() as connection:
        apps = client.AppsV1Api(connection)
        lister = apps.list_namespaced_deployment if given.namespace else apps.list_deployment_for_all_namespaces
        where = {"namespace": given.namespace} if given.namespace else {}
        names: asyncio.Queue[str] = asyncio.Queue()
        held: dict[str, Any] = {}
        said = Contract()

        async def drain() -> None:
            while await names.get():
                pass

        async def follow() -> None:
            listed = await lister(**where)
            for found in listed.items:
                held[found.metadata.uid] = found
                names.put_nowait(f"{found.metadata.namespace}/{found.metadata.name}")
            revision = listed.metadata.resource_version
            del listed
            said.ready(len(held))
            while True:
                async with watch.Watch() as stream:
                    async for event in stream.stream(lister, resource_version=revision, **where):
                        found = event["object"]
                        revision = found.metadata.resource_version
                        if event["type"] == "DELETED":
                            held.pop(found.metadata.uid, None)
                        else:
                            held[found.metadata.uid] = found
                        names.put_nowait(f"{found.metadata.namespace}/{found.metadata.name}")
                        said.event(found.metadata.name, found.metadata.annotations)

        async with asyncio.TaskGroup() as group:
            group.create_task(drain())
            group.create_task(follow())


if __name__ == "__main__":
    asyncio.run(main(arguments()))
