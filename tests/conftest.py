"""Fixtures for everything that needs a real API server.

One control plane serves a whole run and starts when the first test asks for it; a test that stops, kills or
reconfigures a server starts a `ControlPlane` of its own, or takes the one of its folder, which is called `plane`. Every
test that uses either is marked `cluster`, so `-m "not cluster"` is the suite that needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tools.controlplane import ApiClient, AuditLog, ControlPlane, install_crds

_CONTROL_PLANES = frozenset({"control_plane", "plane"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not _CONTROL_PLANES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """etcd and kube-apiserver with an audit log, shared by the whole run: do not stop or break it."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> ApiClient:
    """The administrator's client."""
    return control_plane.client("admin")


@pytest.fixture(scope="session")
def crds(api: ApiClient) -> list[str]:
    """All CRDs of manifests/crds are installed and served; their names."""
    return install_crds(api)


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """The administrator's kubeconfig; `control_plane.kubeconfig("operator")` gives others."""
    return control_plane.kubeconfig("admin")


@pytest.fixture
def audit_log(control_plane: ControlPlane) -> AuditLog:
    return control_plane.audit_log


@pytest.fixture
def namespace(request: pytest.FixtureRequest, api: ApiClient) -> Iterator[str]:
    """A namespace of this test's own; it and all that is in it are gone afterwards."""
    name = unique_name(request.node.name)
    create_namespace(api, name)
    yield name
    remove_namespace(api, name)
