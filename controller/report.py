"""What people are told after a reconcile: Events on the target, about what changed and nothing else.

A write that took effect is told once. An outcome is told when it is not as it was: a failure with its reason, a
recovery, a new warning. The first look at a target after a start tells nothing that is already known: neither what is
as it should be, nor a failure that the blueprint's status already lists. What else it finds was told before, most
probably, and says so (`EventIntent.found`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from controller.outcomes import Change
from reconcilers.keys import Key, ObjectRef
from reconcilers.plan import Apply, Delete, EventIntent, Outcome, State
from reconcilers.reasons import Reason
from reconcilers.rows import BlueprintRow


def written(step: Apply | Delete, uid: str, subject: ObjectRef) -> EventIntent | None:
    """The Event about a write that took effect."""
    if step.event is None:
        return None
    ref = ObjectRef(step.resource.api_version, step.resource.kind, step.key.namespace, step.key.name, uid)
    what = f"{ref.kind} {ref.namespace}/{ref.name}"
    notes = {
        Reason.REPOSITORY_CREATED: f"Created {what} (blueprint {step.blueprint})",
        Reason.REPOSITORY_UPDATED: f"Updated {what} (blueprint {step.blueprint})",
        Reason.REPOSITORY_SUCCEEDED: f"Created {what}: the backend of blueprint {step.blueprint} changed; "
        "the Repository used so far and its data are kept",
        Reason.CONFIGURATION_CREATED: f"Created {what} (blueprint {step.blueprint})",
        Reason.CONFIGURATION_UPDATED: f"Updated {what} (blueprint {step.blueprint})",
        Reason.CLAIM_COVERED: f"Deleted {what}: a workload backs the claim up already; Repository and data are kept",
        Reason.CONFIGURATION_SUSPENDED: f"Suspended {what}: the target may not use blueprint {step.blueprint}; "
        "Repository and data are kept",
        Reason.CONFIGURATION_RESUMED: f"Resumed {what}: the target may use blueprint {step.blueprint} again",
        Reason.CONFIGURATION_DELETED: f"Deleted {what}: blueprint {step.blueprint} is no longer named; "
        "Repository and data are kept",
    }
    return EventIntent(
        regarding=subject,
        type="Warning" if step.event.warning else "Normal",
        reason=step.event.value,
        action="Delete" if isinstance(step, Delete) else "Apply",
        note=notes[step.event],
        related=ref,
    )


def changed(
    changes: Iterable[Change],
    *,
    target: Key,
    subject: ObjectRef,
    wrote: bool,
    known: Iterable[BlueprintRow | None],
    starting: bool,
) -> Iterator[EventIntent]:
    """The Events about outcomes that changed. `known` are the blueprints, whose status lists failures told before;
    `starting`: the target was there when the operator started, and this is the first look at it."""
    told = {entry for row in known if row is not None for entry in _listed(row)}
    for change in changes:
        before, after = change.before, change.after
        first_look = before is None and not wrote
        if after.state is State.FAILED or after.reason is Reason.BEING_DELETED:
            # By state as well: what was tried again in silence is told when it has failed for good.
            same = before is not None and _gist(before) == _gist(after)
            entry = (target.kind, target.namespace, target.name, after.reason.value)
            if not same and not (first_look and entry in told):
                yield _event(subject, after.reason, after.message, after, found=starting and before is None)
        elif before is not None and before.state is State.FAILED:
            yield _event(subject, after.reason, after.message, after)
        if first_look:
            continue
        old = set(before.warnings) if before else set()
        for note in after.warnings:
            if note not in old:
                yield _event(subject, note.reason, note.message, after)


def _gist(outcome: Outcome) -> tuple[State, Reason, str]:
    return outcome.state, outcome.reason, outcome.message


def _event(subject: ObjectRef, reason: Reason, message: str, outcome: Outcome, *, found: bool = False) -> EventIntent:
    prefix = f"Blueprint {outcome.blueprint}: " if outcome.blueprint else ""
    return EventIntent(
        regarding=subject,
        type="Warning" if reason.warning else "Normal",
        reason=reason.value,
        action="Resolve",
        note=prefix + message,
        found=found,
    )


def _listed(row: BlueprintRow) -> Iterator[tuple[str, str, str, str]]:
    for failure in json.loads(row.status or "{}").get("failures") or ():
        yield (
            failure.get("kind", ""),
            failure.get("namespace", ""),
            failure.get("name", ""),
            failure.get("reason", ""),
        )
