"""Suspending a BackupConfiguration whose target may not use its blueprint, and taking that back.

The suspension is two fields with a field manager of their own: `spec.paused`, which whoever runs backups obeys, and an
annotation with the reason. So nothing has to be resolved to suspend, whatever state blueprint and target are in, what
was applied stays as it was, and to go on means to give the two fields up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconcilers import marks
from reconcilers.fields import desired_fingerprint
from reconcilers.kinds import CONFIGURATION
from reconcilers.plan import Apply
from reconcilers.reasons import Reason
from reconcilers.rows import ConfigurationRow


def suspend(rows: Iterable[ConfigurationRow], *, blueprint: str, reason: Reason) -> list[Apply]:
    """The writes that suspend those of the rows that serve this blueprint; none for what is suspended already."""
    fields = {"metadata": {"annotations": {marks.SUSPENDED: reason.value}}, "spec": {"paused": True}}
    fingerprint = desired_fingerprint(fields)
    return [
        _apply(row, fields, fingerprint=fingerprint, event=None if row.suspension else Reason.CONFIGURATION_SUSPENDED)
        for row in rows
        if row.mark is not None
        and row.mark.blueprint == blueprint
        and not row.deleting
        and row.suspension != fingerprint
    ]


def resume(row: ConfigurationRow | None) -> list[Apply]:
    """The write that gives the suspension up; none where there is none."""
    if row is None or not row.suspension:
        return []
    return [_apply(row, {}, fingerprint="", event=Reason.CONFIGURATION_RESUMED)]


def _apply(row: ConfigurationRow, fields: dict[str, Any], *, fingerprint: str, event: Reason | None) -> Apply:
    assert row.mark is not None
    identity = {"name": row.name, "namespace": row.namespace, "uid": row.uid}
    return Apply(
        resource=CONFIGURATION,
        key=row.key,
        uid=row.uid,
        body={
            "apiVersion": CONFIGURATION.api_version,
            "kind": CONFIGURATION.kind,
            **fields,
            "metadata": {**identity, **fields.get("metadata", {})},
        },
        fingerprint=fingerprint,
        blueprint=row.mark.blueprint,
        event=event,
        manager=marks.SUSPENSION,
    )
