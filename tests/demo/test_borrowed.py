"""`KUBECONFIG=... make demo`: somebody's cluster is asked for, used carefully and left as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.performance import is_running, performed
from tests.demo.test_demo import table
from tools.controlplane import ApiClient, ControlPlane, install_crds, remove_crd
from tools.controlplane.manifests import CRD

pytestmark = pytest.mark.cluster

BLUEPRINTS = "backupblueprints.stash.appscode.com"
_RBAC = "rbac.authorization.k8s.io/v1"
_MINE = "autobackup-demo-"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A cluster of somebody else, with the controllers that it takes to remove a namespace with a claim in it."""
    with ControlPlane() as plane:
        plane.start_controllers(["namespace-controller", "persistentvolumeclaim-protection-controller"])
        yield plane


@pytest.fixture
def kubeconfig(cluster: ControlPlane) -> str:
    return str(cluster.kubeconfig("admin"))


@pytest.fixture
def admin(cluster: ControlPlane) -> ApiClient:
    return cluster.client()


def left_over(admin: ApiClient) -> list[str]:
    """What a demo left behind."""
    kinds = ["v1/Namespace", f"{_RBAC}/ClusterRole", f"{_RBAC}/ClusterRoleBinding"]
    if admin.find(CRD, BLUEPRINTS):
        kinds.append("stash.appscode.com/v1beta1/BackupBlueprint")
    return [
        f"{kind} {each['metadata']['name']}"
        for kind in kinds
        for each in admin.list(kind)
        if each["metadata"]["name"].startswith(_MINE)
    ]


def crds(admin: ApiClient) -> dict[str, tuple[str, str]]:
    return {
        each["metadata"]["name"]: (each["metadata"]["uid"], each["metadata"]["resourceVersion"])
        for each in admin.list(CRD)
    }


def test_nothing_is_done_when_nobody_can_be_asked(cluster: ControlPlane, kubeconfig: str) -> None:
    mark = cluster.audit_log.mark()
    with performed(KUBECONFIG=kubeconfig) as performance:
        assert performance.wait() == 2
    assert "Namespace autobackup-demo-" in performance.text, "it says what it would do"
    assert "YES=1" in performance.text
    assert cluster.audit_log.writes(mark, user="admin") == []


@pytest.mark.slow
def test_a_bare_cluster_is_left_bare_and_the_rights_suffice(
    cluster: ControlPlane, kubeconfig: str, admin: ApiClient
) -> None:
    mark = cluster.audit_log.mark()
    with performed(KUBECONFIG=kubeconfig, YES="1") as performance:
        assert performance.wait() == 0, performance.text
    assert {cells[3] for cells in table(performance.text).values()} == {"Configured"}
    assert left_over(admin) == []
    assert crds(admin) == {}
    denied = [
        event
        for event in cluster.audit_log.requests(mark, verbs=None)
        if event.is_denied and event.user.endswith(":autobackup")
    ]
    # Events about blueprints go into the namespace "default", which is not the demo's own.
    assert {(event.resource, event.namespace) for event in denied} <= {("events", "default")}


def test_a_blueprint_crd_without_status_is_refused(kubeconfig: str, admin: ApiClient) -> None:
    names = {
        "plural": "backupblueprints",
        "singular": "backupblueprint",
        "kind": "BackupBlueprint",
        "listKind": "BackupBlueprintList",
    }
    open_schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version: dict[str, Any] = {"name": "v1beta1", "served": True, "storage": True, "schema": open_schema}
    admin.create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": BLUEPRINTS},
            "spec": {"group": "stash.appscode.com", "scope": "Cluster", "names": names, "versions": [version]},
        }
    )
    try:
        with performed(KUBECONFIG=kubeconfig, YES="1") as performance:
            assert performance.wait() == 2
        assert "has no status" in performance.text
    finally:
        remove_crd(admin, BLUEPRINTS)


@pytest.fixture(scope="module")
def present_crds(cluster: ControlPlane) -> dict[str, tuple[str, str]]:
    """The CRDs are on the cluster already: from here on they must be used as they are."""
    admin = cluster.client()
    install_crds(admin)
    return crds(admin)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
@pytest.mark.slow
def test_a_step_that_is_not_observed_fails_the_demo(
    kubeconfig: str, admin: ApiClient, present_crds: dict[str, tuple[str, str]], how: signal.Signals
) -> None:
    with performed("--timeout", "10", KUBECONFIG=kubeconfig, YES="1") as performance:
        pid, log = performance.operator()
        performance.wait_for("the operator is ready")
        os.kill(pid, how)
        assert performance.wait() == 1, performance.text
    try:
        expected = (
            "the operator is gone (exit code -9)" if how is signal.SIGKILL else "not seen on the API server within 10 s"
        )
        failure = performance.text[performance.text.index("The demo failed:") :]
        assert expected in failure
        assert f"The operator's log is {log}; it ends with:" in failure
        assert "Caches are complete" in failure
        assert "Caches are complete" in log.read_text()
    finally:
        log.unlink()
    assert not is_running(pid)
    assert left_over(admin) == []
    assert crds(admin) == present_crds


@pytest.mark.slow
def test_interrupted_it_still_cleans_up(
    kubeconfig: str, admin: ApiClient, present_crds: dict[str, tuple[str, str]]
) -> None:
    with performed(KUBECONFIG=kubeconfig, YES="1") as performance:
        pid, log = performance.operator()
        performance.wait_for("A StatefulSet asks for backups")
        performance.interrupt()
        assert performance.wait() == 130, performance.text
    assert not is_running(pid)
    assert not log.exists()
    assert left_over(admin) == []
    assert crds(admin) == present_crds


def test_an_unreachable_cluster_is_named(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, users: [{name: u, user: {token: t}}],"
        " contexts: [{name: a, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9', insecure-skip-tls-verify: true}}]}"
    )
    with performed(KUBECONFIG=str(file), YES="1") as performance:
        assert performance.wait() == 2
    assert "https://127.0.0.1:9" in performance.text
