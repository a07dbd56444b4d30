"""From deltas to queued keys: the only thing that informers' handlers do.

Handlers run between a store's change and the next read of the socket, so they may not wait and do not think: which keys
a change concerns is decided by `reconcilers.mapping`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from controller.barrier import WriteBarrier
from controller.caches import Caches, View
from controller.firstpass import FirstPass
from controller.outcomes import Outcomes
from controller.priorities import CHILD_DRIFT, FAN_OUT, INITIAL_LIST, USER_EVENT
from controller.spread import Spread
from controller.workqueue import WorkQueue
from informers import Added, Deleted, Delta, Row, SharedInformer, Updated
from informers.registration import FailureHandler, Registration
from informers.resource import ObjectKey
from reconcilers import mapping
from reconcilers import namespace as spaces
from reconcilers.keys import Key
from reconcilers.namespace import NamespaceRow
from reconcilers.rows import BlueprintRow, ConfigurationRow, RepositoryRow, TargetRow

R = TypeVar("R", bound=Row)
Owned = TypeVar("Owned", RepositoryRow, ConfigurationRow)

GONE_SECONDS = 0.5
"""An object that is gone is mostly gone because its owner is, of whom another watch tells a moment later."""


class Handlers:
    """Enqueues what each change concerns."""

    def __init__(
        self,
        *,
        queue: WorkQueue[Key],
        view: View,
        outcomes: Outcomes,
        barrier: WriteBarrier,
        first_pass: FirstPass,
    ) -> None:
        self._queue = queue
        self._spread = Spread(queue)
        self._barrier = barrier
        self._view = view
        self._outcomes = outcomes
        self._first_pass = first_pass

    def attach(self, caches: Caches) -> None:
        """Register with every informer. What is in the stores already is handed over at once."""
        caches.blueprints.add_handler(self.on_blueprint, name="blueprint-targets", on_failure=self._blueprint_failed)
        caches.namespaces.add_handler(self.on_namespace, name="namespace-targets", on_failure=self._namespace_failed)
        joined: list[Registration[Any]] = [
            informer.add_handler(self.on_target, name=f"{kind.lower()}-targets", on_failure=self._target_failed(kind))
            for kind, informer in caches.targets.items()
        ]
        caches.configurations.add_handler(self.on_coverage, name="configuration-claims", on_failure=self._claims_failed)
        joined.append(self._attach_owned(caches.repositories, name="repository-owners"))
        self._attach_owned(caches.configurations, name="configuration-owners")
        self._first_pass.begin(joined)

    def _attach_owned(self, informer: SharedInformer[Owned], *, name: str) -> Registration[Owned]:
        since = informer.store.last_sync_rv()
        return informer.add_handler(partial(self.on_owned, since=since), name=name, on_failure=self._owned_failed)

    def on_target(self, delta: Delta[TargetRow]) -> None:
        old, new, initial = _rows(delta)
        row = new or old
        space = self._view.namespace(row.namespace) if row is not None else None
        if not (mapping.concerns(old, space) or mapping.concerns(new, space)):
            return
        for key in mapping.target_keys(old, new):
            priority = self._at_first(key) if initial else USER_EVENT
            if initial:
                self._first_pass.expect(key)
            self._queue.add(key, priority=priority, reason=_reason("target", delta))

    def _at_first(self, target: Key) -> int:
        """Who has nothing yet is waiting for somebody; the rest were most probably seen to by the last leader."""
        return INITIAL_LIST if any(self._view.configurations_of(target)) else FAN_OUT

    def on_blueprint(self, delta: Delta[BlueprintRow]) -> None:
        old, new, initial = _rows(delta)
        row = new or old
        if row is None:
            return
        key = mapping.blueprint_key(row.name)
        if new is None or not self._barrier.is_own(key, new.uid, new.resource_version):
            priority = INITIAL_LIST if initial else USER_EVENT
            self._queue.add(key, priority=priority, reason=_reason("blueprint", delta))
        if not initial and mapping.affects_targets(old, new):
            self._spread.queue(self._view.targets_of(row.name), reason=f"blueprint {row.name} changed")

    def on_namespace(self, delta: Delta[NamespaceRow]) -> None:
        old, new, initial = _rows(delta)
        row = new or old
        if row is None or initial or not spaces.affects_targets(old, new):
            return
        self._spread.queue(self._view.targets_in(row.name), reason=_reason("namespace", delta))

    def on_owned(self, delta: Delta[Owned], *, since: int = 0) -> None:
        """Initial rows that were there in version `since` already queue nobody who is queued as a target anyhow."""
        old, new, initial = _rows(delta)
        known = initial and new is not None and new.resource_version <= since
        for key in mapping.owner_keys(old, new):
            if new is not None and self._barrier.is_own(key, new.uid, new.resource_version):
                continue
            if known and self._is_queued_as_target(key):
                continue
            if initial:
                self._first_pass.expect(key)
            self._queue.add(
                key,
                priority=INITIAL_LIST if initial else CHILD_DRIFT,
                after=GONE_SECONDS if new is None else 0.0,
                reason=_reason("child", delta),
            )
        if old is None and new is not None:
            # The API server knew of it before the cache did: now that it is seen, there may be another name to take.
            for key in self._outcomes.conflicted_over(new.key):
                self._queue.add(key, priority=CHILD_DRIFT, reason="what is in the way is seen now")
        if mapping.frees_something(old, new):
            self._spread.queue(self._outcomes.conflicted(), reason="a name or location became free")

    def _is_queued_as_target(self, key: Key) -> bool:
        row = self._view.target(key)
        return row is not None and mapping.concerns(row, self._view.namespace(key.namespace))

    def on_coverage(self, delta: Delta[ConfigurationRow]) -> None:
        """Claims that a workload backs up are not targets by themselves, and are again when it does no longer."""
        old, new, initial = _rows(delta)
        namespace = "" if initial else mapping.covers_otherwise(old, new)
        if namespace:
            self._spread.queue(self._view.claims_in(namespace), reason="other claims are backed up by workloads")

    def secret_changed(self, secret: ObjectKey) -> None:
        """A storage Secret appeared or disappeared."""
        targets, blueprints = self._outcomes.relying_on(secret)
        self._spread.queue((*targets, *map(mapping.blueprint_key, blueprints)), reason="storage Secret changed")

    def source_changed(self, source: ObjectKey) -> None:
        """A Secret that others are copied from changed."""
        blueprints = self._view.blueprints_from(source)
        self._spread.queue(map(mapping.blueprint_key, blueprints), reason="source of storage Secrets changed")

    # A handler that raised has not queued what it should have; that must not wait for the next event (H3).

    def _target_failed(self, kind: str) -> FailureHandler:
        return lambda key, _: self._queue_after_failure(Key(kind, *key))

    def _blueprint_failed(self, key: ObjectKey, _: Exception) -> None:
        self._queue_after_failure(mapping.blueprint_key(key.name))
        for target in self._view.targets_of(key.name):
            self._queue_after_failure(target)

    def _namespace_failed(self, key: ObjectKey, _: Exception) -> None:
        for target in self._view.targets_in(key.name):
            self._queue_after_failure(target)

    def _claims_failed(self, key: ObjectKey, _: Exception) -> None:
        row = self._view.configuration(key)
        for target in self._view.claims_in(row.mark.target.namespace if row and row.mark else key.namespace):
            self._queue_after_failure(target)

    def _owned_failed(self, key: ObjectKey, _: Exception) -> None:
        rows = (self._view.repository(key), self._view.configuration(key))
        marked = {row.mark.target for row in rows if row is not None and row.mark is not None}
        for target in sorted(marked.union(self._outcomes.made(key))):
            self._queue_after_failure(target)

    def _queue_after_failure(self, key: Key) -> None:
        self._queue.add(key, priority=INITIAL_LIST, reason="a handler failed")


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
