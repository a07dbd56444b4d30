"""The reconciler of targets: from an annotated object to its Repositories and BackupConfigurations.

Each blueprint that a target names is planned on its own: one that cannot be used leaves its last good objects as they
are and does not stand in the way of the others. One that the target may not use is another matter: what was made for it
is suspended. Opting out is the removal of a name from the annotation, or of the annotation, and nothing else: whatever
cannot be understood keeps what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from informers.resource import ObjectKey
from reconcilers import annotations as asked
from reconcilers import (
    backupconfiguration,
    declared,
    grace,
    inheritance,
    permission,
    podtemplate,
    registry,
    repository,
    storagesecret,
    suspension,
)
from reconcilers.blueprint import Blueprint, compile_blueprint
from reconcilers.errors import Refusal
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION
from reconcilers.plan import Claim, Delete, Note, Outcome, Plan, ReadPodTemplate, State, Step
from reconcilers.podtemplate import PodTemplate
from reconcilers.ports import Claimant, TargetView
from reconcilers.reasons import Reason
from reconcilers.resolve import Resolved, needs_pod_template, resolve
from reconcilers.rows import ConfigurationRow, TargetRow
from reconcilers.surroundings import annotations_around

_WAITING = frozenset({Reason.BEING_DELETED})
_WORKLOADS_FIRST = "which claims the workloads of the namespace back up is not known yet"

AGAIN_SECONDS = 1.0
"""When a claim is looked at again that waits for the workloads of its namespace."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one blueprint contributes to the plan of a target."""

    outcome: Outcome
    steps: tuple[Step, ...] = ()
    successions: tuple[Step, ...] = ()
    deletions: tuple[Delete, ...] = ()
    claims: tuple[Claim, ...] = ()
    due: float | None = None


def plan_target(view: TargetView, key: Key) -> Plan:
    """What to do about one target. Pure: the same view gives the same plan."""
    row = view.target(key)
    live = tuple(view.configurations_of(key))
    if row is None:
        seen = view.available(key.kind) and view.watches(key.namespace)
        return Plan(steps=_deletions(view, live, key=key, wanted=())) if seen else Plan()
    if row.deleting:
        return Plan(subject=row.ref)
    try:
        blueprints = inheritance.blueprints_of(view, row)
    except Refusal as refusal:
        outcome = Outcome("", State.FAILED, refusal.reason, str(refusal))
        return Plan(outcomes=(outcome,), subject=row.ref)
    covered = bool(blueprints) and inheritance.coverer(view, row) is not None
    if blueprints and not (covered or live) and inheritance.awaits_workloads(view, row):
        # A Repository that is made now may be of no use in a moment.
        outcomes = tuple(Outcome(name, State.WAITING, Reason.WORKLOADS_FIRST, _WORKLOADS_FIRST) for name in blueprints)
        return Plan(outcomes=outcomes, requeue_after=AGAIN_SECONDS, subject=row.ref)
    if covered or not blueprints:
        return Plan(steps=_deletions(view, live, key=key, wanted=(), covered=covered), subject=row.ref)

    template = None
    if needs_pod_template(row):
        template = _known_template(view, row, live, with_claims=inheritance.takes_claims(view, row.namespace))
        if template is None and any(_gets_to_the_template(view, row, name) for name in blueprints):
            return Plan(needs=(ReadPodTemplate(key, row.uid, row.generation, row.resource_version),), subject=row.ref)
        if not live and inheritance.has_nothing(row, template):
            return Plan(subject=row.ref)

    notes = tuple(
        Note(Reason.UNKNOWN_ANNOTATION, text)
        for text in registry.without_effect((name for name, _ in row.annotations), kind=row.kind)
    )
    claimed: dict[str, str] = {}

    def claimant(token: str) -> str | None:
        owner = claimed.get(token) or view.claimant(token)
        given_up = owner is not None and repository.is_given_up(owner, target=key, blueprints=blueprints)
        return None if given_up else owner

    parts = []
    for name in blueprints:
        part = _plan_one(
            claimant,
            view,
            row,
            blueprint=name,
            blueprints=blueprints,
            live=live,
            template=template,
            notes=notes,
        )
        claimed.update((claim.token, claim.owner) for claim in part.claims)
        parts.append(part)
    deletions = tuple(step for part in parts for step in part.deletions)
    left_over: tuple[Step, ...] = ()
    if not _replacement_pending(parts, live):
        taken_over = {step.key for part in parts for step in part.steps if step.resource == CONFIGURATION}
        deletions += _deletions(view, live, key=key, wanted=blueprints, spared=taken_over)
    else:
        left_over = _suspend_left_over(view, row, live, blueprints=blueprints)
    # What one blueprint leaves behind another may go on with: only when all have chosen is it clear what has retired.
    serving = {part.outcome.repository for part in parts}
    successions = tuple(step for part in parts for step in part.successions if step.key not in serving)
    return Plan(
        steps=tuple(step for part in parts for step in part.steps) + left_over + successions + deletions,
        outcomes=tuple(part.outcome for part in parts),
        claims=tuple(claim for part in parts for claim in part.claims),
        due=min((part.due for part in parts if part.due is not None), default=None),
        subject=row.ref,
    )


