"""One operator for the tests that do not break it; a stage for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.autobackup.stage import Stage, grant_operator
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane


@pytest.fixture(scope="session")
def operator(control_plane: ControlPlane, crds: list[str]) -> Iterator[OperatorProcess]:
    """The operator with the shipped rights, on the shared control plane: do not stop it."""
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
