"""Which copies of storage Secrets there should be: what targets wish for, and what must stay although nobody does.

That a copy may be left somewhere is told by our Repositories, which outlive the targets that they were made for: a copy
has the name that its Repository gives, so nothing else needs to be written down, and no Secrets need be listed.
"""

from __future__ import annotations

from controller.caches import Caches
from controller.firstpass import FirstPass
from controller.outcomes import Outcomes
from informers.resource import ObjectKey
from reconcilers.blueprint import source_in
from reconcilers.keys import Key
from reconcilers.permission import is_denied
from reconcilers.plan import State, Wish
from reconcilers.rows import RepositoryRow, TargetRow


class CopyDemand:
    """Implements `controller.secretcopies.Demand` over the caches and the outcomes."""

    def __init__(self, caches: Caches, outcomes: Outcomes, first_pass: FirstPass) -> None:
        self._caches = caches
        self._outcomes = outcomes
        self._first_pass = first_pass

    def wishes(self) -> dict[ObjectKey, set[Wish]]:
        return self._outcomes.wishes()

    def sources(self) -> set[ObjectKey]:
        rows = self._caches.blueprints.store.rows()
        return {source for row in rows if not row.deleting and (source := source_in(row)) is not None}

    def retired(self) -> list[ObjectKey]:
        """The storage Secrets of our Repositories that serve nobody any more."""
        return [
            key
            for key in self._caches.repositories.store.index_values("secret")
            if isinstance(key, ObjectKey) and not self._outcomes.uses(key) and not self.relied_on(key)
        ]

    def relied_on(self, key: ObjectKey) -> bool:
        """Whether a BackupConfiguration of ours relies on it, or a target that was not looked at yet may. A target that
        may not use its blueprint has no claim to what the blueprint gave it."""
        return any(self._serves(row) for row in self._caches.repositories.store.index("secret", key))

    def _serves(self, row: RepositoryRow) -> bool:
        mark = row.mark
        if mark is None or row.succeeded_by:
            return False
        if self._first_pass.is_due(mark.target):
            return True
        known = [outcome for outcome in self._outcomes.of(mark.target) if outcome.blueprint == mark.blueprint]
        if any(is_denied(outcome) and outcome.state is State.FAILED for outcome in known):
            return False
        live = self._caches.configurations.store.index("target", mark.target)
        if any(found.mark and found.mark.blueprint == mark.blueprint and not found.deleting for found in live):
            return True
        target = self._target(mark.target)
        return not known and target is not None and mark.blueprint in target.blueprints

    def _target(self, key: Key) -> TargetRow | None:
        informer = self._caches.targets.get(key.kind)
        return informer.store.get(ObjectKey(key.namespace, key.name)) if informer else None
