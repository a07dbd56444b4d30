"""An API server on which the default overlay is installed, for the tests that do not break it.

Everything here takes programs that are built from source (helm, kubectl, linters), so none of it is a unit test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.autobackup.stage import Stage
from tests.support.cluster import create_namespace, unique_name
from tools.controlplane import ApiClient, ControlPlane, apply_manifests
from tools.manifests import build
from tools.manifests.chart import NAMESPACE
from tools.manifests.kustomize import TREE

Object = dict[str, Any]
OPERATOR = f"system:serviceaccount:{NAMESPACE}:autobackup"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package")
def objects() -> list[Object]:
    return build(TREE / "overlays" / "default")


@pytest.fixture(scope="package")
def plane(objects: list[Object]) -> Iterator[ControlPlane]:
    """A control plane on which everything of the default overlay is installed."""
    with ControlPlane() as started:
        assert started.users["operator"].name == OPERATOR
        apply_manifests(started.client("admin"), objects)
        yield started


@pytest.fixture(scope="package")
def admin(plane: ControlPlane) -> ApiClient:
    return plane.client("admin")


@pytest.fixture(scope="package")
def config_file(objects: list[Object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    (found,) = (each for each in objects if each["kind"] == "ConfigMap")
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    file.write_text(found["data"]["config.yaml"])
    return file


@pytest.fixture
def stage(admin: ApiClient, request: pytest.FixtureRequest) -> Iterator[Stage]:
    name = unique_name(request.node.name)
    create_namespace(admin, name)
    found = Stage(admin, name)
    yield found
    found.clean()