def _gets_to_the_template(view: TargetView, row: TargetRow, blueprint: str) -> bool:
    """Whether only the pod template is missing: a target that is refused without it is not read at every restart."""
    found = view.blueprint(blueprint)
    try:
        if found is None:
            return False
        compiled = compile_blueprint(found)
        _require_permission(view, row, compiled)
        return resolve(row, compiled, None, around=annotations_around(view, row), defaults=view.defaults()) is not None
    except Refusal:
        return False


def _require_permission(view: TargetView, row: TargetRow, blueprint: Blueprint) -> None:
    permission.check(
        blueprint.allowed,
        blueprint=blueprint.name,
        namespace=row.namespace,
        row=view.namespace(row.namespace),
        seen=view.sees_namespaces(),
        required=view.requires_allowed_namespaces(),
    )


def _suspend_left_over(
    view: TargetView, row: TargetRow, live: Sequence[ConfigurationRow], *, blueprints: Sequence[str]
) -> tuple[Step, ...]:
    """Suspend what goes on only because its replacement cannot be made, if its blueprint may not be used any more."""
    steps: list[Step] = []
    for name in dict.fromkeys(each.mark.blueprint for each in live if each.mark):
        found = view.blueprint(name) if name not in blueprints else None
        if found is not None:
            try:
                _require_permission(view, row, compile_blueprint(found))
            except Refusal as refusal:
                steps += suspension.suspend(live, blueprint=name, reason=refusal.reason)
    return tuple(steps)


def _known_template(
    view: TargetView, row: TargetRow, live: Sequence[ConfigurationRow], *, with_claims: bool
) -> PodTemplate | None:
    """The pod template at the row's generation: as recorded on a BackupConfiguration, else as read before."""
    for configuration in live:
        if configuration.pod_template and configuration.mark and configuration.mark.target_uid == row.uid:
            recorded = podtemplate.recall(configuration.pod_template)
            if recorded and recorded.generation == row.generation and (recorded.knows_claims or not with_claims):
                return recorded
    return view.pod_template(row)


def _replacement_pending(parts: Sequence[_Part], live: Sequence[ConfigurationRow]) -> bool:
    """Whether a blueprint that the target names has nothing in place and cannot be used now.

    Then what the target had before stays: the name of a blueprint may be misspelt, and a target must not lose its
    backups over it.
    """
    in_place = {row.mark.blueprint for row in live if row.mark}
    return any(part.outcome.state is not State.CONFIGURED and part.outcome.blueprint not in in_place for part in parts)


