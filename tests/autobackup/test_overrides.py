"""Overrides on a real API server: what is accepted, what is refused and how, what waits, who decided what."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.autobackup.restarts import restart_writes_nothing
from tests.autobackup.stage import SECONDS, Object, Stage
from tests.reconcilers.hostile import TEXTS
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiFailure, ControlPlane, wait_for

OPT_IN = "stash.appscode.com/backup-blueprint"
OPEN: Object = {
    "schedule": {"minInterval": "15m"},
    "retention": {"policies": [{"name": "long-term", "keepMonthly": 24, "prune": True}]},
    "runtime": {
        "memory": {"min": "128Mi", "max": "4Gi"},
        "cpu": {"max": "2"},
        "nice": {"min": 0, "max": 19},
        "ionice": ["idle"],
        "priorityClasses": ["low"],
        "profiles": [{"name": "big", "pod": {"nodeSelector": {"disk": "fast"}}}],
    },
    "exclude": True,
    "backupHistoryLimit": {"max": 20},
    "timeOut": {"max": "6h"},
    "retry": {"maxRetry": 5},
    "paused": True,
    "backupArgs": ["--exclude-caches"],
}
EVERYTHING = {
    "schedule": "H 3 * * *",
    "retention_policy": "last=9,daily=14,tags=gold",
    "runtime_settings": "memory=256Mi..1Gi,cpu=..1,nice=10,ionice=idle,priority-class=low",
    "exclude": "*.tmp,cache",
    "backup_history_limit": "7",
    "timeout": "2h",
    "retry": "3,delay=10m",
    "paused": "true",
    "backup_args": "--exclude-caches",
}


def spec_when(stage: Stage, name: str, **wanted: Any) -> Object:
    """Wait until the BackupConfiguration has these fields; its spec."""

    def look() -> Object | None:
        found = stage.find_configuration(name)
        spec: Object = found["spec"] if found else {}
        return spec if spec and all(spec.get(field) == value for field, value in wanted.items()) else None

    found = wait_for(
        look, SECONDS, what=f"{name} with {wanted}", state=lambda: (stage.find_configuration(name), stage.events())
    )
    assert found is not None
    return found


def annotations_of(stage: Stage, name: str) -> dict[str, str]:
    found = stage.find_configuration(name)
    assert found is not None
    return dict(found["metadata"]["annotations"])


def overridden(stage: Stage, name: str) -> dict[str, list[str]]:
    return dict(json.loads(annotations_of(stage, name).get("autobackup.stash.appscode.com/overrides", "{}")))


def test_everything_that_may_be_overridden_arrives(stage: Stage) -> None:
    blueprint = stage.blueprint(overrides=OPEN)
    stage.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint})
    stage.configured("pvc-data")
    stage.annotate("PersistentVolumeClaim", "data", **EVERYTHING)
    spec = spec_when(stage, "pvc-data", paused=True)
    assert spec["schedule"].endswith(" 3 * * *")
    assert spec["schedule"].split()[0].isdigit()
    assert spec["retentionPolicy"] == {
        "name": "last-9-daily-14",
        "keepLast": 9,
        "keepDaily": 14,
        "keepTags": ["gold"],
        "prune": True,
    }
    assert spec["runtimeSettings"] == {
        "pod": {"priorityClassName": "low"},
        "container": {
            "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi", "cpu": "1"}},
            "nice": {"adjustment": 10},
            "ionice": {"class": 3},
        },
    }
    assert spec["target"]["exclude"] == ["*.tmp", "cache"]
    assert spec["target"]["args"] == ["--exclude-caches"]
    assert (spec["backupHistoryLimit"], spec["timeOut"]) == (7, "2h")
    assert spec["retryConfig"] == {"maxRetry": 3, "delay": "10m"}
    assert set(overridden(stage, "pvc-data")) == {"target"}
    stage.settled(blueprint, configured=1, failed=0)


def test_without_permission_only_the_schedule_as_in_stash(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint, "stash.appscode.com/schedule": "*/5 * * * *"})
    _, good = stage.configured("pvc-data")
    assert good["spec"]["schedule"] == "*/5 * * * *"
    stage.annotate("PersistentVolumeClaim", "data", retention_policy="last=100")
    event = stage.event("data", "OverrideNotPermitted")
    assert "stash.appscode.com/retention-policy 'last=100'" in event["note"]
    assert f"blueprint {blueprint} does not permit" in event["note"]
    assert "spec.overrides.retention" in event["note"]
    now = stage.find_configuration("pvc-data")
    assert now is not None
    assert now["spec"] == good["spec"]


BEYOND = [
    ("schedule", "*/10 * * * *", "minInterval"),
    ("retention_policy", "last=4", "retention"),
    ("runtime_settings", "memory=8Gi", "spec.overrides.runtime.memory"),
    ("timeout", "7h", "spec.overrides.timeOut"),
    ("backup_history_limit", "21", "spec.overrides.backupHistoryLimit"),
    ("retry", "6", "spec.overrides.retry.maxRetry"),
]


@pytest.mark.parametrize(("annotation", "value", "bound"), BEYOND)
def test_what_goes_too_far_keeps_the_last_good_configuration(
    stage: Stage, annotation: str, value: str, bound: str
) -> None:
    blueprint = stage.blueprint(overrides=OPEN)
    stage.create("Deployment", "shop", {OPT_IN: blueprint, "stash.appscode.com/timeout": "3h"})
    stage.configured("deploy-shop")
    good = spec_when(stage, "deploy-shop", timeOut="3h")
    stage.annotate("Deployment", "shop", **{annotation: value})
    note = stage.event("shop", "OverrideOutOfBounds")["note"]
    key = "stash.appscode.com/" + annotation.replace("_", "-")
    assert f"{key} '{value}'" in note
    assert bound in note
    assert f"blueprint {blueprint}" in note
    assert stage.failed(blueprint, "shop")["reason"] == "OverrideOutOfBounds"
    assert f"{key} '{value}'" in stage.condition(blueprint, "TargetsConfigured")["message"]
    now = stage.find_configuration("deploy-shop")
    assert now is not None
    assert now["spec"] == good
    stage.annotate("Deployment", "shop", **{annotation: "3h" if annotation == "timeout" else None})
    stage.settled(blueprint, configured=1, failed=0)
    stage.event("shop", "Configured")


def test_the_namespace_is_a_layer_between_blueprint_and_target(stage: Stage) -> None:
    blueprint = stage.blueprint(overrides=OPEN, timeOut="1h")
    for name in ("one", "two"):
        stage.create("PersistentVolumeClaim", name, {OPT_IN: blueprint})
    stage.annotate("PersistentVolumeClaim", "two", timeout="3h")
    spec_when(stage, "pvc-one", timeOut="1h")
    spec_when(stage, "pvc-two", timeOut="3h")
    stage.api.annotate("v1/Namespace", stage.namespace, {"stash.appscode.com/timeout": "2h"})
    spec_when(stage, "pvc-one", timeOut="2h")
    assert overridden(stage, "pvc-one") == {"namespace": ["timeOut"]}
    stage.annotate("PersistentVolumeClaim", "two", timeout=None)
    spec_when(stage, "pvc-two", timeOut="2h")
    stage.api.annotate("v1/Namespace", stage.namespace, {"stash.appscode.com/timeout": "9h"})
    note = stage.event("one", "OverrideOutOfBounds")["note"]
    assert f"stash.appscode.com/timeout on Namespace {stage.namespace} '9h'" in note
    stage.api.annotate("v1/Namespace", stage.namespace, {"stash.appscode.com/timeout": None})
    spec_when(stage, "pvc-one", timeOut="1h")
    assert overridden(stage, "pvc-one") == {}


def test_a_blueprint_that_is_closed_again_keeps_what_was_applied(stage: Stage) -> None:
    blueprint = stage.blueprint(overrides=OPEN)
    stage.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint, "stash.appscode.com/timeout": "3h"})
    spec_when(stage, "pvc-data", timeOut="3h")
    stage.blueprint(blueprint)
    stage.event("data", "OverrideNotPermitted")
    found = stage.find_configuration("pvc-data")
    assert found is not None
    assert found["spec"]["timeOut"] == "3h"


def test_a_variable_that_annotations_fill(stage: Stage) -> None:
    blueprint = stage.blueprint(
        prefix="backups/${tier}/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}",
        variables=[{"name": "tier", "default": "silver", "pattern": "gold|silver", "inLocations": True}],
    )
    stage.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint, "blueprint.stash.appscode.com/tier": "gold"})
    repository, _ = stage.configured("pvc-data")
    assert repository["spec"]["backend"]["s3"]["prefix"].startswith(f"backups/gold/{stage.namespace}/")
    stage.create("PersistentVolumeClaim", "more", {OPT_IN: blueprint, "blueprint.stash.appscode.com/tier": "../x"})
    assert "is not of the pattern gold|silver" in stage.event("more", "VariableRejected")["note"]
    assert stage.find_configuration("pvc-more") is None


def test_hostile_values_change_nothing_and_hold_nobody_up(stage: Stage) -> None:
    blueprint = stage.blueprint(overrides=OPEN)
    stage.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint})
    _, good = stage.configured("pvc-data")
    keys = list(EVERYTHING)
    taken = 0
    for number, text in enumerate(TEXTS):
        try:
            stage.annotate("PersistentVolumeClaim", "data", **{keys[number % len(keys)]: text})
            taken += 1
        except ApiFailure as failure:
            if failure.status not in (400, 422):
                raise
    assert taken > len(TEXTS) // 2
    stage.annotate("PersistentVolumeClaim", "data", **dict.fromkeys(keys))
    stage.create("PersistentVolumeClaim", "other", {OPT_IN: blueprint})
    stage.configured("pvc-other")
    stage.settled(blueprint, configured=2, failed=0)
    now = stage.find_configuration("pvc-data")
    assert now is not None
    assert now["spec"] == {**good["spec"], "target": now["spec"]["target"]}
    assert now["spec"]["target"]["ref"] == good["spec"]["target"]["ref"]


def explained(kubeconfig: Path, stage: Stage, target: str, *more: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "autobackup", "explain", target, "-n", stage.namespace]
    ended = subprocess.run(
        [*command, "--kubeconfig", str(kubeconfig), *more], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_explain_tells_who_decided_what(control_plane: ControlPlane, stage: Stage) -> None:
    kubeconfig = control_plane.kubeconfig("admin")
    blueprint = stage.blueprint(overrides=OPEN)
    stage.create("Deployment", "shop", {OPT_IN: blueprint, "stash.appscode.com/timeout": "3h"})
    stage.api.annotate("v1/Namespace", stage.namespace, {"stash.appscode.com/retry": "2"})
    stage.configured("deploy-shop")
    spec_when(stage, "deploy-shop", timeOut="3h", retryConfig={"maxRetry": 2})
    mark = control_plane.audit_log.mark()
    code, out, err = explained(kubeconfig, stage, "deploy/shop", "-o", "json")
    assert (code, err) == (0, "")
    [found] = json.loads(out)
    told = {setting["field"]: (setting["value"], setting["from"]) for setting in found["settings"]}
    assert told["timeOut"] == ("3h", "target")
    assert told["retryConfig.maxRetry"] == (2, "namespace")
    assert told["retentionPolicy.keepLast"] == (5, "blueprint")
    assert told["target.paths"] == (["/srv/data"], "derived")
    writers = [e for e in control_plane.audit_log.writes(mark) if e.user == "admin" or e.user.startswith("kubernetes")]
    assert [e.uri for e in writers if stage.namespace in e.uri] == []

    stage.annotate("Deployment", "shop", timeout="30h")
    stage.event("shop", "OverrideOutOfBounds")
    code, out, _ = explained(kubeconfig, stage, "deployment/shop")
    assert code == 1
    assert "OverrideOutOfBounds" in out
    assert f"What was applied before stays in force, BackupConfiguration {stage.namespace}/deploy-shop:" in out
    assert "3h" in out
    # Named anew, but in vain: what the blueprint before made is not "nothing".
    stage.annotate("Deployment", "shop", **{"backup-blueprint": f"{blueprint}-mistyped"})
    stage.event("shop", "BlueprintNotFound")
    _, out, _ = explained(kubeconfig, stage, "deployment/shop")
    assert f"What was applied before stays in force, BackupConfiguration {stage.namespace}/deploy-shop:" in out
    assert f"BackupBlueprint {blueprint}\n" in out
    stage.create("Deployment", "plain")
    code, _, err = explained(kubeconfig, stage, "deployment/plain")
    assert (code, "does not name a blueprint" in err) == (1, True)
    code, _, err = explained(kubeconfig, stage, "deployment/absent")
    assert (code, "there is no Deployment" in err) == (1, True)


# What waits, with operators of the tests' own.


def kept(stage: Stage, name: str = "pvc-data") -> int:
    found = stage.find_configuration(name)
    return int(found["spec"]["retentionPolicy"]["keepLast"]) if found else 0


def shown(stage: Stage, blueprint: str) -> str:
    return str(stage.condition(blueprint, "RetentionPending").get("status", ""))


def test_a_shorter_retention_waits_and_a_restart_writes_nothing(
    plane: ControlPlane, account: Path, scene: Stage
) -> None:
    blueprint = scene.blueprint(overrides={"retention": {"allowShorter": True}})
    scene.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint})
    with OperatorProcess(account) as first:
        scene.configured("pvc-data")
        scene.annotate("PersistentVolumeClaim", "data", retention_policy="last=2")
        note = scene.event("data", "RetentionPending")["note"]
        assert "last=2 keeps less than last=5, which stays in force until" in note
        wait_for(lambda: shown(scene, blueprint) == "True", SECONDS, what="the condition RetentionPending")
        scene.settled(blueprint, configured=1)
        assert kept(scene) == 5
        waiting = json.loads(annotations_of(scene, "pvc-data")["autobackup.stash.appscode.com/retention-pending"])
        assert waiting["policy"] == {"keepLast": 2}
        assert first.terminate() == 0
    restart_writes_nothing(plane, account, scene, targets=1)


def test_a_shorter_retention_takes_effect_by_itself(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint(overrides={"retention": {"allowShorter": True, "gracePeriod": "8s"}})
    scene.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint})
    with OperatorProcess(account):
        scene.configured("pvc-data")
        scene.annotate("PersistentVolumeClaim", "data", retention_policy="last=2")
        scene.event("data", "RetentionPending")
        assert kept(scene) == 5
        wait_for(lambda: kept(scene) == 2, 30, what="the shorter retention to take effect")
        wait_for(lambda: shown(scene, blueprint) == "", SECONDS, what="RetentionPending to go")
    assert "autobackup.stash.appscode.com/retention-pending" not in annotations_of(scene, "pvc-data")
    assert overridden(scene, "pvc-data") == {"target": ["retentionPolicy.keepLast"]}


def test_the_operators_defaults_are_the_weakest_layer(account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint(overrides=OPEN, retryConfig={"maxRetry": 4})
    scene.create("PersistentVolumeClaim", "data", {OPT_IN: blueprint})
    defaults = "--defaults=timeout=5h; retry=1,delay=1m; backup-history-limit=3"
    with OperatorProcess(account, defaults, "--health-address=off", "--metrics-address=off"):
        spec = spec_when(scene, "pvc-data", timeOut="5h", backupHistoryLimit=3)
        assert spec["retryConfig"] == {"maxRetry": 4}
        assert overridden(scene, "pvc-data") == {"operator": ["backupHistoryLimit", "timeOut"]}
        scene.annotate("PersistentVolumeClaim", "data", timeout="2h")
        spec_when(scene, "pvc-data", timeOut="2h", backupHistoryLimit=3)
