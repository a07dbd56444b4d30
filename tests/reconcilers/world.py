"""A miniature cluster with the operator's caches on top: raw objects, rows projected from them, plans applied to them.

`World` implements `TargetView` and `BlueprintView`. What reconcilers see is the cache; it follows the objects at once
unless `lag()` holds it back. Writes go through `ssa`, so a plan meets field ownership, removals, uid preconditions and
conflicts as it would on a real server. Objects are garbage collected only when `collect_garbage` is called.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from informers.projection import Projection
from informers.resource import ObjectKey
from reconcilers.annotations import BLUEPRINT as OPT_IN
from reconcilers.defaults import Default
from reconcilers.errors import Refusal
from reconcilers.fields import live_fingerprint
from reconcilers.inheritance import blueprints_of as inherited
from reconcilers.inheritance import coverer, has_nothing, known_names
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS, Family
from reconcilers.location import enclosing
from reconcilers.mapping import claim_index
from reconcilers.namespace import NAMESPACE, NAMESPACES, NamespaceRow
from reconcilers.plan import Apply, ApplyStatus, Delete, Outcome, Plan, State, Step, Wish
from reconcilers.podtemplate import PodTemplate, from_workload
from reconcilers.ports import SecretSight, SecretState, Summary
from reconcilers.reasons import Reason
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
from reconcilers.status import plan_blueprint
from reconcilers.target import plan_target
from tests.reconcilers import ssa

_PROJECTIONS: dict[str, Projection[Any]] = {
    BLUEPRINT.kind: BLUEPRINTS,
    NAMESPACE.kind: NAMESPACES,
    REPOSITORY.kind: REPOSITORIES,
    CONFIGURATION.kind: CONFIGURATIONS,
    **{kind: target_projection(kind) for kind in TARGETS},
}
Object = dict[str, Any]


def key_of(obj: Mapping[str, Any]) -> Key:
    metadata = obj["metadata"]
    return Key(obj["kind"], metadata.get("namespace", ""), metadata["name"])


class World:
    def __init__(self, *objects: Object) -> None:
        self.objects: dict[Key, Object] = {}
        self.missing_kinds: set[str] = set()
        self.time = 1_700_000_000.0
        self.given: tuple[Default, ...] = ()
        self.watched: set[str] | None = None
        self.closed = False
        self.unknown_namespaces: set[str] = set()
        """Those not in the cache. The others exist, whether anybody made them here or not."""
        self.secrets: dict[ObjectKey, SecretSight] = {}
        self.templates: dict[Key, tuple[str, PodTemplate]] = {}
        self.template_reads = 0
        self.writes: Counter[str] = Counter()
        self.pruned: set[str] = set()
        self.claimed: dict[str, str] = {}
        self.remembered: dict[tuple[str, str], str] = {}
        self.outcomes: dict[Key, tuple[Outcome, ...]] = {}
        self._cache: dict[Key, Any] = {}
        self._lagging = False
        self._numbers = itertools.count(1)
        for obj in objects:
            self.create(obj)

    # what people do

    def create(self, obj: Object, *, manager: str = "kubectl") -> Object:
        key = key_of(obj)
        assert key not in self.objects, f"{key} exists"
        fresh = copy.deepcopy(obj)
        number = next(self._numbers)
        fresh["metadata"].update(uid=f"uid-{number}", generation=1, creationTimestamp=_time(number))
        ssa.write_owners(fresh, {(manager, "Update", ""): set(ssa.leaves(fresh))})
        self._store(key, fresh)
        return fresh

    def edit(self, key: Key, change: Callable[[Object], None], *, manager: str = "kubectl") -> None:
        live = self.objects[key]
        new = copy.deepcopy(live)
        change(new)
        updated = ssa.update(live, new, manager=manager)
        if updated.get("spec") != live.get("spec"):
            updated["metadata"]["generation"] += 1
        self._store(key, updated)

    def annotate(self, key: Key, **values: str | None) -> None:
        """Set annotations as in `objects.annotations`; None removes one."""

        def change(obj: Object) -> None:
            found = obj["metadata"].setdefault("annotations", {})
            for name, value in values.items():
                annotation = f"stash.appscode.com/{name.replace('_', '-')}"
                if value is None:
                    found.pop(annotation, None)
                else:
                    found[annotation] = value

        self.edit(key, change)

    def respec(self, name: str, **fields: Any) -> None:
        """Change fields of a blueprint's spec; None removes one."""

        def change(obj: Object) -> None:
            obj["spec"].update(fields)
            obj["spec"] = {field: value for field, value in obj["spec"].items() if value is not None}

        self.edit(Key(BLUEPRINT.kind, "", name), change)

    def delete(self, key: Key) -> None:
        """Delete an object; one with finalizers is only marked."""
        live = self.objects[key]
        if live["metadata"].get("finalizers"):
            live = copy.deepcopy(live)
            live["metadata"]["deletionTimestamp"] = "2024-05-01T00:00:00Z"
            self._store(key, live)
        else:
            del self.objects[key]
            self.refresh()

    def vanish(self, key: Key) -> None:
        """An object is seen no more, whatever became of it."""
        del self.objects[key]
        self.refresh()

    def finalize(self, key: Key) -> None:
        """Take the finalizers away; a deleted object goes."""
        live = copy.deepcopy(self.objects[key])
        live["metadata"].pop("finalizers", None)
        self._store(key, live)
        if "deletionTimestamp" in live["metadata"]:
            self.delete(key)

    def collect_garbage(self) -> None:
        """Delete what has owners none of which exists any more."""
        alive = {obj["metadata"]["uid"] for obj in self.objects.values()}
        for key, obj in list(self.objects.items()):
            owners = obj["metadata"].get("ownerReferences") or ()
            if owners and not any(owner["uid"] in alive for owner in owners):
                self.delete(key)

    def back_up(self, key: Key) -> None:
        """A backup ran: the Repository holds snapshots now."""
        self.edit(key, lambda obj: obj.update(status={"snapshotCount": 3}), manager="stash")

    @contextmanager
    def lag(self) -> Iterator[None]:
        """The caches stand still, while writes go on."""
        self._lagging = True
        try:
            yield
        finally:
            self._lagging = False
            self.refresh()

    def of_kind(self, kind: str) -> list[Object]:
        return [obj for key, obj in sorted(self.objects.items()) if key.kind == kind]

    def repositories(self) -> list[Object]:
        return self.of_kind(REPOSITORY.kind)

    def configurations(self) -> list[Object]:
        return self.of_kind(CONFIGURATION.kind)

    # what the operator does

    def plan(self, key: Key) -> Plan:
        """One plan; a pod template that it needs is read first, a blueprint gets its status planned."""
        if key.kind == BLUEPRINT.kind:
            return plan_blueprint(self, key)
        plan = plan_target(self, key)
        if plan.needs:
            for need in plan.needs:
                obj = self.objects[need.target]
                assert obj["metadata"]["uid"] == need.uid
                self.templates[need.target] = (need.uid, from_workload(obj))
                self.template_reads += 1
            plan = plan_target(self, key)
            assert not plan.needs
        self.outcomes[key] = plan.outcomes
        self.claimed.update((claim.token, claim.owner) for claim in plan.claims)
        if not self._lagging:
            self.claimed.clear()
        return plan

    def execute(self, plan: Plan, *, steps: int | None = None) -> None:
        for step in plan.steps[:steps]:
            self.perform(step)

    def reconcile(self, key: Key) -> Plan:
        """Plan and write; returns the plan."""
        plan = self.plan(key)
        self.execute(plan)
        return plan

    def converge(self, *keys: Key, rounds: int = 5) -> None:
        """Reconcile until nothing is left to write for any of `keys` (default: every target there is)."""
        for _ in range(rounds):
            plans = [self.reconcile(key) for key in keys or self.targets()]
            if not any(plan.steps for plan in plans):
                return
        raise AssertionError(f"still writing after {rounds} rounds: {[plan.steps for plan in plans]}")

    def restart(self) -> None:
        """A new process: only what is on the API server is known."""
        self.templates.clear()
        self.claimed.clear()
        self.remembered.clear()
        self.outcomes.clear()

    def targets(self) -> list[Key]:
        """Everything that can need a reconcile: the targets, and those that our objects speak of."""
        found = {key for key in self.objects if key.kind in TARGETS}
        for row in self._cache.values():
            if isinstance(row, RepositoryRow | ConfigurationRow) and row.mark:
                found.add(row.mark.target)
        return sorted(found)

    def perform(self, step: Step) -> None:
        key = Key(step.resource.kind, step.key.namespace, step.key.name)
        self.writes[f"{type(step).__name__} {key}"] += 1
        match step:
            case Apply():
                live = self.objects.get(key)
                body = copy.deepcopy(dict(step.body))
                version = step.version if step.uid else "no version"
                body["metadata"] |= {"resourceVersion": version} if version else {}
                body["spec"] = {k: v for k, v in body.get("spec", {}).items() if k not in self.pruned}
                new = ssa.apply(live, {k: v for k, v in body.items() if v}, manager=step.manager, force=step.force)
                if live is None:
                    number = next(self._numbers)
                    new["metadata"].update(uid=f"uid-{number}", generation=1, creationTimestamp=_time(number))
                elif new.get("spec") != live.get("spec"):
                    new["metadata"]["generation"] += 1
                self._store(key, new)
                made = live_fingerprint(new, manager=step.manager)
                if step.fingerprint and made != step.fingerprint:
                    self.remembered[new["metadata"]["uid"], step.fingerprint] = made
            case Delete():
                live = self.objects.get(key)
                if live is None or live["metadata"]["uid"] != step.uid:
                    raise ssa.MissingError(f"{key} with uid {step.uid}")
                if step.moved or not self._still_named(step):
                    self.delete(key)
            case ApplyStatus():
                live = copy.deepcopy(self.objects[key])
                assert live["metadata"]["uid"] == step.uid
                live["status"] = _with_times(step.status)
                self._store(key, live)

    def _still_named(self, step: Delete) -> bool:
        """The last look before a deletion: does the live target name the blueprint after all?"""
        obj = self.objects.get(step.target)
        row = target_projection(step.target.kind, whole=True).project(obj) if obj else None
        if row is None or row.annotation(OPT_IN) is not None or not step.inherits:
            return row is not None and step.blueprint in row.blueprints
        space = self.objects.get(Key(NAMESPACE.kind, "", step.target.namespace))
        return space is not None and step.blueprint in known_names(NAMESPACES.project(space))

    # TargetView and BlueprintView

    def target(self, key: Key) -> TargetRow | None:
        row: TargetRow | None = self._cache.get(key)
        return row

    def available(self, kind: str) -> bool:
        return kind in TARGETS and kind not in self.missing_kinds

    def watches(self, namespace: str) -> bool:
        return self.watched is None or namespace in self.watched

    def namespace(self, name: str) -> NamespaceRow | None:
        if not self.sees_namespaces() or name in self.unknown_namespaces:
            return None
        row: NamespaceRow | None = self._cache.get(Key(NAMESPACE.kind, "", name))
        return row or NamespaceRow(name=name, uid=f"uid-of-{name}", resource_version=1)

    def sees_namespaces(self) -> bool:
        return NAMESPACE.kind not in self.missing_kinds

    def requires_allowed_namespaces(self) -> bool:
        return self.closed

    def blueprint(self, name: str) -> BlueprintRow | None:
        row: BlueprintRow | None = self._cache.get(Key(BLUEPRINT.kind, "", name))
        return row

    def repository(self, key: ObjectKey) -> RepositoryRow | None:
        row: RepositoryRow | None = self._cache.get(Key(REPOSITORY.kind, *key))
        return row

    def _repositories(self) -> Iterable[RepositoryRow]:
        return (row for row in self._cache.values() if isinstance(row, RepositoryRow))

    def repositories_of(self, target: Key) -> Iterable[RepositoryRow]:
        return [row for row in self._repositories() if row.mark and row.mark.target == target]

    def repositories_at(self, location: str) -> Iterable[RepositoryRow]:
        return [row for row in self._repositories() if row.location == location]

    def repositories_around(self, location: str) -> Iterable[RepositoryRow]:
        outer = set(enclosing(location))
        return [row for row in self._repositories() if row.location in outer or location in enclosing(row.location)]

    def configuration(self, key: ObjectKey) -> ConfigurationRow | None:
        row: ConfigurationRow | None = self._cache.get(Key(CONFIGURATION.kind, *key))
        return row

    def configurations_covering(self, namespace: str, claim: str) -> Iterable[ConfigurationRow]:
        rows = (row for row in self._cache.values() if isinstance(row, ConfigurationRow))
        return [row for row in rows if (namespace, claim) in claim_index(row)]

    def workloads_in(self, namespace: str) -> Iterable[TargetRow]:
        rows = [row for row in self._cache.values() if isinstance(row, TargetRow)]
        return [row for row in rows if row.namespace == namespace and TARGETS[row.kind].family is Family.WORKLOAD]

    def outcomes_of(self, target: Key) -> tuple[Outcome, ...]:
        return self.outcomes.get(target, ())

    def configurations_of(self, target: Key) -> Iterable[ConfigurationRow]:
        rows = (row for row in self._cache.values() if isinstance(row, ConfigurationRow))
        return [row for row in rows if row.mark and row.mark.target == target]

    def pod_template(self, target: TargetRow) -> PodTemplate | None:
        uid, template = self.templates.get(target.key, ("", None))
        if template is None or uid != target.uid or template.generation != target.generation:
            return None
        return template

    def defaults(self) -> tuple[Default, ...]:
        return self.given

    def now(self) -> float:
        return self.time

    def claimant(self, token: str) -> str | None:
        return self.claimed.get(token)

    def effective(self, uid: str, fingerprint: str) -> str:
        return self.remembered.get((uid, fingerprint), "")

    def storage_secret(self, key: ObjectKey, provider: str, wish: Wish | None) -> SecretSight:
        return self.secrets.get(key, SecretSight(SecretState.UNCHECKED))

    def summary(self, blueprint: str) -> Summary:
        known = [row for row in self._cache.values() if isinstance(row, TargetRow)]
        rows = [
            row
            for row in known
            if blueprint in _blueprints(self, row)
            and not coverer(self, row)
            and not has_nothing(row, self.pod_template(row))
        ]
        found = {
            row.key: outcome
            for row in rows
            for outcome in self.outcomes.get(row.key, ())
            if outcome.blueprint == blueprint
        }
        secrets = {
            o.storage_secret: self.storage_secret(o.storage_secret, "s3", o.wish)
            for o in found.values()
            if o.storage_secret
        }
        return Summary(
            matched=len(rows),
            configured=sum(outcome.state is State.CONFIGURED for outcome in found.values()),
            pending=len(rows) - len(found),
            failures=tuple(sorted((k, o) for k, o in found.items() if o.state is not State.CONFIGURED)),
            secrets=tuple(sorted(secrets.items())),
            shortening=tuple(
                (key, note.message)
                for key, outcome in sorted(found.items())
                for note in outcome.warnings
                if note.reason is Reason.RETENTION_PENDING
            ),
        )

    def _store(self, key: Key, obj: Object) -> None:
        live = self.objects.get(key)
        unchanged = live is not None and _content(live) == _content(obj)
        obj["metadata"]["resourceVersion"] = (
            live["metadata"]["resourceVersion"] if live and unchanged else str(next(self._numbers))
        )
        self.objects[key] = obj
        self.refresh()

    def _project(self, kind: str, obj: Object) -> Any:
        whole = kind in TARGETS and any(
            OPT_IN in (space["metadata"].get("annotations") or {}) for space in self.of_kind(NAMESPACE.kind)
        )
        return (target_projection(kind, whole=True) if whole else _PROJECTIONS[kind]).project(obj)

    def refresh(self) -> None:
        """Look at all objects anew, unless the caches stand still."""
        if self._lagging:
            return
        rows = {key: self._project(key.kind, copy.deepcopy(obj)) for key, obj in self.objects.items()}
        self._cache = {key: row for key, row in rows.items() if row is not None}
        self.claimed.clear()


def _blueprints(world: World, row: TargetRow) -> tuple[str, ...]:
    try:
        return inherited(world, row)
    except Refusal:
        return ()


def _time(number: int) -> str:
    return f"2024-05-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"


def _content(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _with_times(status: Mapping[str, Any]) -> dict[str, Any]:
    conditions = [{"lastTransitionTime": "2024-05-01T00:00:00Z", **item} for item in status.get("conditions", ())]
    return {**copy.deepcopy(dict(status)), "conditions": conditions}
