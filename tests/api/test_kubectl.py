"""The API as a person with kubectl meets it: installing, explaining, listing, filtering, waiting."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.examples import Object, examples
from tests.api.test_samples import with_defaults
from tests.support.cluster import unique_name
from tools.controlplane import ApiClient, ControlPlane
from tools.crds.__main__ import DIRECTORY
from tools.crds.kinds import KINDS

Kubectl = Callable[..., str]
TIME = "2026-01-02T03:04:05Z"


@pytest.fixture
def kubectl(control_plane: ControlPlane, kubeconfig: Path) -> Kubectl:
    program = control_plane.program("kubectl")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, f"--kubeconfig={kubeconfig}", *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def blueprint(api: ApiClient, crds: list[str]) -> Any:
    """A blueprint with a status as the operator writes it."""
    manifest = next(examples("BackupBlueprint"))
    manifest["metadata"]["name"] = unique_name("blueprint")
    created = api.create(manifest)
    condition = {"type": "Ready", "status": "True", "reason": "Configured", "message": "2 of 3 targets are configured"}
    status = {
        "observedGeneration": created["metadata"]["generation"],
        "conditions": [{**condition, "observedGeneration": 1, "lastTransitionTime": TIME}],
        "matched": 3,
        "configured": 2,
        "failed": 1,
        "pending": 0,
        "failures": [{"kind": "Deployment", "namespace": "demo", "name": "web", "reason": "InvalidAnnotation"}],
        "storageSecrets": [{"namespace": "demo", "name": "storage", "state": "Missing"}],
    }
    kind = "stash.appscode.com/v1beta1/BackupBlueprint"
    name = manifest["metadata"]["name"]
    updated = api.patch(kind, name, {"status": status}, subresource="status")
    assert updated["status"] == status
    yield updated
    api.delete(kind, name)


def table(text: str) -> dict[str, str]:
    """Header and first row of what `kubectl get` printed."""
    header, row, *_ = text.splitlines()
    starts = [name.start() for name in re.finditer(r"\S+", header)]
    ends = [*starts[1:], None]
    return {header[start:end].strip(): row[start:end].strip() for start, end in zip(starts, ends, strict=True)}


def test_definitions_are_established_and_draw_no_warning(api: ApiClient, crds: list[str], kubectl: Kubectl) -> None:
    assert sorted(crds) == sorted(kind.name for kind in KINDS)
    for name in crds:
        definition = api.get("apiextensions.k8s.io/v1/CustomResourceDefinition", name)
        conditions = {one["type"]: one["status"] for one in definition["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}, name
    said = kubectl("replace", "--dry-run=server", "--validate=strict", "-f", str(DIRECTORY))
    assert len(said.splitlines()) == len(KINDS)
    assert "Warning" not in said


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.status is not None], ids=lambda kind: kind.kind)
def test_a_status_is_written_through_its_subresource_only(
    api: ApiClient, crds: list[str], namespace: str, kind: Any
) -> None:
    example = next(examples(kind.kind)) | {"status": {"observedGeneration": 7, "phase": "Ready"}}
    example["metadata"]["name"] = unique_name("status")
    created = api.create(example, namespace=namespace if kind.namespaced else None)
    assert "status" not in created
    if not kind.namespaced:
        api.delete(f"{kind.group}/{kind.version}/{kind.kind}", example["metadata"]["name"])


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("bb.spec.schedule", "five cron fields"),
        ("bb.status.failures.reason", "CamelCase"),
        ("repo.spec.backend.local.nfs.server", "Host name"),
        ("bc.spec.target.volumeMounts.mountPath", "Path in the container"),
        ("backupsessions.status.targets.stats.snapshots.fileStats", "Files of the snapshot"),
        ("restore.spec.target.rules.targetHosts", "Hosts"),
        ("appbindings.spec.parameters", "stash.addon"),
    ],
)
def test_explain(crds: list[str], kubectl: Kubectl, field: str, said: str) -> None:
    assert said in kubectl("explain", field)


def test_columns_of_a_blueprint(blueprint: Object, kubectl: Kubectl) -> None:
    name = blueprint["metadata"]["name"]
    shown = table(kubectl("get", "bb", name))
    age = shown.pop("AGE")
    assert age
    assert shown == {
        "NAME": name,
        "SCHEDULE": "0 2 * * *",
        "TASK": "pvc-backup",
        "MATCHED": "3",
        "CONFIGURED": "2",
        "FAILED": "1",
        "READY": "True",
    }
    wide = table(kubectl("get", "bb", name, "-o", "wide"))
    assert (wide["PENDING"], wide["SECRET"]) == ("0", "storage")
    assert wide["MESSAGE"] == "2 of 3 targets are configured"


def test_wait_for_a_blueprint(blueprint: Object, kubectl: Kubectl) -> None:
    said = kubectl("wait", "--for=condition=Ready", "--timeout=5s", f"bb/{blueprint['metadata']['name']}")
    assert "condition met" in said


def test_columns_of_the_generated_objects(api: ApiClient, crds: list[str], namespace: str, kubectl: Kubectl) -> None:
    api.create(next(examples("Repository")), namespace=namespace)
    api.create(next(examples("BackupConfiguration")), namespace=namespace)
    measured = {"integrity": True, "totalSize": "1.2 GiB", "snapshotCount": 4, "lastBackupTime": TIME}
    kind = "stash.appscode.com/v1alpha1/Repository"
    api.patch(kind, "example", {"status": measured}, namespace=namespace, subresource="status")
    kind = "stash.appscode.com/v1beta1/BackupConfiguration"
    api.patch(kind, "example", {"status": {"phase": "Ready"}}, namespace=namespace, subresource="status")

    repository = table(kubectl("get", "repo", "-n", namespace, "-o", "wide"))
    assert (repository["INTEGRITY"], repository["SIZE"], repository["SNAPSHOT-COUNT"]) == ("true", "1.2 GiB", "4")
    assert repository["LAST-SUCCESSFUL-BACKUP"].endswith("d")
    assert repository["SECRET"] == "storage"

    configuration = table(kubectl("get", "bc", "-n", namespace, "-o", "wide"))
    configuration.pop("AGE")
    assert configuration == {
        "NAME": "example",
        "TARGET-KIND": "Deployment",
        "TARGET": "web",
        "TASK": "pvc-backup",
        "SCHEDULE": "0 2 * * *",
        "PAUSED": "",
        "PHASE": "Ready",
        "REPOSITORY": "web",
    }
    together = kubectl("get", "autobackup", "-n", namespace, "-o", "name").split()
    assert {f"{kind}.stash.appscode.com/example" for kind in ("repository", "backupconfiguration")} <= set(together)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec.target.ref.kind", "Deployment"),
        ("spec.target.ref.name", "web"),
        ("spec.repository.name", "web"),
        ("spec.schedule", "0 2 * * *"),
    ],
)
def test_field_selectors(api: ApiClient, crds: list[str], namespace: str, field: str, value: str) -> None:
    api.create(next(examples("BackupConfiguration")), namespace=namespace)
    kind = "stash.appscode.com/v1beta1/BackupConfiguration"
    assert len(api.list(kind, namespace=namespace, fields=f"{field}={value}")) == 1
    assert api.list(kind, namespace=namespace, fields=f"{field}=other") == []


@pytest.mark.parametrize("kind", ["Repository", "BackupConfiguration"])
def test_what_is_applied_is_what_is_read(api: ApiClient, crds: list[str], namespace: str, kind: str) -> None:
    """The operator compares the two to find out whether a write is needed."""
    for number, example in enumerate(examples(kind)):
        example["metadata"] = {"name": f"example-{number}", "namespace": namespace}
        first = api.apply(example, manager="autobackup")
        assert first["spec"] == with_defaults(kind, example["spec"])
        assert owned_by(first, "autobackup") == leaves(example["spec"])
        again = api.apply(example, manager="autobackup")
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


@pytest.mark.parametrize("kind", ["Repository", "BackupConfiguration"])
def test_a_default_belongs_to_nobody(api: ApiClient, crds: list[str], namespace: str, kind: str) -> None:
    example = next(examples(kind))
    example["metadata"]["namespace"] = namespace
    spec = example["spec"]
    spec.pop("driver", None)
    if kind == "Repository":
        spec["usagePolicy"]["allowedNamespaces"] = {}
    else:
        spec["retryConfig"] = {"delay": "1m"}
    applied = api.apply(example, manager="autobackup")
    assert applied["spec"] != spec
    assert owned_by(applied, "autobackup") == leaves(spec)


def leaves(value: Any, path: str = "") -> set[str]:
    """Paths of what has no fields of its own; a list is one leaf, and so is an atomic map."""
    if not isinstance(value, dict) or not value or path.endswith(".selector"):
        return {path}
    return {leaf for name, child in value.items() for leaf in leaves(child, f"{path}.{name}")}


def owned_by(obj: Object, manager: str) -> set[str]:
    [entry] = [entry for entry in obj["metadata"]["managedFields"] if entry["manager"] == manager]

    def walk(fields: Object, path: str = "") -> set[str]:
        children = {name.removeprefix("f:"): child for name, child in fields.items() if name != "."}
        if not children:
            return {path}
        return {leaf for name, child in children.items() for leaf in walk(child, f"{path}.{name}")}

    return walk(entry["fieldsV1"]["f:spec"])


def test_a_list_belongs_to_one_manager_as_a_whole(api: ApiClient, crds: list[str], namespace: str) -> None:
    """No second manager can add an entry beside ours: it takes the list, and we see that."""
    example = next(examples("BackupConfiguration"))
    example["metadata"]["namespace"] = namespace
    api.apply(example, manager="autobackup")
    intruder = json.loads(json.dumps(example))
    intruder["spec"] = {
        "target": {"volumeMounts": [{"name": "more", "mountPath": "/more"}]},
        "retentionPolicy": example["spec"]["retentionPolicy"],
    }
    changed = api.apply(intruder, manager="somebody", force=True)
    assert changed["spec"]["target"]["volumeMounts"] == intruder["spec"]["target"]["volumeMounts"]
