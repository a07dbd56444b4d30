"""Telling how targets and blueprints stand: what is wrong, where it stands, and what to do about it.

Contract: one line for each finding on stderr, led by the place in the file that has to be changed, with the reason
that the operator's conditions and Events carry. `tell_*` return whether there was a problem.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

from autobackup.console import Console
from autobackup.subjects import BLUEPRINT_FIELDS, Blueprint, Subjects, Target
from reconcilers import annotations as asked
from reconcilers.blueprint import compile_blueprint
from reconcilers.inheritance import known_names
from reconcilers.kinds import TARGETS
from reconcilers.plan import Outcome, Plan, State
from reconcilers.reasons import Reason

_MOST_SHOWN = 8


def tell_blueprint(console: Console, blueprint: Blueprint) -> bool:
    """What is wrong with a blueprint whatever the target is."""
    compiled = compile_blueprint(blueprint.row)
    name = f"BackupBlueprint {blueprint.row.name}"
    for problem in compiled.problems:
        console.error(f"{name}: {problem.reason}: {problem}", where=_where(blueprint, problem.field))
    for warning in compiled.warnings:
        console.warning(f"{name}: {Reason.MAY_COLLIDE}: {warning}", where=_where(blueprint, "spec.backend"))
    for field in blueprint.spec:
        if field not in BLUEPRINT_FIELDS:
            near = difflib.get_close_matches(field, BLUEPRINT_FIELDS, n=1)
            console.warning(
                f"{name}: spec.{field[:80]} is no field of a BackupBlueprint"
                + (f"; did you mean {near[0]}?" if near else ""),
                where=blueprint.manifest.place("spec", field),
            )
    if not blueprint.spec.get("retentionPolicy"):
        console.warning(
            f"{name}: spec.retentionPolicy is missing; the API server refuses a blueprint without it",
            where=blueprint.manifest.place("spec"),
        )
    return bool(compiled.problems)


def tell_target(console: Console, target: Target, plan: Plan, subjects: Subjects, *, named: Collection[str]) -> bool:
    """How a target stands with each of its blueprints; `named` are the blueprints that there are."""
    bad = False
    told: set[str] = set()
    for outcome in plan.outcomes:
        who = f"{target.key}" + (f" with blueprint {outcome.blueprint}" if outcome.blueprint else "")
        blueprint = subjects.blueprints.get(outcome.blueprint)
        if outcome.state is not State.CONFIGURED:
            bad = True
            text = _shortened(outcome, named, told=blueprint is not None)
            console.error(f"{who}: {outcome.reason}: {text}", where=_place(target, blueprint, outcome.message))
        for note in outcome.warnings:
            once = note.reason is Reason.UNKNOWN_ANNOTATION
            if once and note.message in told:
                continue
            told.add(note.message)
            console.warning(
                f"{target.key if once else who}: {note.reason}: {note.message}",
                where=_place(target, blueprint, note.message.removeprefix("annotation ")),
            )
    return bad


def tell_not_annotated(console: Console, subjects: Subjects) -> None:
    """That no target asks for anything, and how one would."""
    names = [str(key) for key, target in subjects.targets.items() if target.row is None]
    blueprint = next(iter(subjects.blueprints), "NAME")
    console.error(
        f"no target names a blueprint: {_listed(names)}; put the annotation {asked.BLUEPRINT}: {blueprint} on it, "
        "or see what would be if it were there with --as-if"
    )


def tell_passed_over(console: Console, subjects: Subjects) -> None:
    """What was given and has no effect, each with its reason."""
    used = {name for target in subjects.targets.values() if target.row for name in target.row.blueprints}
    used.update(name for space in subjects.namespaces.values() for name in known_names(space))
    for name, blueprint in subjects.blueprints.items():
        if name not in used:
            console.note(f"no target names BackupBlueprint {name}", where=blueprint.manifest.place())
    for target in subjects.targets.values():
        if target.controller:
            console.note(
                f"{target.key} belongs to {target.controller}, which is the target to annotate",
                where=target.manifest.place(),
            )
    silent = [str(key) for key, target in subjects.targets.items() if target.row is None and not target.controller]
    if silent:
        console.note(f"passed over, as no blueprint is named: {_listed(silent)}")
    if subjects.others:
        console.note(f"passed over, as these kinds cannot be targets: {_listed(sorted(subjects.others))}")


def what_can_be_a_target() -> str:
    return ", ".join(TARGETS)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


def _shortened(outcome: Outcome, blueprints: Collection[str], *, told: bool) -> str:
    if outcome.reason is Reason.INVALID_BLUEPRINT and told:
        return "the blueprint cannot be used, see above; mend it and its targets follow"
    if outcome.reason is Reason.BLUEPRINT_NOT_FOUND:
        return f"{outcome.message}; given are {_listed(list(blueprints)) or 'none'}"
    return outcome.message


def _place(target: Target, blueprint: Blueprint | None, message: str) -> str:
    """Where to change something: the annotation or the blueprint's field that the message starts with."""
    field = message.split(" ", 1)[0].rstrip(":")
    if field.startswith((asked.PREFIX, asked.PARAMS_PREFIX)):
        return target.manifest.place("metadata", "annotations", field)
    if field.startswith("spec.") and blueprint is not None:
        return _where(blueprint, field)
    return target.manifest.place()


def _where(blueprint: Blueprint, field: str) -> str:
    return blueprint.manifest.place(*field.rstrip(":").split("."))
