"""An informer on a real API server, and waiting for it to have seen something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from informers import (
    AiohttpTransport,
    Delta,
    InformerFactory,
    Projection,
    RealClock,
    Resource,
    SharedInformer,
    load_credentials,
)
from tests.informers.rig import NOTES, Recorder, describe
from tests.support.beside import beside
from tests.support.cluster import unique_name
from tools.controlplane import ApiClient, remove_crd, wait_served

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")


class Live:
    """One informer against a kubeconfig's server."""

    def __init__(
        self,
        kubeconfig: Path,
        *,
        resource: Resource = CONFIG_MAPS,
        projection: Projection[Any] = NOTES,
        namespaces: Sequence[str] = (),
        optional: bool = False,
    ) -> None:
        self.transport = AiohttpTransport(load_credentials(str(kubeconfig)), user_agent="informer-test", environ={})
        self.observer = Recorder()
        self.factory = InformerFactory(self.transport, RealClock(), self.observer, namespaces=namespaces)
        self.informer: SharedInformer[Any] = self.factory.informer(resource, projection, optional=optional)
        self.told: list[str] = []
        self.informer.add_handler(self._hear, name="live")

    def _hear(self, delta: Delta[Any]) -> None:
        self.told.append(describe(delta))

    @property
    def rows(self) -> dict[str, str]:
        return {row.name: row.note for row in self.informer.store.rows()}

    @asynccontextmanager
    async def running(self, *, synced: bool = True) -> AsyncIterator[Live]:
        try:
            async with beside(self.factory.run()):
                if synced:
                    await self.factory.wait_synced(60)
                yield self
        finally:
            await self.transport.close()

    async def until(self, condition: Callable[[], object], what: str, *, seconds: float = 30) -> None:
        """Wait for what the informer has to see by itself."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 - what is awaited has no event to set
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(
                f"not within {seconds} s: {what}; rows {self.rows}; told {self.told[-20:]}; {self.informer.status()}"
            ) from None


def config_map(name: str, namespace: str, note: str | None = "x", **data: str) -> dict[str, Any]:
    annotations = {} if note is None else {"example.com/note": note}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def widget_crd(group: str) -> dict[str, Any]:
    """A kind of our own, whose objects are written with sorted keys."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


@contextmanager
def served_widgets(api: ApiClient) -> Iterator[Resource]:
    """This kind, in a group of its own."""
    resource = Resource(f"{unique_name('g')}.example.com", "v1", "widgets", "Widget")
    api.create(widget_crd(resource.group))
    try:
        wait_served(api, f"widgets.{resource.group}")
        yield resource
    finally:
        remove_crd(api, f"widgets.{resource.group}")


def widget(group: str, name: str, namespace: str, note: str = "x") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "annotations": {"example.com/note": note}}
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": metadata, "spec": {"size": 1}}
