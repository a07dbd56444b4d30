"""A control plane of the module's own, on which operators compete with the shipped rights and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autobackup.stage import Stage, grant_operator
from tests.election.replicas import NAMESPACE
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tools.controlplane import ControlPlane, install_crds

_RBAC = "rbac.authorization.k8s.io"
_ROLE = "autobackup-leader-election"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as started:
        install_crds(started.client("admin"))
        yield started


@pytest.fixture(scope="module")
def account(plane: ControlPlane) -> Path:
    """The operator's kubeconfig; the right on the Lease is bound in the operator's own namespace alone."""
    grant_operator(plane)
    api = plane.client("admin")
    if api.find(f"{_RBAC}/v1/ClusterRoleBinding", _ROLE) is not None:
        api.delete(f"{_RBAC}/v1/ClusterRoleBinding", _ROLE)
    api.create(
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": _ROLE, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": _ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": "autobackup", "namespace": NAMESPACE}],
        }
    )
    return plane.kubeconfig("operator", namespace=NAMESPACE)


@pytest.fixture
def scene(plane: ControlPlane, account: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A namespace for the targets of a test."""
    api = plane.client("admin")
    name = unique_name(request.node.name)
    create_namespace(api, name)
    stage = Stage(api, name)
    yield stage
    stage.clean()
    remove_namespace(api, name)
