"""One release of the chart for all tests of this folder, which are a story: see STORY.

$AUTOBACKUP_E2E_KUBECONFIG names a cluster to use instead of making one (`KUBECONFIG=... make e2e` sets it), and
$AUTOBACKUP_E2E_IMAGE an image that its nodes can pull. Afterwards the release and its namespace are gone, and the CRDs
are still there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chart import targets
from tests.e2e.chart.crowd import Crowd
from tests.e2e.chart.effort import EFFORT
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import Place
from tests.e2e.chart.release import Release
from tests.support.cluster import unique_name
from tools.image import Archive
from tools.manifests.chart import NAMESPACE

STORY = (
    "test_installation",
    "test_pod",
    "test_leadership",
    "test_outliving",
    "test_upgrade",
    "test_monitoring",
    "test_secrets",
    "test_crowd",
    "test_rights",
    "test_uninstall",
)
"""In this order. The last but one looks at what the whole run did, and the last takes the operator away."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [index for index, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    told = sorted((items[index] for index in here), key=lambda item: STORY.index(item.path.stem))
    for index, item in zip(here, told, strict=True):
        items[index] = item


@pytest.fixture(scope="package")
def place(request: pytest.FixtureRequest) -> Place:
    given = os.environ.get("AUTOBACKUP_E2E_KUBECONFIG")
    if given:
        return Place(Path(given).expanduser().absolute(), None)
    cluster = request.getfixturevalue("cluster")
    return Place(cluster.kubeconfig(), cluster)


@pytest.fixture(scope="package")
def figures(place: Place) -> Figures:
    return Figures(kubernetes=json.loads(place.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"])


@pytest.fixture(scope="package")
def uninstalled(request: pytest.FixtureRequest, place: Place) -> Release:
    """The release before it is installed; its image can be had."""
    if place.cluster is None:
        given = os.environ.get("AUTOBACKUP_E2E_IMAGE", "")
        repository, _, tag = given.rpartition(":")
        if not repository:
            pytest.skip("NOTHING WAS TESTED on $KUBECONFIG: IMAGE=name:tag must say what its nodes can pull")
        release = Release(place, repository, tag, pull_policy="IfNotPresent")
    else:
        archive = request.getfixturevalue("image")
        place.cluster.load_image(archive)
        repository, _, tag = Archive(archive).name.rpartition(":")
        release = Release(place, repository, tag)
    for kind in (targets.BLUEPRINTS, targets.REPOSITORIES):
        if place.find("crd", kind) is not None:
            pytest.skip(f"NOTHING WAS TESTED: {kind} is installed here already, and somebody may be using it")
    return release


@pytest.fixture(scope="package")
def release(place: Place, uninstalled: Release, figures: Figures) -> Iterator[Release]:
    """Installed, both replicas ready, with a blueprint to name."""
    began = time.monotonic()
    uninstalled.install()
    try:
        uninstalled.wait_ready()
        figures.add("install to both replicas ready", "s", time.monotonic() - began, goal=20.0)
        place.apply(targets.BLUEPRINT)
        yield uninstalled
    finally:
        if uninstalled.is_installed():
            uninstalled.uninstall()
        for kind, name in (("namespace", NAMESPACE), (targets.BLUEPRINTS, targets.BLUEPRINT["metadata"]["name"])):
            place.kubectl("delete", kind, name, "--ignore-not-found", "--timeout=60s")


@pytest.fixture(scope="package")
def crowd(place: Place, release: Release, figures: Figures) -> Crowd:
    """Targets that leaders find when they come."""
    made = Crowd(place)
    seconds = made.grow(EFFORT.few_targets)
    figures.add(f"{made.size} volumes created one after the other, and each has its objects", "s", seconds)
    return made


@pytest.fixture
def namespace(request: pytest.FixtureRequest, place: Place, release: Release) -> Iterator[str]:
    name = unique_name(request.node.name)
    place.kubectl("create", "namespace", name)
    yield name
    place.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
