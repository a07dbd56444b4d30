"""A restart of the operator when there is nothing to do: it looks at everything, and writes nothing."""

from __future__ import annotations

from pathlib import Path

from tests.autobackup import probes
from tests.autobackup.stage import Stage
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

REVIEWS = "selfsubjectaccessreviews"


def looked_at(process: OperatorProcess, count: int) -> None:
    """Wait until the operator has looked at so many objects since its start, and has nothing left to do."""
    probes.started(process)
    wait_for(
        lambda: probes.total(process, "controller_runtime_reconcile_total") >= count and probes.at_rest(process),
        30,
        what=f"{count} objects to be looked at",
        state=process.tail,
    )


def revisions(stage: Stage) -> dict[tuple[str, str], str]:
    """What any write changes, of everything that the operator makes."""
    found = [*stage.repositories(), *stage.configurations()]
    return {(item["kind"], item["metadata"]["name"]): item["metadata"]["resourceVersion"] for item in found}


def restart_writes_nothing(plane: ControlPlane, account: Path, stage: Stage, *, targets: int) -> None:
    """There are so many targets, each of which has all that it is to have, and one blueprint."""
    before = revisions(stage)
    assert len(before) == 2 * targets, "a Repository and a BackupConfiguration for each"
    mark = plane.audit_log.mark()
    with OperatorProcess(account, *probes.SERVE) as process:
        looked_at(process, targets + 1)
        assert process.terminate() == 0
    writes = [event for event in plane.audit_log.writes(mark, user=OPERATOR) if event.resource != REVIEWS]
    assert [(e.verb, e.resource, e.subresource, e.name) for e in writes] == []
    reads = plane.audit_log.requests(mark, user=OPERATOR, verbs={"get", "list"})
    assert [event.uri for event in reads if event.resource] == []
    assert revisions(stage) == before
