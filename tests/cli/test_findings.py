"""What `resolve` says about targets and blueprints that cannot be used, or may not do what was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autobackup import yamltext
from tests.cli.conftest import EXAMPLES, Command, Ended

Files = Callable[[Mapping[str, str]], Path]

PREFIX = "stash.appscode.com/"
BLUEPRINT = (EXAMPLES / "blueprint-workload.yaml").read_text()
DEPLOYMENT = (EXAMPLES / "deployment.yaml").read_text()
CLAIM = (EXAMPLES / "pvc.yaml").read_text().replace("pvc-backup", "workload-backup")


@pytest.fixture
def resolve(command: Command, files: Files) -> Callable[..., Ended]:
    """Resolve these texts: blueprints and targets."""

    def run(*arguments: str, target: str = DEPLOYMENT, blueprint: str = BLUEPRINT) -> Ended:
        files({"bp.yaml": blueprint, "target.yaml": target})
        return command("resolve", "-b", "bp.yaml", "-f", "target.yaml", *arguments)

    return run


Resolve = Callable[..., Ended]


@pytest.mark.parametrize(
    ("key", "value", "line", "reason", "said"),
    [
        ("target-paths", "relative", 8, "InvalidAnnotation", "'relative': is not an absolute path"),
        ("target-paths", "/source/../etc", 8, "InvalidAnnotation", "without '..'"),
        ("target-paths", "/elsewhere", 8, "PathNotMounted", "'/elsewhere': lies under none of the mounts"),
        ("volume-mounts", "nope:/source/data", 9, "VolumeNotFound", "it has source-data"),
        ("volume-mounts", "source-data", 9, "InvalidAnnotation", "write volume:/mount/path"),
        ("backup-blueprint", "other", 7, "BlueprintNotFound", "given are workload-backup"),
        ("backup-blueprint", "No Name", 7, "InvalidAnnotation", "'No Name': is not the name of a BackupBlueprint"),
        ("backup-blueprint", "", 7, "InvalidAnnotation", "empty item"),
        ("backup-blueprint", "x" * 100_000, 7, "InvalidAnnotation", "longer than"),
        ("schedule", "every day", 10, "InvalidSchedule", "'every day': has 2 fields instead of five"),
        ("schedule", "0 0 31 2 *", 10, "InvalidSchedule", "'0 0 31 2 *'"),
        ("schedule", "${TARGET_NAME}", 10, "InvalidSchedule", "five"),
    ],
)
def test_an_annotation_that_cannot_be_used(
    resolve: Resolve, *, key: str, value: str, line: int, reason: str, said: str
) -> None:
    document: Any = yaml.safe_load(DEPLOYMENT)
    document["metadata"]["annotations"][PREFIX + key] = value
    ended = resolve(target=yaml.safe_dump(document, sort_keys=False, width=10**6))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"target.yaml:{line}: error: Deployment demo/stash-demo")
    assert f"{reason}: {PREFIX}{key} " in ended.err
    assert said in ended.err
    assert len(ended.err) < 1000


@pytest.mark.parametrize(
    ("old", "new", "line", "reason", "said"),
    [
        ("${TARGET_NAME}", "${TARGET_NAMES}", 11, "UnknownVariable", "known are TARGET_API_VERSION"),
        ("${TARGET_NAME}", "${TARGET_NAME", 11, "InvalidTemplate", "is never closed"),
        ("${TARGET_NAME}", "${TARGET_NAME%%x}", 11, "InvalidTemplate", "understood"),
        ('"15 2 * * *"', '"99 2 * * *"', 13, "InvalidSchedule", "'99 2 * * *'"),
        ("    s3:", "    s4:", 7, "InvalidBackend", "configures no provider"),
    ],
)
def test_a_blueprint_that_no_target_can_use(
    resolve: Resolve, *, old: str, new: str, line: int, reason: str, said: str
) -> None:
    ended = resolve("-q", blueprint=BLUEPRINT.replace(old, new))
    assert (ended.code, ended.out) == (1, "")
    first, second = ended.err.splitlines()
    assert first.startswith(f"bp.yaml:{line}: error: BackupBlueprint workload-backup: {reason}: spec.")
    assert said in first
    assert second.startswith("target.yaml:1: error: Deployment demo/stash-demo with blueprint workload-backup: Invalid")
    assert "see above" in second


@pytest.mark.parametrize(
    ("old", "new", "line", "reason", "said"),
    [
        ("${TARGET_NAME}", "${TARGET_APP_VERSION}", 11, "UnknownVariable", "has no value for a Deployment"),
        ("${TARGET_NAME}", "${TARGET_API_VERSION}", 11, "VariableRejected", "use ${TARGET_KIND}"),
        ("bucket: backups", "bucket: ''", 10, "InvalidBackend", "name the bucket"),
        ("stash-backup/", "../", 11, "InvalidBackend", "'.' or '..' segment"),
    ],
)
def test_a_blueprint_that_this_target_cannot_use(
    resolve: Resolve, *, old: str, new: str, line: int, reason: str, said: str
) -> None:
    ended = resolve("-q", blueprint=BLUEPRINT.replace(old, new))
    assert (ended.code, ended.out) == (1, "")
    assert re.match(rf"bp.yaml:{line}: error: Deployment demo/stash-demo with blueprint .*: {reason}: ", ended.err)
    assert said in ended.err


def test_one_bad_target_does_not_stand_in_the_way_of_another(resolve: Resolve) -> None:
    bad = CLAIM.replace("name: nfs-pvc", "name: bad").replace(
        "annotations:", 'annotations:\n    stash.appscode.com/schedule: "x"'
    )
    ended = resolve("-o", "name", target=f"{bad}---\n{CLAIM}")
    assert ended.code == 1
    assert "InvalidSchedule" in ended.err
    assert ended.out.splitlines() == [
        "repository.stash.appscode.com/pvc-nfs-pvc",
        "backupconfiguration.stash.appscode.com/pvc-nfs-pvc",
    ]


def test_two_targets_cannot_get_one_location(resolve: Resolve) -> None:
    blueprint = BLUEPRINT.replace("/${TARGET_KIND}/${TARGET_NAME}", "")
    ended = resolve("-o", "name", target=f"{CLAIM}---\n{CLAIM.replace('nfs-pvc', 'other')}", blueprint=blueprint)
    assert ended.code == 1
    assert ended.out.count("\n") == 2
    assert "PersistentVolumeClaim demo/other with blueprint workload-backup: LocationConflict" in ended.err
    assert "Repository demo/pvc-nfs-pvc" in ended.err
    assert "bp.yaml:7: warning: BackupBlueprint workload-backup: MayCollide" in ended.err


def test_several_blueprints_give_an_object_each(resolve: Resolve) -> None:
    other = BLUEPRINT.replace("workload-backup", "weekly").replace("stash-backup/", "weekly/")
    target = CLAIM.replace("workload-backup", "workload-backup, weekly")
    ended = resolve("-q", "-o", "name", target=target, blueprint=f"{BLUEPRINT}---\n{other}")
    assert ended.code == 0
    assert [line.partition("/")[2] for line in ended.out.splitlines()] == [
        "pvc-nfs-pvc-workload-backup",
        "pvc-nfs-pvc-workload-backup",
        "pvc-nfs-pvc-weekly",
        "pvc-nfs-pvc-weekly",
    ]


def test_what_may_not_be_meant_is_a_warning(resolve: Resolve) -> None:
    target = DEPLOYMENT.replace("annotations:", "annotations:\n    stash.appscode.com/target-path: /x")
    blueprint = BLUEPRINT.replace("schedule:", "shedule:")
    ended = resolve(target=target, blueprint=blueprint)
    assert ended.code == 0
    for said in (
        "target.yaml:7: warning: Deployment demo/stash-demo: UnknownAnnotation: annotation "
        "stash.appscode.com/target-path is not known; did you mean stash.appscode.com/target-paths?",
        "NoSchedule: no schedule",
        "bp.yaml:13: warning: BackupBlueprint workload-backup: spec.shedule is no field of a BackupBlueprint; "
        "did you mean schedule?",
    ):
        assert said in ended.err
    assert resolve("-q", target=target, blueprint=blueprint).err == ""


def test_a_nested_location_is_a_warning(resolve: Resolve) -> None:
    blueprint = BLUEPRINT.replace("/${TARGET_KIND}", "")
    inner = (
        BLUEPRINT.replace("workload-backup", "inner")
        .replace("${TARGET_NAME}", "${TARGET_NAME}/inner")
        .replace("/${TARGET_KIND}", "")
    )
    target = f"{CLAIM}---\n{CLAIM.replace('name: nfs-pvc', 'name: other').replace('workload-backup', 'inner')}"
    inner = inner.replace("${TARGET_NAME}/inner", "nfs-pvc/inner")
    ended = resolve(target=target, blueprint=f"{blueprint}---\n{inner}")
    assert ended.code == 0
    assert "PersistentVolumeClaim demo/other with blueprint inner: LocationNested" in ended.err


def test_a_target_without_the_annotation(resolve: Resolve) -> None:
    target = CLAIM.replace("stash.appscode.com/backup-blueprint", "example.com/other")
    ended = resolve(target=target)
    assert (ended.code, ended.out) == (1, "")
    assert "stash.appscode.com/backup-blueprint: workload-backup" in ended.err
    assert "--as-if" in ended.err
    pretended = resolve("--as-if", "-o", "name", target=target)
    assert (pretended.code, pretended.out.count("\n")) == (0, 2)
    named = resolve("--as-if", "workload-backup", "-o", "name", target=target)
    assert named.out == pretended.out
    wrong = resolve("--as-if", "other", "-o", "name", target=target)
    assert (wrong.code, wrong.out) == (1, "")
    assert "BlueprintNotFound" in wrong.err


def test_as_if_needs_a_name_when_there_are_several(resolve: Resolve) -> None:
    ended = resolve("--as-if", blueprint=f"{BLUEPRINT}---\n{BLUEPRINT.replace('workload-backup', 'second')}")
    assert ended.code == 2
    assert "workload-backup, second" in ended.err


def test_as_if_does_not_replace_what_a_target_asks_for(resolve: Resolve) -> None:
    assert "BlueprintNotFound" in resolve("--as-if", target=CLAIM.replace("workload-backup", "own")).err


def test_what_is_passed_over_is_told(resolve: Resolve) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
    silent = CLAIM.replace("stash.appscode.com/backup-blueprint", "example.com/x").replace("nfs-pvc", "silent")
    unused = BLUEPRINT.replace("workload-backup", "unused")
    owned = DEPLOYMENT.replace("kind: Deployment", "kind: ReplicaSet").replace(
        "  annotations:",
        "  ownerReferences:\n  - {kind: Deployment, name: shop, uid: u, controller: true}\n  annotations:",
    )
    ended = resolve(target="---\n".join((CLAIM, service, silent, owned)), blueprint=f"{BLUEPRINT}---\n{unused}")
    assert ended.code == 0
    for said in (
        "cannot be targets: Service",
        "no blueprint is named: PersistentVolumeClaim demo/silent",
        "no target names BackupBlueprint unused",
        "ReplicaSet demo/stash-demo belongs to Deployment shop",
    ):
        assert said in ended.err


def test_a_uid_that_is_not_known_is_left_out_and_said(resolve: Resolve) -> None:
    ended = resolve("-o", "json")
    repository, configuration = json.loads(ended.out)["items"]
    assert configuration["metadata"]["ownerReferences"][0]["uid"] == ""
    assert "uid" not in repository["metadata"]
    assert "uid of Deployment demo/stash-demo is not in the file" in ended.err
    assert "uid-of" not in ended.out
    known = resolve("-o", "json", target=DEPLOYMENT.replace("  name: stash-demo", "  uid: 2f1a\n  name: stash-demo", 1))
    owner = json.loads(known.out)["items"][1]["metadata"]["ownerReferences"][0]
    assert owner == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "stash-demo",
        "uid": "2f1a",
        "controller": True,
    }
    assert "uid" not in known.err


def test_two_unknown_uids_do_not_make_one_location(resolve: Resolve) -> None:
    blueprint = BLUEPRINT.replace("${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}", "${TARGET_UID}")
    ended = resolve(target=f"{CLAIM}---\n{CLAIM.replace('nfs-pvc', 'x' * 250)}", blueprint=blueprint)
    assert ended.code == 0, ended.err


def test_what_exists_already_is_respected(command: Command, files: Files) -> None:
    files({"bp.yaml": BLUEPRINT, "target.yaml": CLAIM})
    made = command("resolve", "-q", "-b", "bp.yaml", "-f", "target.yaml")
    # The operator's own objects are found again and stay.
    files({"live.yaml": made.out})
    again = command("resolve", "-q", "-b", "bp.yaml", "-f", "target.yaml", "-f", "live.yaml")
    assert (again.code, again.out) == (0, made.out)
    # Objects of others with these names are a conflict.
    foreign = made.out.replace("app.kubernetes.io/managed-by: autobackup", "a: b")
    files({"live.yaml": foreign})
    conflict = command("resolve", "-q", "-b", "bp.yaml", "-f", "target.yaml", "-f", "live.yaml")
    assert (conflict.code, conflict.out) == (1, "")
    assert "NameConflict" in conflict.err
    # A target that names no blueprint any more loses its BackupConfiguration.
    files({"live.yaml": made.out, "target.yaml": CLAIM.replace("stash.appscode.com/backup-blueprint", "x")})
    gone = command("resolve", "-b", "bp.yaml", "-f", "target.yaml", "-f", "live.yaml")
    assert (gone.code, gone.out) == (0, "")
    assert "BackupConfiguration demo/pvc-nfs-pvc would be deleted; Repository and data are kept" in gone.err


def test_a_changed_backend_of_a_used_repository_gets_a_successor(command: Command, files: Files) -> None:
    files({"bp.yaml": BLUEPRINT, "target.yaml": CLAIM})
    made = command("resolve", "-q", "-b", "bp.yaml", "-f", "target.yaml", "-o", "json")
    repository = json.loads(made.out)["items"][0]
    repository["status"] = {"snapshotCount": 3}
    files({"live.json": json.dumps(repository), "bp.yaml": BLUEPRINT.replace("bucket: backups", "bucket: other")})
    ended = command("resolve", "-b", "bp.yaml", "-f", "target.yaml", "-f", "live.json", "-o", "json")
    found = json.loads(ended.out)["items"]
    assert [item["kind"] for item in found] == ["Repository", "BackupConfiguration"]
    assert found[0]["metadata"]["name"] != repository["metadata"]["name"]
    assert found[1]["spec"]["repository"]["name"] == found[0]["metadata"]["name"]
    assert "Repository demo/pvc-nfs-pvc would be marked as succeeded" in ended.err


def test_a_changed_pod_template_is_taken_from_the_file(command: Command, files: Files) -> None:
    target = DEPLOYMENT.replace("  name: stash-demo", "  uid: 2f1a\n  generation: 4\n  name: stash-demo", 1)
    target = re.sub(r"    stash.appscode.com/(target-paths|volume-mounts).*\n", "", target)
    files({"bp.yaml": BLUEPRINT, "target.yaml": target})
    made = command("resolve", "-q", "-b", "bp.yaml", "-f", "target.yaml")
    files({"live.yaml": made.out, "target.yaml": target.replace("mountPath: /source/data", "mountPath: /moved")})
    ended = command("resolve", "-q", "-b", "bp.yaml", "-f", "target.yaml", "-f", "live.yaml", "-o", "json")
    assert json.loads(ended.out)["items"][1]["spec"]["target"]["paths"] == ["/moved"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["${TARGET_NAME}", "a", "${X", "/", "http://[", "http://x:99999999"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "value",
                    "params",
                    "bucket",
                    "prefix",
                    "endpoint",
                    "url",
                    "subPath",
                    "nfs",
                    "server",
                    "path",
                    "exec",
                    "selector",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)
SPECS = st.dictionaries(
    st.sampled_from(
        [
            "backend",
            "schedule",
            "task",
            "hooks",
            "usagePolicy",
            "repoNamespace",
            "backupNamespace",
            "retentionPolicy",
            "runtimeSettings",
            "tempDir",
        ]
    ),
    VALUES
    | st.dictionaries(
        st.sampled_from(["s3", "gcs", "rest", "local", "azure", "storageSecretName"]), VALUES, max_size=2
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spec=SPECS,
    pod=VALUES,
    annotations=st.dictionaries(
        st.sampled_from(["target-paths", "volume-mounts", "schedule", "x"]), st.text(max_size=20), max_size=3
    ),
)
def test_no_content_makes_the_command_crash(
    command: Command, files: Files, spec: object, pod: object, annotations: dict[str, str]
) -> None:
    blueprint = {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupBlueprint",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    found = {PREFIX + key: value for key, value in annotations.items()}
    target = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "b", "annotations": {**found, PREFIX + "backup-blueprint": "a"}},
        "spec": {"template": {"spec": pod}, "volumeClaimTemplates": pod},
    }
    files({"bp.json": json.dumps(blueprint), "target.yaml": yamltext.write(target)})
    ended = command("resolve", "-b", "bp.json", "-f", "target.yaml", "-o", "json")
    assert ended.code in (0, 1, 2)
    assert "this is a bug" not in ended.err
    assert ended.code == 2 or len(json.loads(ended.out)["items"]) == (2 if ended.code == 0 else 0)
