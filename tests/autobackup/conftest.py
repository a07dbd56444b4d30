"""One operator for tests that do not break it; a control plane of their own for those that break something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autobackup.stage import Stage, grant_operator
from tests.support.cluster import create_namespace, unique_name
from tests.support.faultproxy import FaultProxy
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, install_crds


@pytest.fixture(scope="package")
def operator(control_plane: ControlPlane, crds: list[str]) -> Iterator[OperatorProcess]:
    """The operator with the shipped rights, on the shared control plane: do not stop it. It ends with this folder,
    because it would write into the blueprints of others."""
    with OperatorProcess(grant_operator(control_plane)) as process:
        yield process
        assert process.exit_code is None, f"the operator ended by itself\n{process.tail()}"


@pytest.fixture
def stage(operator: OperatorProcess, api: ApiClient, namespace: str) -> Iterator[Stage]:
    """A namespace in which the operator is at work."""
    found = Stage(api, namespace)
    yield found
    found.clean()
    assert operator.exit_code is None, f"the operator ended by itself\n{operator.tail()}"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of this module's own, with the CRDs: it may be stopped, killed and starved, and every request
    in its audit log has a known author. Tests leave it running, as they found it."""
    with ControlPlane() as started:
        install_crds(started.client("admin"))
        yield started


@pytest.fixture(scope="module")
def account(plane: ControlPlane) -> Path:
    """The kubeconfig of an operator with the shipped rights."""
    return grant_operator(plane)


@pytest.fixture
def scene(plane: ControlPlane, account: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A namespace on the module's own control plane. The test starts the operators it wants."""
    api = plane.client("admin")
    name = unique_name(request.node.name)
    create_namespace(api, name)
    stage = Stage(api, name)
    yield stage
    stage.clean()


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(plane.apiserver) as running:
        yield running


@pytest.fixture
def by_proxy(plane: ControlPlane, account: Path, proxy: FaultProxy) -> Path:
    """A kubeconfig whose way to the API server leads through the proxy."""
    assert account.exists()
    return plane.kubeconfig("operator", server=proxy.url)
