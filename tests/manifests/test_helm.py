"""The life of a release on a real API server: installed, changed, uninstalled, installed again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import create_namespace
from tools.controlplane import ApiClient, ControlPlane, install_crds
from tools.controlplane.manifests import CRD, wait_served
from tools.manifests import CHART, ChartError
from tools.manifests.chart import NAMESPACE, run_helm

Object = dict[str, Any]
BINDINGS = "rbac.authorization.k8s.io/v1/ClusterRoleBinding"
REPOSITORY = "stash.appscode.com/v1alpha1/Repository"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as started:
        yield started


@pytest.fixture(scope="module")
def admin(plane: ControlPlane) -> ApiClient:
    return plane.client("admin")


def helm(plane: ControlPlane, verb: str, *arguments: str) -> str:
    where = ["--namespace", NAMESPACE, "--kubeconfig", str(plane.kubeconfig("admin"))]
    return run_helm(verb, "autobackup", *arguments, *where)


def installed(plane: ControlPlane, *arguments: str) -> str:
    return helm(plane, "install", str(CHART), "--create-namespace", *arguments)


def release(admin: ApiClient) -> set[tuple[str, str]]:
    """What of the release is there, but for CRDs."""
    kinds = [
        "apps/v1/Deployment",
        "v1/ServiceAccount",
        "policy/v1/PodDisruptionBudget",
        "rbac.authorization.k8s.io/v1/ClusterRole",
        BINDINGS,
        "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy",
    ]
    label = "app.kubernetes.io/instance=autobackup"
    return {(kind, each["metadata"]["name"]) for kind in kinds for each in admin.list(kind, labels=label)}


def test_a_release_comes_changes_and_goes_and_leaves_what_people_made(plane: ControlPlane, admin: ApiClient) -> None:
    notes = installed(plane)
    assert "rollout status deployment/autobackup" in notes
    first = release(admin)
    assert {name for kind, name in first if kind == BINDINGS} >= {"autobackup-targets", "autobackup-events"}
    repository: Object = {
        "apiVersion": "stash.appscode.com/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "precious", "namespace": "default"},
        "spec": {"backend": {"s3": {"endpoint": "s3.example.com", "bucket": "b"}, "storageSecretName": "s"}},
    }
    wait_served(admin, "repositories.stash.appscode.com")
    uid = admin.create(repository)["metadata"]["uid"]

    create_namespace(admin, "shop")
    helm(plane, "upgrade", str(CHART), "--set", "namespaces={shop}")
    narrowed = {name for kind, name in release(admin) if kind == BINDINGS}
    assert narrowed == {"autobackup-blueprints", "autobackup-namespaces", "autobackup-metrics-access"}
    bound = admin.list("rbac.authorization.k8s.io/v1/RoleBinding", namespace="shop")
    assert {each["metadata"]["name"] for each in bound} == {"autobackup-targets", "autobackup-events"}

    helm(plane, "uninstall")
    assert release(admin) == set()
    crds = {each["metadata"]["name"] for each in admin.list(CRD)}
    assert len(crds) == len(list((CHART.parent / "crds").glob("*.yaml")))
    assert admin.get(REPOSITORY, "precious", namespace="default")["metadata"]["uid"] == uid

    installed(plane)
    assert release(admin) == first
    assert admin.get(REPOSITORY, "precious", namespace="default")["metadata"]["uid"] == uid


def test_crds_of_somebody_else_are_not_taken_over_unasked(plane: ControlPlane, admin: ApiClient) -> None:
    """After the release above, whose CRDs are still there: without its marks they could be anybody's."""
    if release(admin):
        helm(plane, "uninstall")
    install_crds(admin)
    for crd in admin.list(CRD):
        admin.annotate(CRD, crd["metadata"]["name"], dict.fromkeys(crd["metadata"].get("annotations", {})))
    with pytest.raises(ChartError, match="cannot be imported into the current release"):
        installed(plane)
    installed(plane, "--set", "crds.enabled=false")
    assert release(admin)
    helm(plane, "upgrade", str(CHART), "--reset-values", "--take-ownership")
    annotations = admin.get(CRD, "repositories.stash.appscode.com")["metadata"]["annotations"]
    assert annotations["meta.helm.sh/release-name"] == "autobackup"
    assert annotations["helm.sh/resource-policy"] == "keep"
