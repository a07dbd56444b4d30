"""The informers that auto backup needs, and the view of them that reconcilers look at."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from controller.applier import Applier
from controller.claims import Claims
from controller.outcomes import Outcomes
from controller.reach import Reach
from controller.secretcheck import StorageSecrets
from controller.secretcopies import SecretCopies
from controller.templates import PodTemplates
from informers import InformerFactory, SharedInformer
from informers.clock import Clock
from informers.resource import ObjectKey
from reconcilers import annotations as asked
from reconcilers import inheritance, mapping
from reconcilers.blueprint import provider_in, source_in
from reconcilers.defaults import Default
from reconcilers.errors import Refusal
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS, Family
from reconcilers.location import enclosing
from reconcilers.namespace import NAMESPACE, NAMESPACES, NamespaceRow
from reconcilers.naming import is_subdomain
from reconcilers.plan import Outcome, Wish
from reconcilers.ports import SecretSight, Summary
from reconcilers.rows import (
    BLUEPRINTS,
    CONFIGURATIONS,
    REPOSITORIES,
    BlueprintRow,
    ConfigurationRow,
    RepositoryRow,
    TargetRow,
    target_projection,
)


def _locations(row: RepositoryRow) -> Iterable[str]:
    return (row.location,) if row.location else ()


def _storage_secrets(row: RepositoryRow) -> Iterable[ObjectKey]:
    # Somebody may have written into it what no Secret can be called.
    return (ObjectKey(row.namespace, row.storage_secret),) if is_subdomain(row.storage_secret) else ()


def _enclosing(row: RepositoryRow) -> Iterable[str]:
    return enclosing(row.location) if row.location else ()


@dataclass(frozen=True, slots=True)
class Caches:
    """One informer for each kind that takes part."""

    targets: dict[str, SharedInformer[TargetRow]]
    blueprints: SharedInformer[BlueprintRow]
    repositories: SharedInformer[RepositoryRow]
    configurations: SharedInformer[ConfigurationRow]
    namespaces: SharedInformer[NamespaceRow]
    watched: frozenset[str]
    """The namespaces that are watched; none named means all."""

    @classmethod
    def register(cls, factory: InformerFactory, *, namespaces: Iterable[str], openshift: bool) -> Caches:
        """Ask the factory for all informers. The kinds that decide come first: they get the first streams."""
        watched = frozenset(namespaces)
        blueprints = factory.informer(BLUEPRINT, BLUEPRINTS)
        # Who watches only some namespaces may have been given no right that reaches beyond them.
        spaces = factory.informer(
            NAMESPACE, NAMESPACES, indexes={"blueprint": mapping.namespace_index}, dispensable=bool(watched)
        )
        repositories = factory.informer(
            REPOSITORY,
            REPOSITORIES,
            indexes={
                "target": mapping.mark_index,
                "location": _locations,
                "enclosing": _enclosing,
                "secret": _storage_secrets,
            },
        )
        configurations = factory.informer(
            CONFIGURATION, CONFIGURATIONS, indexes={"target": mapping.mark_index, "claim": mapping.claim_index}
        )
        targets = {
            name: factory.informer(
                kind.resource,
                target_projection(name),
                indexes={"blueprint": mapping.blueprint_index},
                optional=kind.optional,
                after=spaces,
            )
            for name, kind in TARGETS.items()
            if openshift or not kind.openshift
        }
        Reach(targets=targets, blueprints=blueprints, namespaces=spaces)
        return cls(targets, blueprints, repositories, configurations, spaces, watched)


class View:
    """Implements `reconcilers.ports.TargetView` and `BlueprintView` over the caches and what is held in memory."""

    def __init__(
        self,
        caches: Caches,
        *,
        claims: Claims,
        outcomes: Outcomes,
        templates: PodTemplates,
        secrets: StorageSecrets,
        copies: SecretCopies,
        applier: Applier,
        clock: Clock,
        closed: bool = False,
        defaults: tuple[Default, ...] = (),
    ) -> None:
        self._defaults = defaults
        self._clock = clock
        self._caches = caches
        self._closed = closed
        self._outcomes = outcomes
        self._secrets = secrets
        self._copies = copies
        self.claimant = claims.claimant
        self.pod_template = templates.known
        self.effective = applier.effective

    def target(self, key: Key) -> TargetRow | None:
        informer = self._caches.targets.get(key.kind)
        return informer.store.get(ObjectKey(key.namespace, key.name)) if informer else None

    def available(self, kind: str) -> bool:
        informer = self._caches.targets.get(kind)
        return informer is not None and informer.available

    def watches(self, namespace: str) -> bool:
        return not self._caches.watched or namespace in self._caches.watched

    def namespace(self, name: str) -> NamespaceRow | None:
        return self._caches.namespaces.store.get(ObjectKey("", name))

    def sees_namespaces(self) -> bool:
        return self._caches.namespaces.available

    def requires_allowed_namespaces(self) -> bool:
        return self._closed

    def blueprint(self, name: str) -> BlueprintRow | None:
        return self._caches.blueprints.store.get(ObjectKey("", name))

    def repository(self, key: ObjectKey) -> RepositoryRow | None:
        return self._caches.repositories.store.get(key)

    def repositories_of(self, target: Key) -> Iterable[RepositoryRow]:
        return self._caches.repositories.store.index("target", target)

    def repositories_at(self, location: str) -> Iterable[RepositoryRow]:
        return self._caches.repositories.store.index("location", location)

    def repositories_around(self, location: str) -> Iterator[RepositoryRow]:
        store = self._caches.repositories.store
        yield from store.index("enclosing", location)
        for outer in enclosing(location):
            yield from store.index("location", outer)

    def configuration(self, key: ObjectKey) -> ConfigurationRow | None:
        return self._caches.configurations.store.get(key)

    def configurations_covering(self, namespace: str, claim: str) -> Iterable[ConfigurationRow]:
        return self._caches.configurations.store.index("claim", (namespace, claim))

    def configurations_of(self, target: Key) -> Iterable[ConfigurationRow]:
        return self._caches.configurations.store.index("target", target)

    def defaults(self) -> tuple[Default, ...]:
        return self._defaults

    def now(self) -> float:
        return self._clock.wall().timestamp()

    def storage_secret(self, key: ObjectKey, provider: str, wish: Wish | None) -> SecretSight:
        return self._secrets.sight(key, provider) if wish is None else self._copies.sight(key, wish)

    def blueprints_from(self, source: ObjectKey) -> Iterator[str]:
        """The blueprints that name this source."""
        return (row.name for row in self._caches.blueprints.store.rows() if source_in(row) == source)

    def providers(self, blueprints: Iterable[str]) -> set[str]:
        """The backends of blueprints; of one that cannot be used there is none."""
        rows = map(self.blueprint, blueprints)
        return {provider for row in rows if row is not None and (provider := provider_in(row))}

    def targets_of(self, blueprint: str) -> Iterator[Key]:
        """Every target that names this blueprint, and every object whose Namespace does: any may be, or have been, a
        target because of it."""
        for kind, informer in self._caches.targets.items():
            yield from (Key(kind, *key) for key in informer.store.keys("blueprint", blueprint))
        for row in self._heirs(blueprint, self._caches.targets):
            yield row.key

    def claims_in(self, namespace: str) -> Iterator[Key]:
        """Every claim in this namespace that would be a target only because the Namespace asks."""
        informer = self._caches.targets.get(inheritance.CLAIM)
        for row in informer.store.within(namespace) if informer else ():
            if row.annotation(asked.BLUEPRINT) is None:
                yield row.key

    def workloads_in(self, namespace: str) -> Iterator[TargetRow]:
        for kind, informer in self._caches.targets.items():
            if TARGETS[kind].family is Family.WORKLOAD:
                yield from informer.store.within(namespace)

    def outcomes_of(self, target: Key) -> tuple[Outcome, ...]:
        return self._outcomes.of(target)

    def blueprints_of(self, target: TargetRow) -> tuple[str, ...]:
        """The blueprints that a target names, or its Namespace for it; none where that cannot be read."""
        try:
            return inheritance.blueprints_of(self, target)
        except Refusal:
            return ()

    def targets_in(self, namespace: str) -> Iterator[Key]:
        """Every target in this namespace."""
        for informer in self._caches.targets.values():
            yield from (row.key for row in informer.store.within(namespace))

    def _naming(self, blueprint: str) -> Iterator[TargetRow]:
        """The targets that are to be backed up with this blueprint."""
        yield from self._named(blueprint)
        for row in self._heirs(blueprint, inheritance.kinds_of(self.blueprint(blueprint))):
            if not self._is_spared(row):
                yield row

    def _is_spared(self, heir: TargetRow) -> bool:
        """Whether nothing is to be made for an object although its Namespace asks."""
        if heir.kind == inheritance.CLAIM:
            return inheritance.coverer(self, heir) is not None
        return inheritance.has_nothing(heir, self.pod_template(heir)) and not any(self.configurations_of(heir.key))

    def _heirs(self, blueprint: str, kinds: Iterable[str]) -> Iterator[TargetRow]:
        """Objects of these kinds without an annotation of their own whose Namespace names the blueprint."""
        informers = [informer for kind, informer in self._caches.targets.items() if kind in kinds]
        for space in self._caches.namespaces.store.index("blueprint", blueprint):
            for informer in informers:
                for row in informer.store.within(space.name):
                    if row.annotation(asked.BLUEPRINT) is None:
                        yield row

    def _named(self, blueprint: str) -> Iterator[TargetRow]:
        for informer in self._caches.targets.values():
            store = informer.store
            yield from (row for row in map(store.get, store.keys("blueprint", blueprint)) if row is not None)

    def generation_of(self, blueprint: str) -> int:
        row = self.blueprint(blueprint)
        return row.generation if row else 0

    def counting(self, blueprint: str) -> Generator[None, None, Summary]:
        """How the targets of a blueprint stand, with a pause after each share of them."""
        row = self.blueprint(blueprint)
        provider, source = (provider_in(row), source_in(row)) if row else ("", None)
        copied = self._copies.source_sight(source, blueprint=blueprint, provider=provider) if source else None
        unseen = [copied.key] if copied is not None and copied.problem is None else []

        def sight(key: ObjectKey, wish: Wish | None) -> SecretSight:
            if not (self._secrets if wish is None else self._copies).looked_at(key):
                unseen.append(key)
            return self.storage_secret(key, provider, wish)

        summary = yield from self._outcomes.counting(
            blueprint,
            generation=row.generation if row else 0,
            # What is being deleted is left alone and waits for nothing; a volume in use may stay like that for days.
            matched=(row.key for row in self._naming(blueprint) if not row.deleting),
            secret=sight,
        )
        return replace(summary, source=copied, unseen=bool(unseen))
