"""`kubernetes.informer`, its handlers putting names into a queue that a thread empties."""

from __future__ import annotations

import queue
import threading
from typing import Any

from kubernetes import client, config, informer

from bench.peers.python.contract import Contract, arguments


def main() -> None:
    given = arguments()
    config.load_kube_config(given.kubeconfig)
    apps = client.AppsV1Api()
    lister = apps.list_namespaced_deployment if given.namespace else apps.list_deployment_for_all_namespaces
    names: queue.SimpleQueue[str] = queue.SimpleQueue()
    added = 0
    said = Contract()
    shared = informer.SharedInformer(list_func=lister, namespace=given.namespace or None)

    def handle(found: Any) -> None:
        nonlocal added
        names.put(f"{found.metadata.namespace}/{found.metadata.name}")
        said.event(found.metadata.name, found.metadata.annotations)
        if added < given.objects:
            added += 1
            if added == given.objects:
                said.ready(len(shared.cache.list_keys()))

    for kind in ("ADDED", "MODIFIED", "DELETED"):
        shared.add_event_handler(kind, handle)
    threading.Thread(target=lambda: [None for _ in iter(names.get, "")], daemon=True).start()
    shared.start()
    if given.objects == 0:
        _wait_listed(shared)
        said.ready(0)
    threading.Event().wait()


def _wait_listed(shared: Any) -> None:
    """With nothing in the list no handler is called, and the informer has no other sign of its end."""
    while shared._resource_version is None:
        threading.Event().wait(0.05)


if __name__ == "__main__":
    main()
