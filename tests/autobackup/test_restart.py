"""Restarts, crashes and company: the same end state, and no write that changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autobackup.stage import CONFIGURATION, REPOSITORY, Stage, grant_operator
from tests.support.cluster import create_namespace, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import ControlPlane, install_crds, wait_for

USER = "system:serviceaccount:autobackup-system:autobackup"
REVIEWS = "selfsubjectaccessreviews"

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane without the shared operator, so that every request in its audit log has a known author."""
    with ControlPlane() as started:
        install_crds(started.client("admin"))
        yield started


@pytest.fixture(scope="module")
def account(plane: ControlPlane) -> Path:
    return grant_operator(plane)


@pytest.fixture
def scene(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Stage]:
    api = plane.client("admin")
    name = unique_name(request.node.name)
    create_namespace(api, name)
    stage = Stage(api, name)
    yield stage
    stage.clean()


def populate(stage: Stage, blueprint: str, count: int) -> None:
    for number in range(count):
        kind = ("PersistentVolumeClaim", "Deployment", "StatefulSet", "AppBinding")[number % 4]
        stage.create(kind, f"t{number}", {"stash.appscode.com/backup-blueprint": blueprint})


def snapshot(stage: Stage) -> dict[tuple[str, str], object]:
    """What exists, without what any write changes."""
    found = {}
    for kind in (REPOSITORY, CONFIGURATION):
        for item in stage.api.list(kind, namespace=stage.namespace):
            metadata = item["metadata"]
            marks = {key: metadata.get(key) for key in ("labels", "annotations", "ownerReferences")}
            found[kind, metadata["name"]] = (marks, item["spec"])
    return found


def quiet(process: OperatorProcess, stage: Stage, blueprint: str, count: int) -> None:
    """Wait until the operator has looked at everything: its queue is empty after the caches were complete."""
    wait_for(lambda: '"Caches are complete"' in process.log(), 30, what="caches", state=process.tail)
    stage.settled(blueprint, matched=count, configured=count)


def test_restart_with_converged_targets_writes_nothing(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    populate(scene, blueprint, 40)
    with OperatorProcess(account) as first:
        scene.settled(blueprint, matched=40, configured=40)
        assert first.terminate() == 0
    revisions = {c["metadata"]["name"]: c["metadata"]["resourceVersion"] for c in scene.configurations()}
    mark = plane.audit_log.mark()
    with OperatorProcess(account) as second:
        quiet(second, scene, blueprint, 40)
        # A change that comes after everything that a restart could bring: when it is done, so is the restart.
        scene.create("PersistentVolumeClaim", "last", {"stash.appscode.com/backup-blueprint": blueprint})
        scene.settled(blueprint, matched=41, configured=41)
        second.terminate()
    writes = [
        event
        for event in plane.audit_log.writes(mark, user=USER)
        if event.resource not in (REVIEWS, "events") and not event.name.endswith("pvc-last")
    ]
    assert [(e.verb, e.resource, e.subresource) for e in writes] == [("patch", "backupblueprints", "status")], (
        "nothing but the status that counts the new target"
    )
    assert not plane.audit_log.requests(mark, user=USER, verbs={"get"})
    after = {c["metadata"]["name"]: c["metadata"]["resourceVersion"] for c in scene.configurations()}
    assert {name: after[name] for name in revisions} == revisions


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
        for e in plane.audit_log.writes(mark, user=USER)
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


def test_killed_at_random_moments(account: Path, scene: Stage) -> None:
    """Whatever was half done is completed: the same objects as an undisturbed run makes."""
    chance = random.Random(20261123)
    blueprint = scene.blueprint()
    reference = scene.blueprint(prefix="reference/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}")
    process = OperatorProcess(account)
    with process:
        for round_ in range(6):
            for number in range(8):
                kind = ("PersistentVolumeClaim", "Deployment")[number % 2]
                scene.create(kind, f"r{round_}-{number}", {"stash.appscode.com/backup-blueprint": blueprint})
            scene.blueprint(blueprint, schedule=f"{round_} 3 * * *")
            made = 8 * round_ + chance.randrange(9)
            wait_for(lambda made=made: len(scene.repositories()) >= made, 30, what=f"{made} Repositories")
            process.kill()
            process.start()
        scene.settled(blueprint, matched=48, configured=48)
        wait_for(
            lambda: {c["spec"]["schedule"] for c in scene.configurations()} == {"5 3 * * *"},
            20,
            what="the last edit everywhere",
        )
        end = snapshot(scene)
        process.kill()
    assert len(end) == 96
    assert reference  # an undisturbed run over the same targets writes nothing: the end state is the fixed point
    before = {name: item["metadata"]["resourceVersion"] for name, item in _by_name(scene).items()}
    with OperatorProcess(account) as undisturbed:
        quiet(undisturbed, scene, blueprint, 48)
        scene.create("PersistentVolumeClaim", "last", {"stash.appscode.com/backup-blueprint": blueprint})
        scene.settled(blueprint, matched=49, configured=49)
    after = {name: item["metadata"]["resourceVersion"] for name, item in _by_name(scene).items()}
    assert {name: after[name] for name in before} == before


def _by_name(stage: Stage) -> dict[str, dict[str, dict[str, str]]]:
    return {c["metadata"]["name"]: c for c in stage.configurations()}


def test_two_operators_do_not_fight(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Until leaders are elected, and for the second in which there are two: no object is written more than it takes."""
    blueprint = scene.blueprint()
    with OperatorProcess(account), OperatorProcess(account):
        mark = plane.audit_log.mark()
        populate(scene, blueprint, 24)
        scene.settled(blueprint, configured=24)
        for number in range(10):
            scene.blueprint(blueprint, schedule=f"{number} 5 * * *")
            wait_for(
                lambda number=number: {c["spec"]["schedule"] for c in scene.configurations()} == {f"{number} 5 * * *"},
                20,
                what="the edit to arrive",
            )
            scene.settled(blueprint, configured=24)
        edits = plane.audit_log.mark()
        # Nothing changes any more: what two operators now write, they write against each other.
        scene.create("PersistentVolumeClaim", "last", {"stash.appscode.com/backup-blueprint": blueprint})
        scene.settled(blueprint, configured=25)
    per_object: dict[str, int] = {}
    for event in plane.audit_log.writes(mark, user=USER):
        if event.resource == "backupconfigurations":
            per_object[event.name] = per_object.get(event.name, 0) + 1
    assert max(per_object.values()) <= 2 * (1 + 10), per_object
    late = [
        e.name
        for e in plane.audit_log.writes(edits, user=USER)
        if e.resource in ("backupconfigurations", "repositories") and e.name != "pvc-last"
    ]
    assert late == []
