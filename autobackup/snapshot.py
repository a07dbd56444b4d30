"""A cluster that stands still: the view over which the command plans.

Contract: implements `reconcilers.ports.TargetView` over rows held in memory. `settle` takes over what a plan would
have written, so that the next target is planned as the operator would plan it afterwards: two targets of one run
cannot get the same location or name.

Invariant: rows here have no fingerprint. A plan therefore contains every object in full, also those that are live
already as they should be: the command shows what should be there, and what differs is found by comparing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from autobackup.subjects import Subjects
from informers.resource import ObjectKey
from reconcilers import podtemplate
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.location import enclosing
from reconcilers.marks import PRODUCT
from reconcilers.plan import Apply, Delete, Plan
from reconcilers.podtemplate import PodTemplate
from reconcilers.ports import SecretState
from reconcilers.rows import (
    BlueprintRow,
    ConfigurationRow,
    RepositoryRow,
    TargetRow,
    project_configuration,
    project_repository,
)


class Snapshot:
    """Rows by their keys, searched from end to end: there are as many as a person gives files."""

    def __init__(
        self,
        *,
        targets: Mapping[Key, TargetRow],
        templates: Mapping[Key, PodTemplate | None],
        blueprints: Mapping[str, BlueprintRow],
        repositories: Iterable[RepositoryRow] = (),
        configurations: Iterable[ConfigurationRow] = (),
        secrets: Mapping[ObjectKey, SecretState] | None = None,
    ) -> None:
        self._targets = targets
        self._templates = templates
        self._blueprints = blueprints
        self._repositories = {row.key: replace(row, fingerprint="") for row in repositories}
        self._configurations = {row.key: replace(self._current(row), fingerprint="") for row in configurations}
        self._secrets = secrets or {}
        self._claims: dict[str, str] = {}

    def _current(self, row: ConfigurationRow) -> ConfigurationRow:
        """The row, without what it records of a pod template that has changed in the file."""
        template = self._templates.get(row.mark.target) if row.mark else None
        recorded = podtemplate.recall(row.pod_template) if row.pod_template else None
        stale = template is not None and recorded is not None and recorded.volumes != template.volumes
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
        )

    def settle(self, plan: Plan) -> None:
        """Go on as if `plan` had been carried out."""
        self._claims.update((claim.token, claim.owner) for claim in plan.claims)
        for step in plan.steps:
            if isinstance(step, Delete):
                self._configurations.pop(step.key, None)
            elif isinstance(step, Apply) and step.manager == PRODUCT:
                uid = step.uid or f"to-be-created.{step.key}"
                metadata = {**step.body["metadata"], "uid": uid, "resourceVersion": "0"}
                body = {**step.body, "metadata": metadata}
                if step.resource == REPOSITORY:
                    before = self._repositories.get(step.key)
                    repository = project_repository(body)
                    used = before is not None and before.has_snapshots
                    self._repositories[step.key] = replace(repository, has_snapshots=used)
                elif step.resource == CONFIGURATION:
                    self._configurations[step.key] = project_configuration(body)

    def target(self, key: Key) -> TargetRow | None:
        return self._targets.get(key)

    def available(self, kind: str) -> bool:
        return True

    def watches(self, namespace: str) -> bool:
        return True

    def blueprint(self, name: str) -> BlueprintRow | None:
        return self._blueprints.get(name)

    def repository(self, key: ObjectKey) -> RepositoryRow | None:
        return self._repositories.get(key)

    def repositories_of(self, target: Key) -> Iterator[RepositoryRow]:
        return (row for row in self._repositories.values() if row.mark and row.mark.target == target)

    def repositories_at(self, location: str) -> Iterator[RepositoryRow]:
        return (row for row in self._repositories.values() if row.location and row.location == location)

    def repositories_around(self, location: str) -> Iterator[RepositoryRow]:
        outer = set(enclosing(location))
        for row in self._repositories.values():
            if row.location and (row.location in outer or location in enclosing(row.location)):
                yield row

    def configuration(self, key: ObjectKey) -> ConfigurationRow | None:
        return self._configurations.get(key)

    def configurations_of(self, target: Key) -> Iterator[ConfigurationRow]:
        return (row for row in self._configurations.values() if row.mark and row.mark.target == target)

    def pod_template(self, target: TargetRow) -> PodTemplate | None:
        return self._templates.get(target.key)

    def claimant(self, token: str) -> str | None:
        return self._claims.get(token)

    def effective(self, uid: str, fingerprint: str) -> str:
        return ""

    def storage_secret(self, key: ObjectKey) -> SecretState:
        return self._secrets.get(key, SecretState.UNCHECKED)