def _plan_one(
    claimant: Claimant,
    view: TargetView,
    row: TargetRow,
    *,
    blueprint: str,
    blueprints: Sequence[str],
    live: Sequence[ConfigurationRow],
    template: PodTemplate | None,
    notes: tuple[Note, ...],
) -> _Part:
    mine = [other for other in live if other.mark and other.mark.blueprint == blueprint]
    permitted = False
    try:
        found = view.blueprint(blueprint)
        if found is None:
            raise Refusal(
                Reason.BLUEPRINT_NOT_FOUND,
                asked.BLUEPRINT,
                "no BackupBlueprint has this name",
                value=blueprint,
                hint="create it or correct the annotation; nothing that was applied before is deleted",
            )
        compiled = compile_blueprint(found)
        _require_permission(view, row, compiled)
        permitted = True
        strange = declared.undeclared(compiled.variables, row.annotations, blueprint=blueprint)
        notes += tuple(Note(Reason.UNKNOWN_ANNOTATION, text) for text in strange)
        resolved = resolve(
            row, compiled, template, around=annotations_around(view, row, mine), defaults=view.defaults()
        )
        for namespace in (resolved.repository_namespace, resolved.configuration_namespace):
            if not view.watches(namespace):
                raise Refusal(
                    Reason.NAMESPACE_NOT_WATCHED,
                    f"BackupBlueprint {blueprint}",
                    "puts objects into a namespace that this operator does not watch",
                    value=namespace,
                    hint="add it to the operator's namespaces",
                )
        repo = repository.choose(
            claimant, view, target=row.key, blueprint=blueprint, blueprints=blueprints, resolved=resolved
        )
        configuration = backupconfiguration.choose(
            claimant,
            view,
            target=row,
            blueprint=blueprint,
            blueprints=blueprints,
            namespace=resolved.configuration_namespace,
            live=live,
        )
    except Refusal as refusal:
        outcome = Outcome(blueprint, _state_of(view, refusal), refusal.reason, str(refusal), warnings=notes)
        if permission.is_denied(outcome):
            return _Part(outcome, steps=tuple(suspension.suspend(mine, blueprint=blueprint, reason=refusal.reason)))
        return _Part(
            outcome, steps=tuple(step for each in mine for step in suspension.resume(each)) if permitted else ()
        )

    standing = storagesecret.stand(view, blueprint=blueprint, resolved=resolved)
    repository_steps = repository.steps(view, repo, target=row.key, blueprint=blueprint, resolved=resolved)
    waits = configuration.live is None or bool(suspension.resume(configuration.live))
    if waits and standing.state is not State.CONFIGURED:
        (note,) = standing.notes
        outcome = Outcome(
            blueprint=blueprint,
            state=standing.state,
            reason=note.reason,
            message=note.message,
            repository=repo.key,
            storage_secret=standing.key,
            wish=standing.wish,
            warnings=notes,
        )
        return _Part(outcome, tuple(repository_steps), claims=repo.claims + configuration.claims)
    retention = backupconfiguration.retention_in_force(view, configuration, resolved=resolved, blueprint=compiled)
    wanted, fingerprint = backupconfiguration.body(
        configuration,
        target=row,
        blueprint=blueprint,
        repository=repo.key,
        resolved=resolved,
        template=template,
        retention=retention,
        with_claims=inheritance.takes_claims(view, row.namespace),
    )
    steps: list[Step] = [
        *repository_steps,
        *backupconfiguration.steps(view, configuration, wanted=wanted, fingerprint=fingerprint, blueprint=blueprint),
        *suspension.resume(configuration.live),
    ]
    moved = [other for other in mine if other.key != configuration.key]
    return _Part(
        outcome=Outcome(
            blueprint=blueprint,
            state=State.CONFIGURED,
            reason=Reason.CONFIGURED,
            message=f"Repository {repo.key.namespace}/{repo.key.name} and BackupConfiguration "
            f"{configuration.key.namespace}/{configuration.key.name} are in place",
            repository=repo.key,
            configuration=configuration.key,
            storage_secret=standing.key,
            wish=standing.wish,
            warnings=notes + tuple(_warnings(view, resolved, repo.key, retention)) + standing.notes,
        ),
        due=retention.until - view.now() if retention.pending is not None else None,
        steps=tuple(steps),
        successions=tuple(repository.successions(repo, blueprint=blueprint)),
        deletions=tuple(_deletion(other, row.key, moved=True) for other in moved if not other.deleting),
        claims=repo.claims + configuration.claims,
    )


def _state_of(view: TargetView, refusal: Refusal) -> State:
    soon = refusal.reason is Reason.NAMESPACE_UNKNOWN and view.sees_namespaces()
    return State.WAITING if soon or refusal.reason in _WAITING else State.FAILED


def _warnings(view: TargetView, resolved: Resolved, repo: ObjectKey, retention: grace.InForce) -> list[Note]:
    found = []
    if retention.pending is not None:
        found.append(Note(Reason.RETENTION_PENDING, retention.told()))
    if "schedule" not in resolved.configuration:
        found.append(
            Note(
                Reason.NO_SCHEDULE,
                f"no schedule: set spec.schedule of the blueprint or the annotation {asked.SCHEDULE}",
            )
        )
    return [*found, *repository.neighbours(view, repo, resolved.location)]


def _deletions(
    view: TargetView,
    live: Sequence[ConfigurationRow],
    *,
    key: Key,
    wanted: Sequence[str],
    covered: bool = False,
    spared: frozenset[ObjectKey] | set[ObjectKey] = frozenset(),
) -> tuple[Delete, ...]:
    """Deletion of each live BackupConfiguration whose blueprint the target does not name any more."""
    return tuple(
        _deletion(row, key, covered=covered, inherits=_may_inherit(view, key.kind, row.mark.blueprint))
        for row in live
        if row.mark and row.mark.blueprint not in wanted and row.key not in spared and not row.deleting
    )


def _may_inherit(view: TargetView, kind: str, blueprint: str) -> bool:
    """Whether an object of this kind is a target wherever its Namespace names this blueprint."""
    found = view.blueprint(blueprint)
    return view.sees_namespaces() and (found is None or kind in inheritance.kinds_of(found))


def _deletion(
    row: ConfigurationRow, target: Key, *, moved: bool = False, covered: bool = False, inherits: bool = False
) -> Delete:
    assert row.mark is not None
    told = Reason.CLAIM_COVERED if covered else Reason.CONFIGURATION_DELETED
    return Delete(
        resource=CONFIGURATION,
        key=row.key,
        uid=row.uid,
        target=target,
        target_uid=row.mark.target_uid,
        blueprint=row.mark.blueprint,
        moved=moved,
        inherits=inherits and not covered,
        event=None if moved else told,
    )
