"""`resolve --explain`, and `explain` as far as it needs no cluster: every setting with its value and who decided it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from autobackup.yamltext import read
from tests.cli.conftest import Command

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: demo
  annotations:
    stash.appscode.com/timeout: 2h
    stash.appscode.com/retention-policy: daily=30
"""
TARGET = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: media
  namespace: demo
  annotations:
    stash.appscode.com/backup-blueprint: nightly
    stash.appscode.com/schedule: 15 3 * * *
    stash.appscode.com/runtime-settings: memory=256Mi..1Gi
    params.stash.appscode.com/args: --fast
    blueprint.stash.appscode.com/tier: gold
spec: {}
"""
BLUEPRINT = """\
apiVersion: stash.appscode.com/v1beta1
kind: BackupBlueprint
metadata: {name: nightly}
spec:
  backend:
    s3: {endpoint: e, bucket: b, prefix: "${tier}/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"}
    storageSecretName: storage
  schedule: 0 2 * * *
  task: {name: pvc-backup, params: [{name: level, value: "1"}]}
  retentionPolicy: {name: x, keepLast: 5, prune: true}
  variables: [{name: tier, pattern: gold|silver, default: silver, inLocations: true}]
  overrides:
    retention: {}
    timeOut: {max: 4h}
    runtime: {memory: {max: 2Gi}}
"""
Files = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def folder(files: Files) -> Path:
    return files({"namespace.yaml": NAMESPACE, "target.yaml": TARGET, "blueprint.yaml": BLUEPRINT})


EVERYTHING = ("-f", "namespace.yaml", "-f", "target.yaml", "-b", "blueprint.yaml", "--explain")


def test_each_setting_says_who_decided_it(command: Command, folder: Path) -> None:
    ended = command("resolve", *EVERYTHING, "-o", "json")
    assert ended.code == 0, ended.err
    [found] = json.loads(ended.out)
    assert found["target"] == {"kind": "PersistentVolumeClaim", "namespace": "demo", "name": "media"}
    assert (found["blueprint"], found["reason"]) == ("nightly", "Configured")
    assert found["location"].endswith("gold/demo/persistentvolumeclaim/media")
    told = {setting["field"]: (setting["value"], setting["from"]) for setting in found["settings"]}
    assert told == {
        "${tier}": ("gold", "target"),
        "schedule": ("15 3 * * *", "target"),
        "timeOut": ("2h", "namespace"),
        "retentionPolicy.name": ("last-5-daily-30", "namespace"),
        "retentionPolicy.keepLast": (5, "blueprint"),
        "retentionPolicy.keepDaily": (30, "namespace"),
        "retentionPolicy.prune": (True, "blueprint"),
        "runtimeSettings.container.resources.requests.memory": ("256Mi", "target"),
        "runtimeSettings.container.resources.limits.memory": ("1Gi", "target"),
        "task.name": ("pvc-backup", "blueprint"),
        "task.params.level": ("1", "blueprint"),
        "task.params.args": ("--fast", "target"),
        "target.ref.apiVersion": ("v1", "derived"),
        "target.ref.kind": ("PersistentVolumeClaim", "derived"),
        "target.ref.name": ("media", "derived"),
        "repository.name": ("pvc-media", "derived"),
    }
    sources = {setting["field"]: setting["source"] for setting in found["settings"]}
    assert sources["timeOut"] == "annotation stash.appscode.com/timeout on Namespace demo"
    assert sources["task.name"] == "BackupBlueprint nightly"
    assert sources["task.params.args"] == "annotation params.stash.appscode.com/args"


def test_the_settings_are_those_of_the_object_that_would_be_applied(command: Command, folder: Path) -> None:
    told = json.loads(command("resolve", *EVERYTHING, "-o", "json").out)[0]["settings"]
    objects = command("resolve", "-q", *EVERYTHING[:-1]).out
    spec = next(o.value["spec"] for o in read(objects) if o.value["kind"] == "BackupConfiguration")
    for setting in told:
        value = spec
        if setting["field"].startswith(("$", "task.params")):
            continue
        for name in setting["field"].split("."):
            value = value[name]
        assert value == setting["value"], setting["field"]


def test_a_table_for_people_and_yaml_for_programs(command: Command, folder: Path) -> None:
    table = command("resolve", *EVERYTHING).out
    assert table.startswith("PersistentVolumeClaim demo/media, blueprint nightly: Configured\n")
    assert "\n  Would get Repository demo/pvc-media and BackupConfiguration demo/pvc-media\n" in table
    assert "  timeOut " in table
    assert "stash.appscode.com/timeout on Namespace demo" in table
    assert yaml.safe_load(command("resolve", *EVERYTHING, "-o", "yaml").out)["blueprint"] == "nightly"


def test_what_is_refused_says_which_bound_and_has_exit_code_1(command: Command, folder: Path) -> None:
    (folder / "target.yaml").write_text(TARGET.replace("..1Gi", "..3Gi"))
    ended = command("resolve", *EVERYTHING)
    assert ended.code == 1
    assert ended.out.startswith("PersistentVolumeClaim demo/media, blueprint nightly: OverrideOutOfBounds\n")
    assert "which is more than 2Gi (blueprint nightly, spec.overrides.runtime.memory)" in ended.out
    assert ended.out.endswith("  Nothing is applied for it.\n")
    assert ended.err.startswith("target.yaml:9: error: ")


def test_the_defaults_of_the_operator_are_the_weakest(command: Command, folder: Path) -> None:
    (folder / "config.yaml").write_text("defaults: [timeout=9h, backup-history-limit=4]\n")
    told = json.loads(command("resolve", *EVERYTHING, "--config", "config.yaml", "-o", "json").out)[0]["settings"]
    found = {setting["field"]: (setting["value"], setting["from"]) for setting in told}
    assert found["backupHistoryLimit"] == (4, "operator")
    assert found["timeOut"] == ("2h", "namespace")
    (folder / "config.yaml").write_text("defaults: [timeout=soon]\n")
    assert command("resolve", *EVERYTHING, "--config", "config.yaml").code == 2


@pytest.mark.parametrize("more", [("--diff",), ("-o", "name")])
def test_what_does_not_go_with_it(command: Command, folder: Path, more: tuple[str, ...]) -> None:
    assert command("resolve", *EVERYTHING, *more).code == 2


@pytest.mark.parametrize("text", ["media", "pvc/", "/media", "job/media", "pvc/a/b", ""])
def test_a_target_is_kind_and_name(command: Command, text: str) -> None:
    ended = command("explain", text)
    assert ended.code == 2
    assert "write kind/name" in ended.err
