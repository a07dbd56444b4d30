"""From the commit before to this one, and back: what was made is not written again."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.chart import targets
from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.processes import writes_of_pods
from tests.e2e.chart.release import NotRolledOut, Release, name_of
from tools.cluster import Cluster
from tools.image import build_image
from tools.image.builder import ROOT
from tools.manifests.chart import CHART


class Version(NamedTuple):
    tag: str
    chart: Path
    commit: str


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True).stdout


def commit_before() -> str:
    """The last commit; the one before it when nothing was changed since."""
    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--verify", "--quiet", "HEAD" if changed.strip() else "HEAD~1").decode().strip()


@pytest.fixture(scope="module")
def before(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The image of the commit before is on the node."""
    cluster: Cluster = place.own
    folder = tmp_path_factory.mktemp("before")
    try:
        commit = commit_before()
        archive = git("archive", commit)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT UPGRADED: there is no commit before to upgrade from ({error})")
    with tarfile.open(fileobj=BytesIO(archive)) as tree:
        tree.extractall(folder / "tree", filter="data")
    image = build_image(folder, name="localhost/autobackup:before", context=folder / "tree", cached=True)
    cluster.load_image(image.archive)
    return Version("before", folder / "tree" / CHART.relative_to(ROOT), f"the commit before, {commit[:12]}")


def content(found: Object) -> Object:
    """Without what every write changes."""
    metadata = {key: value for key, value in found["metadata"].items() if key not in ("resourceVersion", "generation")}
    return {**found, "metadata": metadata}


def test_a_rolling_upgrade_writes_to_nothing_that_it_does_not_change(
    place: Place, release: Release, namespace: str, before: Version
) -> None:
    names = [f"web-{number}" for number in range(5)]
    for name in names:
        targets.create(place, namespace, name)
    for name in names:
        targets.wait_backed_up(place, namespace, name)
    for version in (before, Version(release.tag, CHART, "this commit")):
        old = stored(place, namespace)
        mark = place.audit_log.mark()
        gone = {name_of(pod) for pod in release.pods()}
        release.upgrade(chart=version.chart, tag=version.tag)
        try:
            release.wait_rolled_out()
        except NotRolledOut as error:
            pytest.fail(f"The operator of {version.commit} does not start here:\n{error}", pytrace=False)
        pods = release.wait_ready()
        assert not gone & {name_of(pod) for pod in pods}
        assert {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods} == {version.tag}
        # It has looked at everything once it makes something new.
        targets.create(place, namespace, f"new-in-{version.tag}")
        targets.wait_backed_up(place, namespace, f"new-in-{version.tag}")
        new = stored(place, namespace)
        written = {
            f"{write.resource}/{write.name}"
            for write in writes_of_pods(place.audit_log, mark)
            if write.namespace == namespace
        }
        unchanged = {key for key in old if content(old[key]) == content(new[key])}
        assert len(old) == 3 * len(names) + 3 * (version.tag != "before")
        assert written & unchanged == set()
        kept = {
            key for key in old if old[key]["metadata"]["resourceVersion"] == new[key]["metadata"]["resourceVersion"]
        }
        assert kept == unchanged
        assert {f"deployments/{name}" for name in names} <= unchanged


def stored(place: Place, namespace: str) -> dict[str, Object]:
    kinds = ("deployments", targets.CONFIGURATIONS, targets.REPOSITORIES)
    return {
        f"{kind.partition('.')[0]}/{name_of(each)}": each
        for kind in kinds
        for each in place.list(kind, namespace=namespace)
    }
