"""`autobackup password`: the password of a repository, from a cluster and without one."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from controller.passwords import derive
from tests.cli.conftest import Command
from tests.support.cluster import create_namespace, grant, remove_namespace, unique_name
from tools.controlplane import ApiClient, ControlPlane

LOCATION = "s3:s3.example.com:store|backups/shop"
MASTER = b"the-master"
EXPECTED = derive(MASTER, f"v1 {LOCATION}")
OWN = "autobackup.stash.appscode.com/"


def repository(
    name: str = "deploy-shop", *, own: bool = True, namespace: str = "demo", blueprint: str = "nightly"
) -> dict:
    annotations = {f"{OWN}target": f"Deployment/{namespace}/shop", f"{OWN}blueprint": blueprint}
    return {
        "apiVersion": "stash.appscode.com/v1alpha1",
        "kind": "Repository",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "autobackup"},
            "annotations": annotations | ({f"{OWN}password": "v1"} if own else {}),
        },
        "spec": {
            "backend": {
                "s3": {"endpoint": "s3.example.com", "bucket": "store", "prefix": "/backups/shop/"},
                "storageSecretName": "storage",
            }
        },
    }


@pytest.fixture
def master(tmp_path: Path) -> str:
    (tmp_path / "master").write_bytes(MASTER)
    return str(tmp_path / "master")


def test_from_a_file_and_a_location(command: Command, master: str) -> None:
    ended = command("password", "--master-file", master, "--location", LOCATION)
    assert (ended.code, ended.out, ended.err) == (0, EXPECTED + "\n", "")


def test_from_a_file_and_a_manifest(command: Command, master: str, tmp_path: Path) -> None:
    (tmp_path / "repository.yaml").write_text(yaml.safe_dump(repository()))
    ended = command("password", "--master-file", master, "-f", str(tmp_path / "repository.yaml"))
    assert (ended.code, ended.out) == (0, EXPECTED + "\n")
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(repository(own=False)))
    ended = command("password", "--master-file", master, "-f", str(tmp_path / "other.yaml"))
    assert ended.code == 1
    assert "has no password of its own; it is RESTIC_PASSWORD in Secret demo/storage" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one repository"),
        (("deployment/shop", "--location", "x"), "name one repository"),
        (("--location", "x"), "--master-file"),
        (("--location", "x", "--master-file", "absent"), "cannot be read"),
        (("shop",), "is no target"),
        (("cronjob/shop",), "is no target"),
    ],
)
def test_what_cannot_be_meant(command: Command, arguments: tuple[str, ...], said: str) -> None:
    ended = command("password", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.cluster
def test_from_a_cluster(command: Command, control_plane: ControlPlane, api: ApiClient, crds: list[str]) -> None:
    demo, vault, blueprint = unique_name("demo"), unique_name("vault"), unique_name("bp")
    for namespace in (demo, vault):
        create_namespace(api, namespace)
    source = {"namespace": vault, "name": "bucket"}
    backend = {**repository()["spec"]["backend"], "storageSecretName": "storage-${TARGET_KIND}-${TARGET_NAME}"}
    api.create(
        {
            "apiVersion": "stash.appscode.com/v1beta1",
            "kind": "BackupBlueprint",
            "metadata": {"name": blueprint},
            "spec": {
                "backend": backend,
                "retentionPolicy": {"name": "keep", "keepLast": 1, "prune": True},
                "storageSecret": {"source": source, "passwordPerRepository": True},
            },
        }
    )
    data = {"RESTIC_PASSWORD": base64.b64encode(MASTER).decode()}
    api.create({"apiVersion": "v1", "kind": "Secret", "metadata": source, "data": data})
    api.create(repository(namespace=demo, blueprint=blueprint))
    read = {"apiGroups": ["stash.appscode.com"], "resources": ["*"], "verbs": ["get", "list"]}
    grant(api, control_plane.users["bob"], [read])
    admin, bob = (("--kubeconfig", str(control_plane.kubeconfig(user)), "-n", demo) for user in ("admin", "bob"))
    try:
        for name in ("deployment/shop", "deploy/shop", "repository/deploy-shop"):
            ended = command("password", name, *admin)
            assert (ended.code, ended.out) == (0, EXPECTED + "\n"), ended.err
        ended = command("password", "deployment/shop", *bob)
        assert (ended.code, ended.out) == (1, "")
        assert "you lack a right" in ended.err
        ended = command("password", "deployment/other", *admin)
        assert (ended.code, ended.out) == (1, "")
        api.create(repository("deploy-shop-weekly", namespace=demo, blueprint="weekly"))
        assert "several Repositories" in command("password", "deployment/shop", *admin).err
        assert command("password", "deployment/shop", "--blueprint", blueprint, *admin).out == EXPECTED + "\n"
        ended = command("password", "repository/deploy-shop-weekly", "--source", f"{vault}/bucket", *admin)
        assert ended.out == EXPECTED + "\n"
    finally:
        for namespace in (demo, vault):
            remove_namespace(api, namespace)
        api.delete("stash.appscode.com/v1beta1/BackupBlueprint", blueprint)
