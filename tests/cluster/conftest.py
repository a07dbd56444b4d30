"""One cluster for the tests of this folder; where none can run, they are left out and the reason is said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.cluster import Cluster, why_not


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    reason = why_not()
    if reason:
        pytest.skip(f"NO NODE WAS STARTED: {reason}")
    with Cluster() as running:
        yield running
