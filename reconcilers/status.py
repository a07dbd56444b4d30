"""The reconciler of blueprints: the status that tells an admin how a blueprint and its targets stand.

`Ready` speaks of the blueprint alone, so that one target's bad annotation does not make a blueprint unready for all;
how the targets stand is `TargetsConfigured`, the counts and the bounded list of failures. `Reconciling` and `Stalled`
follow kstatus: both abnormal when True. The remaining conditions warn.

While targets are being brought up to date the counts are written at most once a second or so; after a restart, while
every target, and every storage Secret, is looked at for the first time, nothing is written that would only be written
back a moment later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from informers.resource import ObjectKey
from reconcilers.blueprint import Blueprint, compile_blueprint
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT
from reconcilers.plan import ApplyStatus, EventIntent, Plan
from reconcilers.ports import MOST_FAILURES, BlueprintView, SecretState, Summary
from reconcilers.reasons import Reason
from reconcilers.rows import BlueprintRow, Condition, canonical

PROGRESS_SECONDS = 1.0
"""How often the status of a blueprint is written while its targets are being brought up to date."""

_MOST_SECRETS = 50
_LONGEST_MESSAGE = 1024

CONDITIONS: tuple[tuple[str, str], ...] = (
    ("Ready", "The blueprint is valid: targets that name it are configured from it."),
    ("Reconciling", "Targets are still being brought up to date with the blueprint."),
    ("Stalled", "The blueprint cannot be used for any target until somebody changes it."),
    (
        "TargetsConfigured",
        "Every target that names the blueprint has its Repository and BackupConfiguration.",
    ),
    ("LocationDistinct", "The location template tells any two targets apart; False is a warning."),
    (
        "StorageSecretsFound",
        "The storage Secret exists, with the keys that its backend needs, wherever a Repository uses it; Unknown when "
        "not looked at.",
    ),
    (
        "RetentionPending",
        "A target is to keep fewer snapshots than now, and its grace period has not passed. Absent otherwise.",
    ),
    (
        "StorageSecretSource",
        "The Secret that storage Secrets are copied from exists and consents; only where the blueprint names one.",
    ),
)


_OURS = frozenset(name for name, _ in CONDITIONS)
_WITH_EVENTS = ("Ready", "TargetsConfigured", "StorageSecretsFound", "StorageSecretSource", "LocationDistinct")
_NOT_COPIED = (SecretState.FORBIDDEN, SecretState.CONFLICT)


def plan_blueprint(view: BlueprintView, key: Key) -> Plan:
    """What to write into the status of one blueprint, if anything."""
    row = view.blueprint(key.name)
    if row is None or row.deleting:
        return Plan()
    summary = view.summary(key.name)
    before = tuple(condition for condition in row.conditions if condition.type in _OURS)
    if (summary.pending or summary.unseen) and before and _settled(before, row.generation):
        return Plan(requeue_after=PROGRESS_SECONDS)
    blueprint = compile_blueprint(row)
    conditions = _conditions(row, blueprint, summary)
    rest = _rest(row, summary)
    requeue = PROGRESS_SECONDS if summary.pending else None
    if conditions == before and _contains(row.status, rest):
        return Plan(requeue_after=requeue)
    status = {**rest, "conditions": [_as_json(condition, row) for condition in conditions]}
    return Plan(
        steps=(ApplyStatus(BLUEPRINT, ObjectKey("", row.name), row.uid, status),),
        events=tuple(_events(row, conditions)),
        requeue_after=requeue,
        subject=row.ref,
    )


def _settled(conditions: tuple[Condition, ...], generation: int) -> bool:
    """Whether the status on record speaks of this generation and of targets that all were up to date."""
    return all(
        condition.observed_generation == generation and (condition.type != "Reconciling" or condition.status == "False")
        for condition in conditions
    )


def _contains(status: str, rest: Mapping[str, Any]) -> bool:
    """Whether a status on record has all of `rest`; what somebody else put there besides is no reason to write."""
    live = json.loads(status) if status else {}
    return all(canonical(live.get(name)) == canonical(value) for name, value in rest.items())


def _conditions(row: BlueprintRow, blueprint: Blueprint, summary: Summary) -> tuple[Condition, ...]:
    invalid = blueprint.invalid
    found = [
        _condition(row, "Ready", not invalid, Reason.INVALID_TEMPLATE if invalid else Reason.RESOLVED, invalid),
        _condition(row, "Stalled", bool(invalid), Reason.INVALID_TEMPLATE if invalid else Reason.RESOLVED, invalid),
        _condition(
            row,
            "Reconciling",
            summary.pending > 0,
            Reason.ROLLING_OUT if summary.pending else Reason.UP_TO_DATE,
            f"{summary.pending} of {summary.matched} targets are still to be looked at" if summary.pending else "",
        ),
        _targets_configured(row, summary),
        _condition(
            row,
            "LocationDistinct",
            not blueprint.warnings,
            Reason.MAY_COLLIDE if blueprint.warnings else Reason.DISTINCT,
            "; ".join(blueprint.warnings),
        ),
        _secrets_found(row, summary),
        *_retention_pending(row, summary),
        *_source(row, summary),
    ]
    return tuple(sorted(found, key=lambda condition: condition.type))


def _targets_configured(row: BlueprintRow, summary: Summary) -> Condition:
    if summary.failures:
        target, outcome = summary.failures[0]
        message = f"{summary.failed} of {summary.matched} targets failed; {target}: {outcome.message}"
        return _condition(row, "TargetsConfigured", False, Reason.TARGETS_FAILED, message)
    if summary.pending:
        message = f"{summary.configured} of {summary.matched} targets are configured"
        return _condition(row, "TargetsConfigured", None, Reason.ROLLING_OUT, message)
    if not summary.matched:
        return _condition(row, "TargetsConfigured", True, Reason.NO_TARGETS, "no target names this blueprint yet")
    return _condition(
        row,
        "TargetsConfigured",
        True,
        Reason.ALL_CONFIGURED,
        f"{summary.configured} target{' is' if summary.configured == 1 else 's are'} configured",
    )


def _retention_pending(row: BlueprintRow, summary: Summary) -> list[Condition]:
    if not summary.shortening:
        return []
    target, told = summary.shortening[0]
    more = f"; and {len(summary.shortening) - 1} more" if len(summary.shortening) > 1 else ""
    return [_condition(row, "RetentionPending", True, Reason.GRACE_PERIOD, f"{target}: {told}{more}")]


def _source(row: BlueprintRow, summary: Summary) -> list[Condition]:
    if summary.source is None:
        return []
    key, problem = summary.source.key, summary.source.problem
    if problem is None:
        return [_condition(row, "StorageSecretSource", None, Reason.SOURCE_UNKNOWN, f"{key} was not looked at yet")]
    if problem:
        return [_condition(row, "StorageSecretSource", False, Reason.SOURCE_UNUSABLE, problem)]
    message = (
        f"copied from {key} to {len(summary.secrets)} Secret{'s' if len(summary.secrets) > 1 else ''}"
        if summary.secrets
        else f"{key} can be copied; no target needs it yet"
    )
    return [_condition(row, "StorageSecretSource", True, Reason.SOURCE_READY, message)]


def _secrets_found(row: BlueprintRow, summary: Summary) -> Condition:
    missing = [f"{key.namespace}/{key.name}" for key, sight in summary.secrets if sight.state is SecretState.MISSING]
    incomplete = [
        f"{key.namespace}/{key.name} lacks {', '.join(sight.missing)}"
        for key, sight in summary.secrets
        if sight.state is SecretState.INCOMPLETE
    ]
    unchecked = [key for key, sight in summary.secrets if sight.state is SecretState.UNCHECKED]
    if missing:
        # By hand they would be in the way of the copies.
        mend = "see StorageSecretSource: they are copied" if summary.source else "create them and backups can run"
        message = f"missing: {_first(missing)}; {mend}"
        return _condition(row, "StorageSecretsFound", False, Reason.SECRETS_MISSING, message)
    if incomplete:
        message = f"{_first(incomplete)}; add the keys and backups can run"
        return _condition(row, "StorageSecretsFound", False, Reason.SECRETS_INCOMPLETE, message)
    failed = [sight.note for _, sight in summary.secrets if sight.state in _NOT_COPIED]
    if failed:
        message = f"{len(failed)} of {len(summary.secrets)} copies cannot be made: {failed[0]}"
        return _condition(row, "StorageSecretsFound", False, Reason.SECRETS_NOT_COPIED, message)
    if unchecked:
        message = (
            f"not looked at in {len(unchecked)} of {len(summary.secrets)} namespaces: the operator has no right to "
            "read the Secret there, or is configured not to look"
        )
        return _condition(row, "StorageSecretsFound", None, Reason.SECRETS_UNCHECKED, message)
    return _condition(
        row,
        "StorageSecretsFound",
        True,
        Reason.SECRETS_FOUND,
        f"found in {len(summary.secrets)} namespaces" if summary.secrets else "no target needs it yet",
    )


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _condition(row: BlueprintRow, name: str, status: bool | None, reason: Reason, message: str) -> Condition:
    return Condition(
        type=name,
        status="Unknown" if status is None else str(status),
        reason=reason.value,
        message=message[:_LONGEST_MESSAGE],
        observed_generation=row.generation,
    )


def _as_json(condition: Condition, row: BlueprintRow) -> dict[str, Any]:
    """A condition as the API has it; `lastTransitionTime` only when it can be kept, else the applier sets it."""
    before = next((old for old in row.conditions if old.type == condition.type), None)
    found: dict[str, Any] = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": condition.observed_generation,
    }
    if before is not None and before.status == condition.status and before.since:
        found["lastTransitionTime"] = before.since
    return found


def _rest(row: BlueprintRow, summary: Summary) -> dict[str, Any]:
    return {
        "observedGeneration": row.generation,
        "matched": summary.matched,
        "configured": summary.configured,
        "failed": summary.failed,
        "pending": summary.pending,
        "failures": [
            {
                "kind": target.kind,
                "namespace": target.namespace,
                "name": target.name,
                "reason": outcome.reason.value,
                "message": outcome.message[:_LONGEST_MESSAGE],
            }
            for target, outcome in summary.failures[:MOST_FAILURES]
        ],
        "storageSecrets": [
            {
                "namespace": key.namespace,
                "name": key.name,
                "state": sight.state.value,
                **({"missingKeys": list(sight.missing)} if sight.missing else {}),
            }
            for key, sight in summary.secrets
            if sight.state is not SecretState.FOUND
        ][:_MOST_SECRETS],
    }


def _events(row: BlueprintRow, conditions: tuple[Condition, ...]) -> list[EventIntent]:
    """An Event for each condition that turned bad, and one when the blueprint became ready again."""
    before = {condition.type: condition for condition in row.conditions}
    found = []
    for condition in conditions:
        old = before.get(condition.type)
        if condition.type not in _WITH_EVENTS:
            continue
        changed = old is None or (old.status, old.reason) != (condition.status, condition.reason)
        bad = condition.status == "False"
        recovered = condition.status == "True" and old is not None and old.status == "False"
        if changed and (bad or recovered or (condition.type == "Ready" and old is None)):
            found.append(
                EventIntent(
                    regarding=row.ref,
                    type="Warning" if bad else "Normal",
                    reason=condition.reason,
                    action="Reconcile",
                    note=f"{condition.type}: {condition.message or condition.reason}",
                )
            )
    return found
