"""What a reconciler returns: data that says what to write, what to read first and what to report.

Order matters: the steps of one blueprint run one after the other, and a step runs only if the ones before it
succeeded; deletions run last, and only if everything else succeeded. Repositories come before the
BackupConfigurations that name them, so a crash after any prefix leaves a state that the next reconcile completes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from informers.resource import ObjectKey, Resource
from reconcilers.keys import Key, ObjectRef
from reconcilers.marks import PRODUCT
from reconcilers.reasons import Reason


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of `body`.

    `uid` is that of the live object, "" when none is known: with it the server refuses to resurrect an object that
    was deleted meanwhile. `force` is set only for objects that carry our marker; the first apply of a name goes
    without it, so a foreign object with that name makes the server answer 409 instead of being taken over.
    `fingerprint` is what the live object's will be once this is applied (see `reconcilers.fields`).
    `event` is what to record on the target when the write took effect. `version` is the resourceVersion that the live
    object must still have, where a change that no cache shows yet would forbid the write.
    """

    resource: Resource
    key: ObjectKey
    uid: str
    body: Mapping[str, Any]
    fingerprint: str
    blueprint: str
    event: Reason | None = None
    manager: str = PRODUCT
    version: str = ""

    @property
    def force(self) -> bool:
        return bool(self.uid)


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletion of exactly the object with `uid`, after a live look at `target` confirmed that it is unwanted.

    `blueprint` is the name that the target's annotation must no longer contain; the applier reads the target from the
    API server, not from the cache, before it destroys anything. `moved` means that the object was replaced by one in
    another namespace in this same plan: then there is nothing to ask the target.
    `inherits` means that the target, without an annotation of its own, would have that of its Namespace, which is
    looked at live as well then.
    """

    resource: Resource
    key: ObjectKey
    uid: str
    target: Key
    target_uid: str
    blueprint: str
    moved: bool = False
    inherits: bool = False
    event: Reason | None = None


@dataclass(frozen=True, slots=True)
class ApplyStatus:
    """Server-side apply of a status subresource; condition times are filled in by the applier."""

    resource: Resource
    key: ObjectKey
    uid: str
    status: Mapping[str, Any]


Step = Apply | Delete | ApplyStatus


@dataclass(frozen=True, slots=True)
class ReadPodTemplate:
    """The plan needs the pod template of this workload, at this generation, before it can go on. `version` is the
    resourceVersion that has this generation for certain."""

    target: Key
    uid: str
    generation: int
    version: int = 0


class State(StrEnum):
    """How a target stands with one blueprint."""

    CONFIGURED = "configured"
    """Repository and BackupConfiguration are as they should be."""
    WAITING = "waiting"
    """It takes care of itself: an object is still being deleted, or a request is tried again."""
    FAILED = "failed"
    """The input cannot be used as it is; the last good objects stay applied."""


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """That a storage Secret be a copy of `source`, for one target with one blueprint.

    `identity` is that of the repository whose own password the copy is to hold, "" when it holds the source's.
    """

    source: ObjectKey
    blueprint: str
    provider: str
    identity: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth telling that does not stand in the way: reason and text."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target stands with one blueprint after a reconcile; feeds status, events and metrics."""

    blueprint: str
    state: State
    reason: Reason
    message: str
    repository: ObjectKey | None = None
    configuration: ObjectKey | None = None
    storage_secret: ObjectKey | None = None
    wish: Wish | None = None
    warnings: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class EventIntent:
    """An Event to record: on `regarding`, because of `reason`, while doing `action`. `found`: it was like that when the
    operator started, and was told before, most probably."""

    regarding: ObjectRef
    type: str
    reason: str
    action: str
    note: str
    related: ObjectRef | None = None
    found: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A name or location that this plan takes; held in memory until the cache shows the object that owns it."""

    token: str
    owner: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of one reconcile. An empty plan means: everything is as it should be."""

    steps: tuple[Step, ...] = ()
    needs: tuple[ReadPodTemplate, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    events: tuple[EventIntent, ...] = ()
    claims: tuple[Claim, ...] = ()
    requeue_after: float | None = None
    due: float | None = None
    """Seconds after which the plan changes although nothing else does; None for never."""
    subject: ObjectRef | None = None
    """The object that Events about outcomes and writes are about; None when it is gone."""
