"""What a cluster has to say about the targets of the given files.

Contract: `look` takes from the cluster what files cannot know, and nothing that files do say: uid and generation of
each target and the annotations that `kubectl apply` of the file would leave alone, blueprints that are named and not
given, all Repositories and BackupConfigurations (whoever made them: their names and locations are taken), and whether
storage Secrets exist. What the user may not read is told, and the
comparison goes on as far as it can.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from autobackup.cluster import Cluster, Object
from autobackup.console import Console
from autobackup.difference import Change, comparable, foreseen
from autobackup.exits import CommandError
from autobackup.objects import finished
from autobackup.snapshot import Snapshot
from autobackup.subjects import Subjects, Target, as_live, asks
from informers.errors import ApiError, Forbidden, NotFound
from informers.resource import ObjectKey, Resource
from reconcilers import podtemplate
from reconcilers.inheritance import known_names
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE, NamespaceRow, project_namespace
from reconcilers.plan import Apply, Delete, Plan
from reconcilers.ports import SecretState
from reconcilers.rows import (
    BlueprintRow,
    ConfigurationRow,
    RepositoryRow,
    project_blueprint,
    project_configuration,
    project_repository,
)

_SECRET = Resource("", "v1", "secrets", "Secret")


@dataclass(slots=True)
class Live:
    """Subjects as the cluster completes them, and its objects of the kinds that we write."""

    subjects: Subjects
    blueprints: dict[str, BlueprintRow]
    objects: dict[tuple[str, ObjectKey], Object] = field(default_factory=dict)
    repositories: list[RepositoryRow] = field(default_factory=list)
    configurations: list[ConfigurationRow] = field(default_factory=list)
    secrets: dict[ObjectKey, SecretState] = field(default_factory=dict)
    namespaces: dict[str, NamespaceRow] = field(default_factory=dict)
    unseen: set[Key] = field(default_factory=set)
    """Targets that the user may not look at."""

    def snapshot(self) -> Snapshot:
        """A view of all this, as it is before anything is planned."""
        return Snapshot(
            targets={key: target.row for key, target in self.subjects.targets.items() if target.row is not None},
            templates={key: target.template for key, target in self.subjects.targets.items()},
            blueprints=self.blueprints,
            repositories=self.repositories,
            configurations=self.configurations,
            secrets=self.secrets,
            namespaces=self.namespaces,
            defaults=self.subjects.defaults,
        )


async def look(cluster: Cluster, subjects: Subjects, console: Console) -> Live:
    """Everything but the storage Secrets, of which only a plan knows which they are."""
    live = Live(subjects, {name: blueprint.row for name, blueprint in subjects.blueprints.items()})
    await _find_namespaces(cluster, live, console)
    await _complete_targets(cluster, live, console)
    await _find_blueprints(cluster, live, console)
    namespaces = {key.namespace for key in subjects.targets}
    for row in live.blueprints.values():
        namespaces.update(_namespaces_of(row))
    for resource in (REPOSITORY, CONFIGURATION):
        for obj in await _list(cluster, resource, namespaces, console):
            metadata = obj["metadata"]
            # Items of a list do not say their kind.
            full = {**obj, "apiVersion": resource.api_version, "kind": resource.kind}
            live.objects[resource.kind, ObjectKey(metadata["namespace"], metadata["name"])] = full
            if resource is REPOSITORY:
                live.repositories.append(project_repository(full))
            else:
                live.configurations.append(project_configuration(full))
    _recall_uids(live)
    _foresee_generations(live)
    return live


async def look_for_secrets(cluster: Cluster, live: Live, plans: Iterable[Plan]) -> None:
    """Whether the storage Secrets of these plans exist; one that may not be looked at stays unchecked."""
    outcomes = (outcome for plan in plans for outcome in plan.outcomes)
    keys = sorted({outcome.storage_secret for outcome in outcomes if outcome.storage_secret is not None})

    async def state(key: ObjectKey) -> SecretState:
        found = await cluster.find(_SECRET, key, metadata_only=True)
        return SecretState.MISSING if found is None else SecretState.FOUND

    for key, answer in zip(keys, await cluster.each(state, keys), strict=True):
        live.secrets[key] = SecretState.UNCHECKED if isinstance(answer, ApiError) else answer


async def compare(cluster: Cluster, live: Live, plans: Iterable[Plan], console: Console) -> tuple[list[Change], bool]:
    """What carrying out the plans would change, and whether the server would refuse some of it."""
    steps = [step for plan in plans for step in plan.steps if isinstance(step, Apply | Delete)]

    async def after(step: Apply | Delete) -> Object | None:
        return None if isinstance(step, Delete) else await cluster.after(step)

    changes, refused, guessed = [], False, ""
    for step, answer in zip(steps, await cluster.each(after, steps), strict=True):
        what = f"{step.resource.kind} {step.key}"
        before = live.objects.get((step.resource.kind, step.key))
        result: Any = answer
        if isinstance(answer, Forbidden) and isinstance(step, Apply) and "cannot patch resource" in answer.message:
            guessed = guessed or what
            result = foreseen(before, step.body, manager=step.manager)
        elif isinstance(answer, ApiError):
            refused = True
            console.error(f"{what}: {_refusal(answer, step.key.namespace)}")
            continue
        changes.append(
            Change(
                kind=step.resource.kind,
                namespace=step.key.namespace,
                name=step.key.name,
                before=comparable(before) if before else None,
                after=finished(comparable(result)) if result is not None else None,
            )
        )
    if guessed:
        console.note(
            f"you may not patch {guessed}, so the API server was not asked: defaults and admission are not in "
            "the difference"
        )
    return changes, refused


def _refusal(error: ApiError, namespace: str) -> str:
    if isinstance(error, NotFound) and "namespaces" in error.message:
        return f"namespace {namespace} does not exist; create it, or give another with -n"
    return f"the API server refuses it: {error.message or error}"


async def _complete_targets(cluster: Cluster, live: Live, console: Console) -> None:
    targets = live.subjects.targets

    async def find(target: Target) -> Object | None:
        resource = TARGETS[target.key.kind].resource
        return await cluster.find(resource, ObjectKey(target.key.namespace, target.key.name), metadata_only=True)

    for target, answer in zip(list(targets.values()), await cluster.each(find, targets.values()), strict=True):
        if isinstance(answer, ApiError):
            live.unseen.add(target.key)
            console.warning(f"{target.key} could not be looked at: {answer}", where=target.manifest.place())
        elif answer is not None:
            targets[target.key] = as_live(
                target,
                answer["metadata"],
                as_if=live.subjects.as_if,
                inherits=asks(live.namespaces.get(target.key.namespace)),
            )


def _recall_uids(live: Live) -> None:
    """The uid of a target that may not be looked at, out of what was written down when it was configured."""
    targets = live.subjects.targets
    for configuration in live.configurations:
        mark = configuration.mark
        target = targets.get(mark.target) if mark and mark.target in live.unseen else None
        if mark and mark.target_uid and target is not None and target.row is not None:
            targets[target.key] = replace(target, row=replace(target.row, uid=mark.target_uid))


def _foresee_generations(live: Live) -> None:
    """A pod template that differs from what was recorded of it is going to have the next generation."""
    targets = live.subjects.targets
    for configuration in live.configurations:
        target = targets.get(configuration.mark.target) if configuration.mark else None
        before = podtemplate.recall(configuration.pod_template) if configuration.pod_template else None
        if target is None or target.template is None or before is None or target.row is None:
            continue
        if (
            before.without_claims.volumes != target.template.without_claims.volumes
            and target.template.generation == target.row.generation
        ):
            template = replace(target.template, generation=target.row.generation + 1)
            targets[target.key] = replace(target, template=template)


async def _find_blueprints(cluster: Cluster, live: Live, console: Console) -> None:
    rows = [target.row for target in live.subjects.targets.values() if target.row is not None]
    named = {name for row in rows for name in row.blueprints}
    named.update(name for space in live.namespaces.values() for name in known_names(space))
    missing = sorted(named - set(live.blueprints))

    async def find(name: str) -> Object | None:
        return await cluster.find(BLUEPRINT, ObjectKey("", name))

    for name, answer in zip(missing, await cluster.each(find, missing), strict=True):
        if isinstance(answer, ApiError):
            console.warning(f"BackupBlueprint {name}: {answer}")
        elif answer is not None:
            live.blueprints[name] = project_blueprint(answer)


async def _find_namespaces(cluster: Cluster, live: Live, console: Console) -> None:
    """The Namespaces of the targets: a file that holds one says what it will be."""
    names = sorted({key.namespace for key in live.subjects.targets})

    async def find(name: str) -> Object | None:
        return await cluster.find(NAMESPACE, ObjectKey("", name), metadata_only=True)

    for name, answer in zip(names, await cluster.each(find, names), strict=True):
        if isinstance(answer, ApiError):
            console.warning(f"Namespace {name}: {answer}; what its annotations and labels say is not known")
        elif answer is not None:
            live.namespaces[name] = project_namespace(answer)
    live.namespaces.update(live.subjects.namespaces)


def _namespaces_of(row: BlueprintRow) -> Iterator[str]:
    """Where a blueprint puts objects, as far as that does not depend on the target."""
    spec = json.loads(row.spec)
    for name in ("backupNamespace", "repoNamespace"):
        namespace = spec.get(name)
        if isinstance(namespace, str) and namespace and "$" not in namespace:
            yield namespace


async def _list(cluster: Cluster, resource: Resource, namespaces: set[str], console: Console) -> list[Object]:
    try:
        return await cluster.all_of(resource)
    except NotFound:
        raise CommandError(
            f"{cluster.source}: the cluster does not know {resource.kind}; install the CRDs first"
        ) from None
    except Forbidden:
        console.warning(
            f"you may not list {resource.plural} everywhere: names and locations taken in other namespaces than "
            f"{', '.join(sorted(namespaces))} are not seen"
        )

    async def within(namespace: str) -> list[Object]:
        return await cluster.all_of(resource, namespace)

    found: list[Object] = []
    order = sorted(namespaces)
    for namespace, answer in zip(order, await cluster.each(within, order), strict=True):
        if isinstance(answer, ApiError):
            raise CommandError(
                f"list {resource.plural} in namespace {namespace}: {answer}; without reading what is live there is "
                "nothing to compare with"
            ) from None
        found.extend(answer)
    return found
