"""The built image: what is in it, what is not, and that the same commit gives the same digest."""

from __future__ import annotations

import json
import re
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from tools.image import Archive, Image, PackagesMissing, build_image
from tools.image.builder import ROOT, require_buildah

MEGABYTE = 1_000_000
UNCHECKED_HASH = 0b01
# Not of the suite that takes seconds: it builds.
pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last commit, so that nobody edits what is being built."""
    folder = tmp_path_factory.mktemp("sources")
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


@pytest.fixture(scope="session")
def image(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    try:
        require_buildah()
    except PackagesMissing as missing:
        pytest.skip(f"NO IMAGE WAS BUILT: {missing}")
    return build_image(tmp_path_factory.mktemp("image"), name="localhost/autobackup:test", context=sources)


@pytest.fixture(scope="session")
def archive(image: Image) -> Archive:
    return Archive(image.archive)


def test_it_is_small(image: Image) -> None:
    assert 10 * MEGABYTE < image.own_bytes < 120 * MEGABYTE
    assert image.base_bytes > 50 * MEGABYTE, "the base was counted as ours"


def test_it_runs_as_a_numeric_user_and_says_what_it_is(archive: Archive) -> None:
    config = archive.config["config"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert config["Entrypoint"] == ["autobackup"]
    assert config["Cmd"] == ["run"]
    labels = config["Labels"]
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert labels[f"org.opencontainers.image.{label}"], label
    assert labels["org.opencontainers.image.version"] != "unknown"
    assert archive.name == "localhost/autobackup:test"


def test_nothing_in_it_builds_or_installs(archive: Archive) -> None:
    names = archive.names()
    assert "opt/autobackup/bin/autobackup" in names
    programs = {name.rpartition("/")[2] for name in names if re.search(r"(^|/)s?bin/[^/]+$", name)}
    assert "python3" in programs
    assert not {name for name in programs if re.match(r"pip|uv$|gcc|cc$|c\+\+|ld$|make$|git$|curl$|wget$", name)}
    assert not {name for name in names if re.search(r"(site|dist)-packages/(pip|setuptools|wheel)(/|-)", name)}
    assert not {name for name in names if name.endswith(".whl") or "/ensurepip/" in name}
    added = {member.name for member, _ in archive.files(above=1)}
    assert not {name for name in added if name.startswith(("run/secrets/", "build/", "root/.", "tmp/"))}


def test_only_root_can_change_its_files(archive: Archive) -> None:
    for member, _ in archive.files(above=1):
        assert member.uid == 0, member.name
        assert member.issym() or not member.mode & (stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), member.name


def test_everything_is_compiled_and_never_compared_with_its_source(archive: Archive) -> None:
    names = archive.names()
    sources = {name for name in names if re.match(r"opt/autobackup/lib/.*\.py$", name)}
    compiled = {re.sub(r"/__pycache__/([^/]+)\.cpython-\d+\.pyc$", r"/\1.py", name) for name in names}
    assert len(sources) > 200
    assert sources <= compiled
    assert any(name.endswith("/kubernetes/client/api/core_v1_api.pyc") for name in names), "imported without its source"
    flags = {
        struct.unpack("<L", content[4:8])[0]
        for member, content in archive.files(above=1)
        if content and member.name.endswith(".pyc")
    }
    assert flags == {UNCHECKED_HASH}


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_its_inventory_names_all_there_is(image: Image, archive: Archive) -> None:
    inventory = json.loads(image.inventory.read_text())
    assert inventory["bomFormat"] == "CycloneDX"
    assert inventory["metadata"]["component"]["name"] == "autobackup"
    listed = {(normal(each["name"]), each["version"]) for each in inventory["components"]}
    pinned = re.findall(r"^([\w.-]+)==(\S+) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert len(pinned) > 20
    assert {(normal(name), version) for name, version in pinned} <= listed
    by_purl = {each.get("purl", "").split("@")[0] for each in inventory["components"]}
    assert {"pkg:deb/debian/libc6", "pkg:pypi/aiohttp"} <= by_purl
    assert "cyclonedx-bom" not in {name for name, _ in listed}, "a tool of the build is no part of the image"
    metadata = re.compile(r"site-packages/[^/]+\.dist-info/METADATA$")
    in_image = {name for name in archive.names() if metadata.search(name)}
    assert len(in_image) == 1 + len([purl for purl in by_purl if purl.startswith("pkg:pypi/")])


def test_secrets_of_the_build_stay_outside(archive: Archive) -> None:
    text = json.dumps(archive.config) + json.dumps(archive.manifest)
    assert "ca.crt" not in text
    assert "index-url" not in text


def test_the_same_sources_give_the_same_digest(image: Image, sources: Path, tmp_path: Path) -> None:
    again = build_image(tmp_path, name=image.name, context=sources)
    assert again.digest == image.digest
