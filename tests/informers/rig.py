"""What most informer tests need: a scripted server, an informer on it in virtual time, and a record of what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from informers import (
    Added,
    Delta,
    InformerFactory,
    InformerObserver,
    ObjectKey,
    Projection,
    Resource,
    SharedInformer,
    Updated,
    parse_revision,
)
from tests.support.beside import beside
from tests.support.fakeapi import FakeApi
from tests.support.virtualtime import VirtualClock

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
WIDGETS = Resource("example.com", "v1", "widgets", "Widget")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


@dataclass(frozen=True, slots=True)
class NoteRow:
    namespace: str
    name: str
    uid: str
    note: str
    resource_version: int = field(compare=False)


def project_note(document: Mapping[str, Any]) -> NoteRow | None:
    """Objects with the annotation `example.com/note`; a note of "poison" cannot be projected."""
    metadata = document["metadata"]
    note = (metadata.get("annotations") or {}).get("example.com/note")
    if note is None:
        return None
    if note == "poison":
        raise ValueError("poison")
    return NoteRow(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        note=note,
        resource_version=parse_revision(metadata["resourceVersion"]),
    )


NOTES = Projection(project_note, metadata_only=True, marker=b"example.com/note")
WHOLE_NOTES = Projection(project_note, metadata_only=False)


def noted(note: str = "x") -> dict[str, str]:
    return {"example.com/note": note}


class Recorder(InformerObserver):
    """Keeps everything it is told, as (method, arguments)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[Any, Any]]] = []

    def __getattribute__(self, name: str) -> Any:
        if name in vars(InformerObserver) and not name.startswith("_"):
            seen = self.seen

            def record(*args: Any, **kwargs: Any) -> None:
                positional: dict[Any, Any] = dict(enumerate(args))
                seen.append((name, positional | kwargs))

            return record
        return super().__getattribute__(name)

    def of(self, name: str) -> list[dict[Any, Any]]:
        return [arguments for method, arguments in self.seen if method == name]

    def reasons(self, name: str) -> list[str]:
        return [arguments["reason"] for arguments in self.of(name)]


def describe(delta: Delta[Any]) -> str:
    """`+a`, `+a!` (initial), `~a`, `-a`, `-a?` (final state unknown)."""
    if isinstance(delta, Updated):
        assert delta.old.uid == delta.new.uid
        return f"~{delta.new.name}"
    if isinstance(delta, Added):
        return f"+{delta.row.name}{'!' if delta.initial else ''}"
    return f"-{delta.row.name}{'?' if delta.final_state_unknown else ''}"


class Rig:
    """One informer on one server."""

    def __init__(
        self,
        api: FakeApi,
        *,
        resource: Resource = DEPLOYMENTS,
        projection: Projection[Any] = NOTES,
        optional: bool = False,
        dispensable: bool = False,
        namespaces: Sequence[str] = (),
        indexes: Mapping[str, Callable[[Any], Any]] | None = None,
        seed: int = 0,
    ) -> None:
        self.api = api
        self.clock = VirtualClock(seed)
        self.observer = Recorder()
        self.factory = InformerFactory(api, self.clock, self.observer, namespaces=namespaces)
        self.informer: SharedInformer[Any] = self.factory.informer(
            resource, projection, optional=optional, dispensable=dispensable, indexes=indexes
        )
        self.deltas: list[Delta[Any]] = []
        self.registration = self.informer.add_handler(self.deltas.append, name="rig")

    @property
    def told(self) -> list[str]:
        """The deltas since the last look."""
        told = [describe(delta) for delta in self.deltas]
        self.deltas.clear()
        return told

    @property
    def rows(self) -> dict[str, str]:
        return {row.name: row.note for row in self.informer.store.rows()}

    def get(self, name: str, namespace: str = "ns") -> Any:
        return self.informer.store.get(ObjectKey(namespace, name))

    @asynccontextmanager
    async def running(self, *, synced: bool = True) -> AsyncIterator[Rig]:
        async with beside(self.factory.run()) as task:
            if synced:
                await self.factory.wait_synced(3600)
            yield self
        assert task.cancelled()

    async def settle(self, seconds: float = 0.001) -> None:
        """Let everything that is ready happen."""
        await asyncio.sleep(seconds)


def make_api(*resources: Resource, **options: Any) -> FakeApi:
    return FakeApi(*(resources or (DEPLOYMENTS,)), **options)


def one() -> FakeApi:
    """A server with the Deployment `d0`, whose note is "0"."""
    api = make_api()
    api.create(DEPLOYMENTS, "d0", annotations=noted("0"))
    return api
