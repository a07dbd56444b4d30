"""`autobackup adopt` against a real API server: what is found, what is written, with whose rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconcilers import marks
from reconcilers.keys import Key
from tests.cli.conftest import Command
from tests.support.cluster import create_namespace, grant, unique_name
from tools.controlplane import ApiClient, ControlPlane, wait_for

REPOSITORY = "stash.appscode.com/v1alpha1/Repository"


class Estate:
    """A namespace, and another one with the Repositories of targets in this and in an earlier life of it."""

    def __init__(self, api: ApiClient, name: str) -> None:
        self.api = api
        self.name = name
        self.vault = f"{name[:50]}-vault"
        self.uid = create_namespace(api, name)["metadata"]["uid"]
        create_namespace(api, self.vault)

    def leave(self, kind: str, name: str, *, uid: str = "earlier", namespace: str = "") -> str:
        """A Repository of a target in a life of the namespace; its name."""
        mark = marks.Mark(Key(kind, namespace or self.name, name), "nightly")
        made = f"{kind.lower()}-{name}"
        backend = {"s3": {"endpoint": "s3.example.com", "bucket": "b", "prefix": made}, "storageSecretName": "s"}
        annotations = marks.annotations_of(mark) | ({marks.NAMESPACE_UID: uid} if uid else {})
        metadata = {"name": made, "namespace": self.vault, "labels": marks.labels_of(mark), "annotations": annotations}
        self.api.create(
            {
                "apiVersion": "stash.appscode.com/v1alpha1",
                "kind": "Repository",
                "metadata": metadata,
                "spec": {"backend": backend},
            }
        )
        return made

    def uid_of(self, repository: str) -> str:
        annotations = self.api.get(REPOSITORY, repository, namespace=self.vault)["metadata"]["annotations"]
        return str(annotations.get(marks.NAMESPACE_UID, ""))


@pytest.fixture
def estate(api: ApiClient, crds: list[str], request: pytest.FixtureRequest) -> Estate:
    return Estate(api, unique_name(request.node.name))


def test_one_target_is_given_what_it_left(estate: Estate, command: Command, kubeconfig: Path) -> None:
    mine, other = estate.leave("PersistentVolumeClaim", "data"), estate.leave("Deployment", "shop")
    flags = ("-n", estate.name, "--kubeconfig", kubeconfig)
    tried = command("adopt", "pvc/data", "--dry-run", *flags)
    assert tried.code == 0
    assert "would be adopted" in tried.out
    assert estate.uid_of(mine) == "earlier"
    done = command("adopt", "pvc/data", *flags, "-o", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        "adoptions": [
            {
                "repository": {"namespace": estate.vault, "name": mine},
                "target": "PersistentVolumeClaim/data",
                "earlierNamespaceUID": "earlier",
                "namespaceUID": estate.uid,
                "result": "adopted",
            }
        ]
    }
    assert estate.uid_of(mine) == estate.uid
    assert estate.uid_of(other) == "earlier"
    owners = estate.api.get(REPOSITORY, mine, namespace=estate.vault)["metadata"]["managedFields"]
    assert "autobackup-adopt" in {owner["manager"] for owner in owners}
    again = command("adopt", "pvc/data", *flags)
    assert again.code == 1
    assert "nothing to adopt" in again.err


def test_all_of_a_namespace_and_nothing_else(estate: Estate, command: Command, kubeconfig: Path) -> None:
    mine = [estate.leave("PersistentVolumeClaim", "data"), estate.leave("Deployment", "shop")]
    present = estate.leave("Deployment", "web", uid=estate.uid)
    elsewhere = estate.leave("Deployment", "blog", namespace="elsewhere")
    done = command("adopt", "--all", "-n", estate.name, "--kubeconfig", kubeconfig)
    assert done.code == 0, done.err
    assert [estate.uid_of(each) for each in mine] == [estate.uid] * 2
    assert estate.uid_of(present) == estate.uid
    assert estate.uid_of(elsewhere) == "earlier"
    assert command("adopt", "--all", "-n", estate.name, "--kubeconfig", kubeconfig).code == 1


@pytest.mark.parametrize(
    "words", [(), ("pvc/data", "--all"), ("data",), ("pvc/",), ("pod/data",), ("pvc/a/b",)], ids=" ".join
)
def test_what_cannot_be_meant(words: tuple[str, ...], command: Command, kubeconfig: Path) -> None:
    ended = command("adopt", *words, "--kubeconfig", kubeconfig)
    assert ended.code == 2
    assert ended.out == ""


def test_a_namespace_that_is_not_there(command: Command, kubeconfig: Path) -> None:
    ended = command("adopt", "--all", "-n", "nowhere", "--kubeconfig", kubeconfig)
    assert ended.code == 1
    assert "namespace nowhere: there is none" in ended.err


def test_it_takes_the_rights_of_who_adopts(
    estate: Estate, command: Command, control_plane: ControlPlane, api: ApiClient
) -> None:
    mine = estate.leave("PersistentVolumeClaim", "data")
    bob = control_plane.users["bob"]
    flags = ("--all", "-n", estate.name, "--kubeconfig", control_plane.kubeconfig("bob"))
    refused = command("adopt", *flags)
    assert refused.code == 1
    assert "namespace" in refused.err
    assert "bug" not in refused.err

    reading: list[dict[str, Any]] = [
        {"apiGroups": ["stash.appscode.com"], "resources": ["repositories"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
    ]
    grant(api, bob, reading)

    def tried() -> bool:
        ended = command("adopt", *flags, "-o", "json")
        assert ended.code == 1
        (adoption,) = json.loads(ended.out)["adoptions"]
        assert adoption["result"] == "failed"
        assert "cannot patch resource" in adoption["message"]
        return True

    wait_for(tried, 20, what="bob to see what he may not write")
    assert estate.uid_of(mine) == "earlier"
