"""The BackupConfiguration of a target: which one it is, and what it should look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from informers.resource import ObjectKey
from reconcilers import marks, origins, podtemplate
from reconcilers.blueprint import Blueprint
from reconcilers.errors import Refusal
from reconcilers.fields import desired_fingerprint
from reconcilers.grace import InForce, settle
from reconcilers.kinds import CONFIGURATION
from reconcilers.naming import base_name, distinct_name
from reconcilers.plan import Apply, Claim
from reconcilers.podtemplate import PodTemplate
from reconcilers.ports import Claimant, TargetView
from reconcilers.reasons import Reason
from reconcilers.repository import is_applied, owner_of
from reconcilers.resolve import Resolved
from reconcilers.rows import ConfigurationRow, TargetRow


@dataclass(frozen=True, slots=True)
class Choice:
    """The BackupConfiguration that serves: its key and the live object, if there is one."""

    key: ObjectKey
    live: ConfigurationRow | None
    claims: tuple[Claim, ...]


def choose(
    claimant: Claimant,
    view: TargetView,
    *,
    target: TargetRow,
    blueprint: str,
    blueprints: Sequence[str],
    namespace: str,
    live: Iterable[ConfigurationRow],
) -> Choice:
    """The BackupConfiguration for one target and blueprint; raises a Refusal when its name is somebody else's.

    One that belongs to a blueprint which the target no longer names is taken over rather than deleted and made anew,
    if it has the name that a new one would get.
    """
    base = base_name(target.key, namespace=namespace, blueprint=blueprint if len(blueprints) > 1 else None)
    here = [row for row in live if row.mark is not None and row.namespace == namespace]
    mine = [row for row in here if row.mark and row.mark.blueprint == blueprint]
    left_over = [row for row in here if row.mark and row.mark.blueprint not in blueprints and row.name == base]
    found = min(mine, key=lambda row: row.name, default=None) or next(iter(left_over), None)
    if found is not None and found.deleting:
        raise Refusal(
            Reason.BEING_DELETED,
            f"BackupConfiguration {found.namespace}/{found.name}",
            "is being deleted",
            hint="it is created again when it is gone; its finalizers say what it waits for",
        )
    if found is not None:
        return Choice(found.key, found, ())
    owner = owner_of(target.key, blueprint)
    for name in (base, distinct_name(base, owner)):
        key = ObjectKey(namespace, name)
        holder = view.configuration(key)
        token = f"BackupConfiguration {namespace}/{name}"
        if holder is None and claimant(token) in (None, owner):
            return Choice(key, None, (Claim(token, owner),))
        if holder is not None and holder.mark is None:
            break
    raise Refusal(
        Reason.NAME_CONFLICT,
        f"BackupConfiguration {namespace}/{name}",
        "exists and was not made by this operator",
        hint="rename or delete it; it is left alone",
    )


def body(
    choice: Choice,
    *,
    target: TargetRow,
    blueprint: str,
    repository: ObjectKey,
    resolved: Resolved,
    template: PodTemplate | None,
    retention: InForce,
    with_claims: bool = False,
) -> tuple[dict[str, Any], str]:
    """The object to apply and its fingerprint. `with_claims`: somebody wants to know which claims it backs up."""
    mark = marks.Mark(target=target.key, blueprint=blueprint, target_uid=target.uid)
    annotations = marks.annotations_of(mark)
    if template is not None:
        recorded = _record(choice.live, template, with_claims=with_claims)
        if recorded:
            annotations[marks.POD_TEMPLATE] = recorded
    decided = {path: layer for path, layer in resolved.origins.items() if not path.startswith("retentionPolicy")}
    if written := origins.record({**decided, **retention.origins}):
        annotations[marks.OVERRIDES] = written
    if retention.pending is not None:
        annotations[marks.RETENTION_PENDING] = retention.pending.record()
    metadata: dict[str, Any] = {
        "name": choice.key.name,
        "namespace": choice.key.namespace,
        "labels": marks.labels_of(mark),
        "annotations": annotations,
    }
    if choice.key.namespace == target.namespace:
        metadata["ownerReferences"] = [
            {
                "apiVersion": target.ref.api_version,
                "kind": target.kind,
                "name": target.name,
                "uid": target.uid,
                "controller": True,
            }
        ]
    reference = {"name": repository.name}
    if repository.namespace != choice.key.namespace:
        reference["namespace"] = repository.namespace
    found: dict[str, Any] = {
        "apiVersion": CONFIGURATION.api_version,
        "kind": CONFIGURATION.kind,
        "metadata": metadata,
        "spec": {**resolved.configuration, **_kept(retention), "repository": reference},
    }
    fingerprint = desired_fingerprint(found)
    if choice.live is not None:
        metadata["uid"] = choice.live.uid
    return found, fingerprint


def retention_in_force(view: TargetView, choice: Choice, *, resolved: Resolved, blueprint: Blueprint) -> InForce:
    """The retention that counts now: what is asked for, or what was in force while that has to wait."""
    live = choice.live
    wanted = resolved.configuration.get("retentionPolicy") or {}
    if not (live and live.overrides) and wanted == resolved.retention:
        return InForce(wanted, {})
    return settle(
        wanted,
        resolved.origins,
        blueprint=resolved.retention,
        held=live.retention if live else "",
        held_origins=live.overrides if live else "",
        waiting=live.retention_pending if live else "",
        now=view.now(),
        grace=blueprint.bounds.grace,
    )


def _kept(retention: InForce) -> dict[str, Any]:
    return {"retentionPolicy": dict(retention.policy)} if retention.policy else {}


def _record(live: ConfigurationRow | None, template: PodTemplate, *, with_claims: bool) -> str:
    """What to write down of the pod template.

    When only the generation moved, as each scaling does, the old record stays: a write for every scaling would cost
    more than reading the template once more after a restart.
    """
    before = podtemplate.recall(live.pod_template) if live and live.pod_template else None
    if live and before and _says(before, template, with_claims=with_claims):
        return live.pod_template
    return podtemplate.record(template if with_claims else template.without_claims)


def _says(before: PodTemplate, template: PodTemplate, *, with_claims: bool) -> bool:
    if with_claims and not before.knows_claims:
        return False
    if template.knows_claims and before.knows_claims:
        return before.volumes == template.volumes
    return before.without_claims.volumes == template.without_claims.volumes


def steps(view: TargetView, choice: Choice, *, wanted: dict[str, Any], fingerprint: str, blueprint: str) -> list[Apply]:
    """What to write: nothing when the live object is as it should be."""
    live = choice.live
    if live is not None and is_applied(view, live, fingerprint):
        return []
    return [
        Apply(
            resource=CONFIGURATION,
            key=choice.key,
            uid=live.uid if live else "",
            body=wanted,
            fingerprint=fingerprint,
            blueprint=blueprint,
            event=Reason.CONFIGURATION_UPDATED if live else Reason.CONFIGURATION_CREATED,
        )
    ]
