"""How the work queue and plans name objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Key(NamedTuple):
    """One unit of work: an object to reconcile. `namespace` is "" for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object that an Event is about; `uid` is what ties the Event to this incarnation of it."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
