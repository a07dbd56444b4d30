"""How each target stands with each blueprint, as of the last look at it.

Derived state, held in memory only: after a restart every target is looked at once, and the table is whole again. An
outcome is remembered together with the generation of the blueprint that it was reached with, so that after an edit
the targets not yet looked at again can be counted.

A message quotes what people wrote, and it goes on from here to the status of blueprints, which more people may read
than the target: credentials in it are replaced on the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import Final

from controller.redaction import scrub
from informers.resource import ObjectKey
from reconcilers.keys import Key
from reconcilers.plan import Outcome, State, Wish
from reconcilers.ports import MOST_FAILURES, SecretSight, Summary
from reconcilers.reasons import Reason

SHARE: Final = 1000
"""So many targets are counted in one turn of the loop."""
CONFLICTS = frozenset({Reason.NAME_CONFLICT, Reason.LOCATION_CONFLICT, Reason.BEING_DELETED})


@dataclass(frozen=True, slots=True)
class Change:
    """An outcome that is not as it was; `before` is None the first time."""

    before: Outcome | None
    after: Outcome


class Outcomes:
    """The table, by target and by blueprint."""

    def __init__(self) -> None:
        self._by_target: dict[Key, tuple[Outcome, ...]] = {}
        self._by_blueprint: dict[str, dict[Key, tuple[Outcome, int]]] = {}
        self._conflicted: set[Key] = set()
        self._by_secret: dict[ObjectKey, dict[tuple[Key, str], Wish | None]] = {}

    def record(
        self, target: Key, outcomes: tuple[Outcome, ...], generation_of: Callable[[str], int]
    ) -> tuple[list[Change], set[str]]:
        """Remember the outcomes of one look at a target.

        `generation_of` gives the generation of a blueprint at the time of planning. Returns what changed, and the
        blueprints whose summary may have changed.
        """
        outcomes = tuple(replace(outcome, message=scrub(outcome.message)) for outcome in outcomes)
        before = {outcome.blueprint: outcome for outcome in self._by_target.get(target, ())}
        changes, touched = [], set()
        for outcome in outcomes:
            generation = generation_of(outcome.blueprint)
            records = self._by_blueprint.setdefault(outcome.blueprint, {})
            known = records.get(target)
            records[target] = (outcome, generation)
            if known is None or known != (outcome, generation):
                touched.add(outcome.blueprint)
            old = before.pop(outcome.blueprint, None)
            self._rely(target, old, outcome)
            if old != outcome:
                changes.append(Change(old, outcome))
        for gone, old in before.items():
            self._rely(target, old, None)
            self._drop(gone, target)
            touched.add(gone)
        if outcomes:
            self._by_target[target] = outcomes
        else:
            self._by_target.pop(target, None)
        if any(outcome.reason in CONFLICTS for outcome in outcomes):
            self._conflicted.add(target)
        else:
            self._conflicted.discard(target)
        return changes, touched

    def of(self, target: Key) -> tuple[Outcome, ...]:
        return self._by_target.get(target, ())

    def conflicted(self) -> tuple[Key, ...]:
        """Targets that wait for a name or location to become free."""
        return tuple(self._conflicted)

    def conflicted_over(self, key: ObjectKey) -> list[Key]:
        """Those of them that wait because of an object of this name."""
        return [
            target
            for target in self._conflicted
            if any(key in (outcome.repository, outcome.configuration) for outcome in self._by_target[target])
        ]

    def storage_secrets(self) -> dict[ObjectKey, set[str]]:
        """Each storage Secret that somebody else keeps for a target, with the blueprints it is for."""
        return {
            secret: {blueprint for (_, blueprint), wish in users.items() if wish is None}
            for secret, users in self._by_secret.items()
            if None in users.values()
        }

    def wishes(self) -> dict[ObjectKey, set[Wish]]:
        """Each storage Secret that is to be a copy, with what it is to be a copy of."""
        found = {
            secret: {wish for wish in users.values() if wish is not None} for secret, users in self._by_secret.items()
        }
        return {secret: wishes for secret, wishes in found.items() if wishes}

    def uses(self, secret: ObjectKey) -> bool:
        """Whether a target relies on this storage Secret."""
        return secret in self._by_secret

    def relying_on(self, secret: ObjectKey) -> tuple[list[Key], set[str]]:
        """The targets whose Repository uses this storage Secret, and the blueprints it is for."""
        users = self._by_secret.get(secret, {})
        return list(dict.fromkeys(target for target, _ in users)), {blueprint for _, blueprint in users}

    def made(self, key: ObjectKey) -> list[Key]:
        """The targets for which a Repository or BackupConfiguration of this name was made."""
        return [
            target
            for target, outcomes in self._by_target.items()
            if any(key in (outcome.repository, outcome.configuration) for outcome in outcomes)
        ]

    def counts(self) -> dict[tuple[str, str], int]:
        """Number of outcomes by kind of target and state."""
        found: dict[tuple[str, str], int] = {}
        for target, outcomes in self._by_target.items():
            for outcome in outcomes:
                cell = (target.kind, outcome.state.value)
                found[cell] = found.get(cell, 0) + 1
        return found

    def counting(
        self,
        blueprint: str,
        *,
        generation: int,
        matched: Iterable[Key],
        secret: Callable[[ObjectKey, Wish | None], SecretSight],
    ) -> Generator[None, None, Summary]:
        """How the targets `matched` stand with a blueprint at `generation`; pauses after each `SHARE` of them.

        What changes in a pause may be counted as it was: whoever records it is told that the summary may have changed.
        """
        records = self._by_blueprint.get(blueprint, {})
        total = configured = 0
        failures, shortening = [], []
        secrets: dict[ObjectKey, Wish | None] = {}
        for target in matched:
            total += 1
            if total % SHARE == 0:
                yield
                records = self._by_blueprint.get(blueprint, {})
            known = records.get(target)
            if known is None or known[1] != generation:
                continue
            outcome = known[0]
            if outcome.state is State.CONFIGURED:
                configured += 1
            elif outcome.state is State.FAILED:
                failures.append((target, outcome))
            if outcome.storage_secret is not None:
                secrets[outcome.storage_secret] = outcome.wish
            for note in outcome.warnings:
                if note.reason is Reason.RETENTION_PENDING:
                    shortening.append((target, note.message))
        listed = nsmallest(MOST_FAILURES, failures, key=lambda failure: failure[0])
        return Summary(
            matched=total,
            configured=configured,
            pending=total - configured - len(failures),
            failures=tuple(listed),
            unlisted=len(failures) - len(listed),
            secrets=tuple((key, secret(key, secrets[key])) for key in sorted(secrets)),
            shortening=tuple(sorted(shortening)),
        )

    def _drop(self, blueprint: str, target: Key) -> None:
        records = self._by_blueprint.get(blueprint, {})
        records.pop(target, None)
        if not records:
            self._by_blueprint.pop(blueprint, None)

    def _rely(self, target: Key, before: Outcome | None, after: Outcome | None) -> None:
        """Note which storage Secret a target relies on."""
        if before is not None and before.storage_secret is not None:
            users = self._by_secret.get(before.storage_secret, {})
            users.pop((target, before.blueprint), None)
            if not users:
                self._by_secret.pop(before.storage_secret, None)
        if after is not None and after.storage_secret is not None:
            self._by_secret.setdefault(after.storage_secret, {})[target, after.blueprint] = after.wish
