"""From deltas to queued keys: the only thing that informers' handlers do.

Handlers run between a store's change and the next read of the socket, so they may not wait and do not think: which keys
a change concerns is decided by `reconcilers.mapping`.
"""

from __future__ import annotations

from typing import TypeVar

from controller.caches import Caches, View
from controller.outcomes import Outcomes
from controller.priorities import CHILD_DRIFT, FAN_OUT, INITIAL_LIST, USER_EVENT
from controller.workqueue import WorkQueue
from informers import Added, Deleted, Delta, Row, Updated
from informers.resource import ObjectKey
from reconcilers import mapping
from reconcilers.keys import Key
from reconcilers.rows import BlueprintRow, ConfigurationRow, RepositoryRow, TargetRow

R = TypeVar("R", bound=Row)
Owned = TypeVar("Owned", RepositoryRow, ConfigurationRow)


class Handlers:
    """Enqueues what each change concerns."""

    def __init__(self, *, queue: WorkQueue[Key], view: View, outcomes: Outcomes) -> None:
        self._queue = queue
        self._view = view
        self._outcomes = outcomes

    def attach(self, caches: Caches) -> None:
        """Register with every informer. What is in the stores already is handed over at once."""
        caches.blueprints.add_handler(self.on_blueprint, name="blueprint-targets")
        for kind, informer in caches.targets.items():
            informer.add_handler(self.on_target, name=f"{kind.lower()}-targets")
        caches.repositories.add_handler(self.on_owned, name="repository-owners")
        caches.configurations.add_handler(self.on_owned, name="configuration-owners")

    def on_target(self, delta: Delta[TargetRow]) -> None:
        old, new, initial = _rows(delta)
        for key in mapping.target_keys(old, new):
            self._queue.add(key, priority=INITIAL_LIST if initial else USER_EVENT, reason=_reason("target", delta))

    def on_blueprint(self, delta: Delta[BlueprintRow]) -> None:
        old, new, initial = _rows(delta)
        row = new or old
        if row is None:
            return
        priority = INITIAL_LIST if initial else USER_EVENT
        self._queue.add(mapping.blueprint_key(row.name), priority=priority, reason=_reason("blueprint", delta))
        if not initial and mapping.affects_targets(old, new):
            for key in self._view.targets_of(row.name):
                self._queue.add(key, priority=FAN_OUT, reason=f"blueprint {row.name} changed")

    def on_owned(self, delta: Delta[Owned]) -> None:
        old, new, initial = _rows(delta)
        for key in mapping.owner_keys(old, new):
            self._queue.add(key, priority=INITIAL_LIST if initial else CHILD_DRIFT, reason=_reason("child", delta))
        if mapping.frees_something(old, new):
            for key in self._outcomes.conflicted():
                self._queue.add(key, priority=FAN_OUT, reason="a name or location became free")

    def secret_changed(self, secret: ObjectKey) -> None:
        """A storage Secret appeared or disappeared."""
        for key in self._outcomes.relying_on(secret):
            self._queue.add(key, priority=FAN_OUT, reason="storage Secret changed")
        for name in self._outcomes.storage_secrets().get(secret, ()):
            self._queue.add(mapping.blueprint_key(name), priority=FAN_OUT, reason="storage Secret changed")


def _rows(delta: Delta[R]) -> tuple[R | None, R | None, bool]:
    match delta:
        case Added(row=row, initial=initial):
            return None, row, initial
        case Updated(old=old, new=new):
            return old, new, False
        case Deleted(row=row):
            return row, None, False


def _reason(what: str, delta: Delta[R]) -> str:
    return f"{what} {type(delta).__name__.lower()}"
