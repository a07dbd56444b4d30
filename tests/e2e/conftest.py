"""A one-node cluster, and the operator's image; left out, loudly, where none can run.

The image is built from the checkout as it is. $AUTOBACKUP_IMAGE names an OCI archive to use instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.cluster import Cluster, why_not
from tools.image import PackagesMissing, build_image
from tools.image.builder import require_buildah


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's image as an archive."""
    given = os.environ.get("AUTOBACKUP_IMAGE")
    if given:
        return Path(given)
    try:
        require_buildah()
    except PackagesMissing as missing:
        pytest.skip(f"NO IMAGE WAS BUILT: {missing}")
    return build_image(tmp_path_factory.mktemp("image"), cached=True).archive


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    reason = why_not()
    if reason:
        pytest.skip(f"NO NODE WAS STARTED: {reason}")
    with Cluster() as running:
        yield running
