"""What people and other programs do to us: undo, delete, forbid, poison. It stays with whom it concerns, and ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, CONFIGURATION, SECONDS, Stage
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

pytestmark = pytest.mark.cluster


def configuration_writes(plane: ControlPlane, mark: int, stage: Stage, name: str) -> int:
    """How often the operator wrote one BackupConfiguration."""
    written = plane.audit_log.writes(mark, user=OPERATOR, namespace=stage.namespace, resource="backupconfigurations")
    return sum(event.name == name for event in written)


def test_rival_that_undoes_every_write(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    undone = {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupConfiguration",
        "metadata": {"name": "pvc-data", "namespace": scene.namespace},
        "spec": {"schedule": "1 1 1 1 *"},
    }
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "other", {ANNOTATION: blueprint})
        scene.configured("pvc-data")

        def fought(times: int) -> None:
            for _ in range(times):
                scene.api.apply(undone, manager="rival", force=True)
                wait_for(
                    lambda: (scene.find_configuration("pvc-data") or {})["spec"]["schedule"] == "0 2 * * *",
                    SECONDS,
                    what="the schedule to be put right",
                )

        fought(6)
        # The seventh time it is left alone, and told.
        scene.api.apply(undone, manager="rival", force=True)
        event = scene.event("data", "FieldConflict")
        assert event["type"] == "Warning"
        assert f"{scene.namespace}/pvc-data" in event["note"]
        assert scene.failed(blueprint, "data")["reason"] == "FieldConflict"
        written = configuration_writes(plane, mark, scene, "pvc-data")
        assert written == 1 + 6
        for number in range(12):
            scene.api.apply({**undone, "spec": {"schedule": f"{number} 1 1 1 *"}}, manager="rival", force=True)
        # Somebody else's target is done after all of these were seen; ours was not written again.
        scene.create("PersistentVolumeClaim", "last", {ANNOTATION: blueprint})
        scene.settled(blueprint, matched=3, configured=2, failed=1)
        assert configuration_writes(plane, mark, scene, "pvc-data") == written
        assert probes.total(process, "autobackup_applier_oscillation_total", kind="BackupConfiguration") == 1
        told = [e for e in scene.events("data") if e["reason"] == "FieldConflict"]
        assert len(told) == 1
        # The rival has left, and somebody asks for something new: that is done at once.
        scene.annotate("PersistentVolumeClaim", "data", schedule="0 7 * * *")
        wait_for(
            lambda: (scene.find_configuration("pvc-data") or {})["spec"]["schedule"] == "0 7 * * *",
            SECONDS,
            what="the new schedule",
        )
        scene.settled(blueprint, configured=3, failed=0)
        scene.event("data", "Configured")


def test_somebody_deletes_what_we_make_again_and_again(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(account):
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        _, configuration = scene.configured("pvc-data")
        uids = {configuration["metadata"]["uid"]}
        for _ in range(20):
            scene.api.delete(CONFIGURATION, "pvc-data", namespace=scene.namespace)
            wait_for(
                lambda: (scene.find_configuration("pvc-data") or configuration)["metadata"]["uid"] not in uids,
                SECONDS,
                what="the BackupConfiguration to come back",
            )
            uids.add((scene.find_configuration("pvc-data") or configuration)["metadata"]["uid"])
        oracle.agrees(scene, SECONDS)
        scene.settled(blueprint, configured=1, failed=0)
    assert len(uids) == 21
    assert configuration_writes(plane, mark, scene, "pvc-data") == 21
    created = [e for e in scene.events("data") if e["reason"] == "BackupConfigurationCreated"]
    assert len(created) <= 21
    told = plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace, resource="events")
    assert len(told) <= 2 * 25, "Events have a budget"


def test_right_is_taken_away_and_given_back(plane: ControlPlane, account: Path, scene: Stage) -> None:
    role = scene.api.get("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-targets")
    before = [dict(rule) for rule in role["rules"]]
    without = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "patch"]}
        if "backupconfigurations" in rule["resources"]
        else rule
        for rule in before
    ]
    assert without != before
    blueprint = scene.blueprint()
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("PersistentVolumeClaim", "good", {ANNOTATION: blueprint})
        scene.configured("pvc-good")
        scene.api.patch("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-targets", {"rules": without})
        try:
            wait_for(lambda: not may_patch(scene), SECONDS, what="the right to be gone")
            mark = plane.audit_log.mark()
            scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
            event = scene.event("data", "Forbidden")
            assert event["type"] == "Warning"
            assert "backupconfigurations" in event["note"]
            assert scene.failed(blueprint, "data")["reason"] == "Forbidden"
            scene.settled(blueprint, matched=2, configured=1, failed=1)
            assert probes.probe(process, "/readyz")[0] == 200, "the watches are not concerned"
            denied = [
                e for e in plane.audit_log.requests(mark, user=OPERATOR, resource="backupconfigurations") if e.is_denied
            ]
            assert 1 <= len(denied) <= 8, "what only a person can mend is not tried in a loop"
        finally:
            scene.api.patch("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-targets", {"rules": before})
        wait_for(lambda: may_patch(scene), SECONDS, what="the right to be back")
        scene.annotate("PersistentVolumeClaim", "data", schedule="0 7 * * *")
        scene.configured("pvc-data")
        scene.settled(blueprint, configured=2, failed=0)
        scene.event("data", "Configured")


def may_patch(stage: Stage) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": OPERATOR,
            "resourceAttributes": {
                "group": "stash.appscode.com",
                "resource": "backupconfigurations",
                "verb": "patch",
                "namespace": stage.namespace,
            },
        },
    }
    answer = stage.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    return bool(answer["status"].get("allowed"))


def test_poison_holds_nobody_up(account: Path, scene: Stage) -> None:
    """Sixty hostile targets, some as large as the API server takes, and ten good ones, which are done at once."""
    blueprint = scene.blueprint(task={"name": "pvc-backup", "params": [{"name": "args", "value": "-"}]})
    hostile: list[dict[str, str]] = [
        {ANNOTATION: "x" * 100_000},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "* " * 125_000},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "9" * 250_000},
        {ANNOTATION: ",".join([blueprint] * 10_000)},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "\x00\x1b[2J\u202e${TARGET_NAME}"},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "@every 1ns"},
        {ANNOTATION: blueprint, "params.stash.appscode.com/args": "${" * 50_000},
        {ANNOTATION: blueprint, "params.stash.appscode.com/nosuch": "1"},
        {ANNOTATION: '{"$ref": "#"}' * 8000},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "0-59/1," * 30_000 + "0 * * * *"},
    ]
    for number in range(60):
        scene.create("PersistentVolumeClaim", f"bad{number}", hostile[number % len(hostile)])
    with OperatorProcess(account, *probes.SERVE) as process:
        probes.started(process)
        for number in range(10):
            scene.create("PersistentVolumeClaim", f"good{number}", {ANNOTATION: blueprint})
        for number in range(10):
            scene.configured(f"pvc-good{number}")
        assert probes.probe(process, "/livez") == (200, "ok")
        wait_for(lambda: probes.at_rest(process), SECONDS, what="the queue to be empty")
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
        assert probes.total(process, "autobackup_targets", state="configured") >= 10
        assert probes.total(process, "autobackup_targets", state="failed") >= 40
        log = process.log()
    assert "Traceback" not in log
    assert len(log) < 2_000_000, "what is hostile is not copied into the log"
    for blueprint_ in (blueprint,):
        status = scene.blueprint_status(blueprint_)
        assert len(str(status)) < 100_000
    for event in scene.events():
        assert len(event["note"].encode()) <= 1024
        assert "\x1b" not in event["note"]


@pytest.mark.parametrize(
    ("params", "said"),
    [(50, "etcdserver: request is too large"), (64, "trying to send message larger than max")],
    ids=["for etcd", "for the way to etcd"],
)
def test_what_is_made_of_a_small_blueprint_is_too_large(
    plane: ControlPlane, account: Path, scene: Stage, params: int, said: str
) -> None:
    """A variable makes megabytes of it for one target. The API server answers with a 500 that never heals: it is told
    once, and not tried in a loop."""
    long = "long-" * 50 + "er"
    large = [{"name": f"p{number}", "value": "${TARGET_NAME}" * (32_768 // len(long))} for number in range(params)]
    blueprint = scene.blueprint(task={"name": "pvc-backup", "params": large})
    mark = plane.audit_log.mark()
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("PersistentVolumeClaim", long, {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "ok", {ANNOTATION: blueprint})
        scene.configured("pvc-ok")
        failure = scene.failed(blueprint, long)
        assert failure["reason"] == "InvalidObject"
        assert said in failure["message"]
        assert len(failure["message"]) < 1100
        scene.settled(blueprint, matched=2, configured=1, failed=1)
        wait_for(lambda: probes.at_rest(process), SECONDS, what="the queue to be empty")
        sent = plane.audit_log.requests(mark, user=OPERATOR, resource="backupconfigurations", verbs={"patch"})
        # Once more at most, when the Repository was seen.
        assert [event.status for event in sent if event.status >= 400] in ([500], [500, 500])
        assert len(process.log()) < 1_000_000
