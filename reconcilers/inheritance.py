"""What a Namespace asks for its objects: which of them are targets although they carry no annotation themselves.

The annotation `stash.appscode.com/backup-blueprint` on a Namespace makes every object of the kinds that the blueprint
lists in `spec.targetKinds` a target. An object's own annotation always decides: it names other blueprints, or "-" for
none. A claim that a workload of the namespace backs up already is left to that, and taken up when the workload goes.

Claims that a StatefulSet makes from a template are known by a pattern, `data-web-*`, because how many there are is not
in the template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconcilers import annotations as asked
from reconcilers import podtemplate
from reconcilers.blueprint import DEFAULT_TARGET_KINDS, compile_blueprint
from reconcilers.errors import Refusal
from reconcilers.namespace import NamespaceRow
from reconcilers.plan import State
from reconcilers.podtemplate import PodTemplate
from reconcilers.ports import TargetView
from reconcilers.reasons import Reason
from reconcilers.rows import BlueprintRow, ConfigurationRow, TargetRow

CLAIM = "PersistentVolumeClaim"
_NUMBERED = re.compile(r"(.+)-[0-9]+")


def names_of(namespace: NamespaceRow | None) -> tuple[str, ...]:
    """The blueprints that a Namespace names; raises a Refusal that says it was the Namespace."""
    value = namespace.annotation(asked.BLUEPRINT) if namespace is not None else None
    if namespace is None or value is None:
        return ()
    try:
        return asked.blueprint_names(value)
    except Refusal as refusal:
        raise Refusal(
            Reason.INVALID_ANNOTATION,
            f"Namespace {namespace.name}, {asked.BLUEPRINT}",
            "does not name BackupBlueprints",
            value=value,
            hint="correct or remove it; what was applied before stays",
        ) from refusal


def known_names(namespace: NamespaceRow | None) -> tuple[str, ...]:
    """The blueprints that a Namespace names; none when the annotation cannot be read."""
    try:
        return names_of(namespace)
    except Refusal:
        return ()


def blueprints_of(view: TargetView, target: TargetRow) -> tuple[str, ...]:
    """The blueprints that are to be used for a target, by its own annotation or its Namespace's; raises Refusal.

    Whether somebody else backs the target up already is not asked.
    """
    own = target.annotation(asked.BLUEPRINT)
    if own is not None:
        return asked.blueprint_names(own)
    names = names_of(view.namespace(target.namespace))
    return tuple(name for name in names if target.kind in kinds_of(view.blueprint(name)))


def kinds_of(blueprint: BlueprintRow | None) -> tuple[str, ...]:
    """The kinds that become targets where a Namespace names this blueprint."""
    return DEFAULT_TARGET_KINDS if blueprint is None else compile_blueprint(blueprint).target_kinds


def takes_claims(view: TargetView, namespace: str) -> bool:
    """Whether claims of the namespace are targets by themselves, so that it matters who else backs them up."""
    return any(CLAIM in kinds_of(view.blueprint(name)) for name in known_names(view.namespace(namespace)))


def coverer(view: TargetView, target: TargetRow) -> ConfigurationRow | None:
    """What backs up this claim already, if it is one and would only be a target because of its Namespace."""
    if target.kind != CLAIM or target.annotation(asked.BLUEPRINT) is not None:
        return None
    for claim in patterns(target.name):
        for row in view.configurations_covering(target.namespace, claim):
            return row
    return None


def awaits_workloads(view: TargetView, target: TargetRow) -> bool:
    """Whether a workload of the namespace, not yet seen to, may turn out to back this claim up."""
    if target.kind != CLAIM or target.annotation(asked.BLUEPRINT) is not None:
        return False
    return any(_is_undecided(view, workload) for workload in view.workloads_in(target.namespace))


def _is_undecided(view: TargetView, workload: TargetRow) -> bool:
    """Whether it is not known yet which claims a workload backs up. One that cannot be configured backs up none."""
    try:
        if workload.deleting or not blueprints_of(view, workload):
            return False
    except Refusal:
        return False
    live = [row for row in view.configurations_of(workload.key) if not row.deleting]
    if live and all(row.suspension or not row.pod_template or _knows_claims(row.pod_template) for row in live):
        return False
    if not live and has_nothing(workload, view.pod_template(workload)):
        return False
    outcomes = view.outcomes_of(workload.key)
    return not outcomes or any(outcome.state is State.CONFIGURED for outcome in outcomes)


def has_nothing(target: TargetRow, template: PodTemplate | None) -> bool:
    """Whether a workload is no target after all: only its Namespace asks, and it has no volume that could be meant."""
    if template is None or any(
        target.annotation(key) is not None for key in (asked.BLUEPRINT, asked.PATHS, asked.MOUNTS)
    ):
        return False
    return not any(volume.persistent and (volume.mounts or volume.expanded) for volume in template.volumes)


def _knows_claims(record: str) -> bool:
    """Whether the facts of a pod template, as they are written down, say which claims it has."""
    recorded = podtemplate.recall(record)
    return recorded is None or recorded.knows_claims


def patterns(claim: str) -> Iterator[str]:
    """What may be written down for a claim of this name."""
    yield claim
    numbered = _NUMBERED.fullmatch(claim)
    if numbered:
        yield f"{numbered[1]}-*"
