"""A cluster that stands still: the view over which the command plans.

Contract: implements `reconcilers.ports.TargetView` over rows held in memory. `settle` takes over what a plan would
have written, so that the next target is planned as the operator would plan it afterwards: two targets of one run
cannot get the same location or name.

Invariant: rows here have no fingerprint. A plan therefore contains every object in full, also those that are live
already as they should be: the command shows what should be there, and what differs is found by comparing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from autobackup.subjects import Subjects, is_stand_in
from informers.clock import RealClock
from informers.resource import ObjectKey
from reconcilers import marks, podtemplate
from reconcilers.defaults import Default
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY, TARGETS, Family
from reconcilers.location import enclosing
from reconcilers.mapping import claim_index, mark_index
from reconcilers.namespace import NamespaceRow
from reconcilers.plan import Apply, Delete, Outcome, Plan, Wish
from reconcilers.podtemplate import PodTemplate
from reconcilers.ports import SecretSight, SecretState
from reconcilers.rows import (
    BlueprintRow,
    ConfigurationRow,
    RepositoryRow,
    TargetRow,
    claims_of,
    project_configuration,
    project_repository,
)

R = TypeVar("R", RepositoryRow, ConfigurationRow)


class _Table(Generic[R]):
    """Rows by key, and by whatever else they are looked up by."""

    def __init__(self, rows: Iterable[R], **indexes: Callable[[R], Iterable[Hashable]]) -> None:
        self._rows: dict[ObjectKey, R] = {}
        self._indexes: dict[str, Callable[[R], Iterable[Hashable]]] = indexes
        self._found: dict[tuple[str, Hashable], dict[ObjectKey, R]] = {}
        for row in rows:
            self.put(row)

    def get(self, key: ObjectKey) -> R | None:
        return self._rows.get(key)

    def put(self, row: R) -> None:
        self.remove(row.key)
        self._rows[row.key] = row
        for slot in self._slots(row):
            self._found.setdefault(slot, {})[row.key] = row

    def remove(self, key: ObjectKey) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            for slot in self._slots(row):
                self._found[slot].pop(key, None)

    def by(self, index: str, value: Hashable) -> tuple[R, ...]:
        return tuple(self._found.get((index, value), {}).values())

    def _slots(self, row: R) -> Iterator[tuple[str, Hashable]]:
        return ((name, value) for name, values in self._indexes.items() for value in set(values(row)))


class Snapshot:
    """Targets, blueprints and what there is of the objects that a plan writes."""

    def __init__(
        self,
        *,
        targets: Mapping[Key, TargetRow],
        templates: Mapping[Key, PodTemplate | None],
        blueprints: Mapping[str, BlueprintRow],
        repositories: Iterable[RepositoryRow] = (),
        configurations: Iterable[ConfigurationRow] = (),
        secrets: Mapping[ObjectKey, SecretState] | None = None,
        namespaces: Mapping[str, NamespaceRow] | None = None,
        defaults: tuple[Default, ...] = (),
    ) -> None:
        self._targets = targets
        self._templates = templates
        self._blueprints = blueprints
        self._repositories = _Table(
            (replace(row, fingerprint="") for row in repositories),
            target=mark_index,
            location=lambda row: (row.location,) if row.location else (),
            enclosing=lambda row: enclosing(row.location) if row.location else (),
        )
        self._configurations = _Table(
            (replace(self._current(row), fingerprint="") for row in configurations),
            target=mark_index,
            claim=claim_index,
        )
        self._secrets = secrets or {}
        self._clock = RealClock()
        # One out of a file has no uid yet.
        self._namespaces = {
            name: replace(row, uid="") if is_stand_in(row.uid) else row for name, row in (namespaces or {}).items()
        }
        self._outcomes: dict[Key, tuple[Outcome, ...]] = {}
        self._defaults = defaults
        self._claims: dict[str, str] = {}

    def _current(self, row: ConfigurationRow) -> ConfigurationRow:
        """The row, without what it records of a pod template that has changed in the file."""
        template = self._templates.get(row.mark.target) if row.mark else None
        recorded = podtemplate.recall(row.pod_template) if row.pod_template else None
        stale = (
            template is not None
            and recorded is not None
            and recorded.without_claims.volumes != template.without_claims.volumes
        )
        return replace(row, pod_template="") if stale else row

    @classmethod
    def of(cls, subjects: Subjects) -> Snapshot:
        """The cluster in which there is what the files hold, and nothing else."""
        return cls(
            targets={key: target.row for key, target in subjects.targets.items() if target.row is not None},
            templates={key: target.template for key, target in subjects.targets.items()},
            blueprints={name: blueprint.row for name, blueprint in subjects.blueprints.items()},
            repositories=subjects.repositories.values(),
            configurations=subjects.configurations.values(),
            secrets=dict.fromkeys(subjects.secrets, SecretState.FOUND),
            namespaces=subjects.namespaces,
            defaults=subjects.defaults,
        )

    def settle(self, plan: Plan) -> None:
        """Go on as if `plan` had been carried out."""
        self._claims.update((claim.token, claim.owner) for claim in plan.claims)
        if plan.subject is not None:
            self._outcomes[Key(plan.subject.kind, plan.subject.namespace, plan.subject.name)] = plan.outcomes
        for step in plan.steps:
            if isinstance(step, Delete):
                self._configurations.remove(step.key)
            elif isinstance(step, Apply) and step.manager == marks.PRODUCT:
                uid = step.uid or f"to-be-created.{step.key}"
                metadata = {**step.body["metadata"], "uid": uid, "resourceVersion": "0"}
                body = {**step.body, "metadata": metadata}
                if step.resource == REPOSITORY:
                    before = self._repositories.get(step.key)
                    repository = project_repository(body)
                    used = before is not None and before.has_snapshots
                    self._repositories.put(replace(repository, has_snapshots=used))
                elif step.resource == CONFIGURATION:
                    recorded = metadata["annotations"].get(marks.POD_TEMPLATE, "")
                    row = project_configuration(body)
                    self._configurations.put(replace(row, claims=claims_of(body, recorded)))

    def target(self, key: Key) -> TargetRow | None:
        return self._targets.get(key)

    def available(self, kind: str) -> bool:
        return True

    def watches(self, namespace: str) -> bool:
        return True

    def namespace(self, name: str) -> NamespaceRow | None:
        return self._namespaces.get(name)

    def sees_namespaces(self) -> bool:
        return all(key.namespace in self._namespaces for key in self._targets)

    def requires_allowed_namespaces(self) -> bool:
        return False

    def blueprint(self, name: str) -> BlueprintRow | None:
        return self._blueprints.get(name)

    def repository(self, key: ObjectKey) -> RepositoryRow | None:
        return self._repositories.get(key)

    def repositories_of(self, target: Key) -> Iterable[RepositoryRow]:
        return self._repositories.by("target", target)

    def repositories_at(self, location: str) -> Iterable[RepositoryRow]:
        return self._repositories.by("location", location)

    def repositories_around(self, location: str) -> Iterator[RepositoryRow]:
        yield from self._repositories.by("enclosing", location)
        for outer in enclosing(location):
            yield from self._repositories.by("location", outer)

    def configuration(self, key: ObjectKey) -> ConfigurationRow | None:
        return self._configurations.get(key)

    def configurations_covering(self, namespace: str, claim: str) -> Iterable[ConfigurationRow]:
        return self._configurations.by("claim", (namespace, claim))

    def workloads_in(self, namespace: str) -> Iterator[TargetRow]:
        for key, row in self._targets.items():
            if key.namespace == namespace and TARGETS[key.kind].family is Family.WORKLOAD:
                yield row

    def outcomes_of(self, target: Key) -> tuple[Outcome, ...]:
        return self._outcomes.get(target, ())

    def configurations_of(self, target: Key) -> Iterable[ConfigurationRow]:
        return self._configurations.by("target", target)

    def pod_template(self, target: TargetRow) -> PodTemplate | None:
        return self._templates.get(target.key)

    def claimant(self, token: str) -> str | None:
        return self._claims.get(token)

    def defaults(self) -> tuple[Default, ...]:
        return self._defaults

    def now(self) -> float:
        return self._clock.wall().timestamp()

    def effective(self, uid: str, fingerprint: str) -> str:
        return ""

    def storage_secret(self, key: ObjectKey, provider: str, wish: Wish | None) -> SecretSight:
        # What a plan comes to is shown, not that a copy has to be there first.
        return SecretSight(SecretState.FOUND if wish else self._secrets.get(key, SecretState.UNCHECKED))
