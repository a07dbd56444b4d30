"""All informers of a process.

Contract: `informer` makes one cache per resource (and name); asking twice for the same is an error, because
two projections of one resource are two caches, and whoever wants both must say so by name (S12). `run` keeps
all of them current until it is cancelled; `wait_synced` returns when every one of them is synced, or says
which are not and why.

`follow_api_services` makes missing kinds be noticed when they come; nobody waits for what it reads, and no informer
needs it.

Invariant: informers begin in the order of their registration, three initial reads at a time (R27).

Source of the idea: client-go `informers.SharedInformerFactory`, `tools/cache/identity.go`, `wait.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from informers.apiservices import API_SERVICE, API_SERVICES, ApiServices
from informers.clock import Clock, RealClock
from informers.errors import NotSynced
from informers.gates import Gates
from informers.index import IndexFunction
from informers.observer import InformerObserver
from informers.projection import MetaRow, Projection, Row
from informers.resource import Resource
from informers.shared import SharedInformer
from informers.transport import Transport

R = TypeVar("R", bound=Row)


class InformerFactory:
    """Makes informers over one transport, and runs them."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock | None = None,
        observer: InformerObserver | None = None,
        *,
        namespaces: Sequence[str] = (),
    ) -> None:
        self._transport = transport
        self._clock = clock or RealClock()
        self._observer = observer or InformerObserver()
        self._namespaces = tuple(namespaces)
        self._gates = Gates(self._clock)
        # Any: the factory holds informers of different rows and never looks at one.
        self._informers: dict[tuple[str, str, str, str], SharedInformer[Any]] = {}
        self._after: dict[SharedInformer[Any], SharedInformer[Any]] = {}
        self._services: SharedInformer[MetaRow] | None = None
        self._running = False

    def follow_api_services(self) -> None:
        """Watch which groups and versions the server has, and look for a missing kind when its own come (R17)."""
        self._services = SharedInformer(
            API_SERVICE,
            API_SERVICES,
            transport=self._transport,
            clock=self._clock,
            observer=InformerObserver(),
            gates=self._gates,
            optional=True,
            dispensable=True,
        )
        self._gates.presence = ApiServices(self._services, lambda: self.informers).presence

    def informer(
        self,
        resource: Resource,
        projection: Projection[R],
        *,
        indexes: Mapping[str, IndexFunction[R]] | None = None,
        optional: bool = False,
        dispensable: bool = False,
        after: SharedInformer[Any] | None = None,
        name: str = "",
    ) -> SharedInformer[R]:
        """The cache of this resource; `optional` if its kind need not be served (an uninstalled CRD), `dispensable` if
        one may do without the right to read it: either is synced, empty and not `available` then. It begins when the
        one that it comes `after` is synced."""
        identity = (resource.group, resource.version, resource.plural, name)
        if identity in self._informers:
            raise ValueError(f"there is an informer for {resource} already; a second projection needs another name")
        if self._running:
            raise RuntimeError(f"an informer for {resource} was asked for after run(): register all of them first")
        informer = SharedInformer(
            resource,
            projection,
            transport=self._transport,
            clock=self._clock,
            observer=self._observer,
            gates=self._gates,
            namespaces=self._namespaces if resource.namespaced else (),
            indexes=indexes,
            optional=optional,
            dispensable=dispensable,
            name=name,
        )
        self._informers[identity] = informer
        if after is not None:
            self._after[informer] = after
        return informer

    @property
    def informers(self) -> tuple[SharedInformer[Any], ...]:
        """All of them, in the order of registration."""
        return tuple(self._informers.values())

    @property
    def has_synced(self) -> bool:
        """Whether every informer is synced."""
        return all(informer.has_synced for informer in self.informers)

    async def run(self) -> None:
        """Until cancelled."""
        self._running = True
        async with asyncio.TaskGroup() as group:
            for informer in self.informers:
                group.create_task(self._run(informer), name=f"inform {informer.name}")
            if self._services is not None:
                group.create_task(self._services.run(), name=f"inform {self._services.name}")

    async def _run(self, informer: SharedInformer[Any]) -> None:
        first = self._after.get(informer)
        if first is not None:
            await first.wait_synced()
        await informer.run()

    async def wait_synced(self, timeout: float) -> None:  # noqa: ASYNC109 - its end is a diagnosis, not a cancellation
        """Until every informer is synced; `NotSynced` after `timeout` seconds names those that are not."""
        try:
            async with asyncio.timeout(timeout):
                for informer in self.informers:
                    await informer.wait_synced()
        except TimeoutError:
            missing = [informer.status() for informer in self.informers if not informer.has_synced]
            raise NotSynced(
                f"not synced after {timeout:g} s: "
                + "; ".join(f"{status.name} ({status.last_error or status.state})" for status in missing)
            ) from None
