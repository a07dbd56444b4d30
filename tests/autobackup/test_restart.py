"""Restarts, crashes and company: the same end state, and no write that changes nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.restarts import REVIEWS, looked_at, restart_writes_nothing, revisions
from tests.autobackup.stage import Stage
from tests.autobackup.traffic import Traffic
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

TOGETHER = 250
"""How many changes two operators work on together."""

pytestmark = pytest.mark.cluster


def populate(stage: Stage, blueprint: str, count: int) -> None:
    for number in range(count):
        kind = ("PersistentVolumeClaim", "Deployment", "StatefulSet", "AppBinding")[number % 4]
        stage.create(kind, f"t{number}", {"stash.appscode.com/backup-blueprint": blueprint})


def test_restart_with_converged_targets_writes_nothing(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    populate(scene, blueprint, 40)
    with OperatorProcess(account) as first:
        scene.settled(blueprint, matched=40, configured=40)
        assert first.terminate() == 0
    restart_writes_nothing(plane, account, scene, targets=40)


def test_steady_state_writes_nothing(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    with OperatorProcess(account):
        populate(scene, blueprint, 8)
        scene.settled(blueprint, configured=8)
        mark = plane.audit_log.mark()
        # Traffic that concerns nobody's backup: status of the objects, labels, other annotations, scaling.
        for number in range(30):
            scene.api.annotate(
                "v1/PersistentVolumeClaim", "t0", {"example.com/seen": str(number)}, namespace=scene.namespace
            )
            scene.api.patch("apps/v1/Deployment", "t1", {"spec": {"replicas": number}}, namespace=scene.namespace)
        scene.create("PersistentVolumeClaim", "last", {"stash.appscode.com/backup-blueprint": blueprint})
        scene.settled(blueprint, configured=9)
    writes = [
        (e.resource, e.name)
        for e in plane.audit_log.writes(mark, user=OPERATOR)
        if e.resource in ("repositories", "backupconfigurations") and not e.name.endswith("pvc-last")
    ]
    assert writes == []


def test_terminate_ends_within_the_grace(account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    with OperatorProcess(account) as process:
        populate(scene, blueprint, 20)
        scene.configured("pvc-t0")
        assert process.terminate() == 0, process.tail()
        assert '"Stopped"' in process.log()


def test_killed_at_random_moments(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Whatever was half done is completed: the objects that an undisturbed run would have made, and it agrees."""
    chance = random.Random(20261123)
    rounds, each = 6, 8
    blueprint = scene.blueprint()
    process = OperatorProcess(account)
    with process:
        for round_ in range(rounds):
            for number in range(each):
                kind = ("PersistentVolumeClaim", "Deployment")[number % 2]
                scene.create(kind, f"r{round_}-{number}", {"stash.appscode.com/backup-blueprint": blueprint})
            scene.blueprint(blueprint, schedule=f"{round_} 3 * * *")
            made = each * round_ + chance.randrange(each + 1)
            wait_for(lambda made=made: len(scene.repositories()) >= made, 30, what=f"{made} Repositories")
            process.kill()
            process.start()
        oracle.agrees(scene, 30)
        process.kill()
    before = revisions(scene)
    assert len(before) == 2 * rounds * each
    mark = plane.audit_log.mark()
    with OperatorProcess(account, *probes.SERVE) as undisturbed:
        looked_at(undisturbed, rounds * each + 1)
    assert revisions(scene) == before
    written = {event.resource for event in plane.audit_log.writes(mark, user=OPERATOR)}
    assert written <= {REVIEWS, "backupblueprints", "events"}


def test_two_operators_do_not_fight(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Where no leader is elected, and for the second in which there are two: both do what there is to do, once."""
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with (
        OperatorProcess(account, *probes.SERVE) as one,
        OperatorProcess(account, *probes.SERVE) as other,
        Traffic(scene, blueprint, seed=2, pause=0.02) as people,
    ):
        probes.started(one)
        probes.started(other)
        people.more(TOGETHER, timeout=120)
        people.stop()
        oracle.agrees(scene, 20)
        for process in (one, other):
            wait_for(lambda process=process: probes.at_rest(process), 20, what="both to be at rest")
        before = revisions(scene)
        end = plane.audit_log.mark()
        # Nothing changes any more: what they write from here on, they write against each other.
        scene.create("PersistentVolumeClaim", "last", {"stash.appscode.com/backup-blueprint": blueprint})
        scene.configured("pvc-last")
        for process in (one, other):
            wait_for(lambda process=process: probes.at_rest(process), 20, what="both to be at rest")
        assert {key: revision for key, revision in revisions(scene).items() if key in before} == before
        assert all(probes.total(p, "autobackup_applier_oscillation_total") == 0 for p in (one, other))
    oracle.bounded(plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace), people, operators=2)
    late = [
        e.name
        for e in plane.audit_log.writes(end, user=OPERATOR)
        if e.resource in ("backupconfigurations", "repositories")
    ]
    assert set(late) <= {"pvc-last"}
