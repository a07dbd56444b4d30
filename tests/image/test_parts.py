"""What surrounds the build: secrets for pip, the list of contents, packages, the reading of archives."""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from tools.image import Archive, ImageError, PackagesMissing, debian, require_programs
from tools.image.base import base_key
from tools.image.builder import stage
from tools.image.inventory import debian_packages, interpreter, inventory
from tools.image.trust import build_secrets, parse_settings

ROOT = Path(__file__).resolve().parents[2]
STATUS = """\
Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.5.1-1+deb13u1
Description: Secure Sockets Layer toolkit
 Status: this line is part of a text

Package: libssl3t64
Status: install ok installed
Architecture: amd64
Source: openssl (3.5.1-1)
Version: 3.5.1-1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


def test_dpkg_database_is_read() -> None:
    found = list(debian_packages(STATUS, distribution="debian", release="debian-13"))
    assert [(each["name"], each["version"]) for each in found] == [
        ("openssl", "3.5.1-1+deb13u1"),
        ("libssl3t64", "3.5.1-1"),
    ]
    assert found[0]["purl"] == "pkg:deb/debian/openssl@3.5.1-1%2Bdeb13u1?arch=amd64&distro=debian-13"
    assert found[1]["properties"] == [{"name": "debian:source", "value": "openssl"}]


def test_inventory_is_about_the_product() -> None:
    packages = {
        "components": [
            {"bom-ref": "yarl==1", "name": "yarl", "type": "library"},
            {"bom-ref": "autobackup==1", "name": "autobackup", "type": "library"},
        ],
        "metadata": {"tools": {}},
    }
    made = inventory(packages, [interpreter("cpython", "3.13.5")])
    assert made["metadata"]["component"] == {"bom-ref": "autobackup==1", "name": "autobackup", "type": "application"}
    assert [each["name"] for each in made["components"]] == ["cpython", "yarl"]
    with pytest.raises(ValueError, match="unpack"):
        inventory({"components": []}, [])


def test_settings_of_pip_are_read_and_the_environment_wins() -> None:
    lines = [
        ":env:.cert='/b.crt'",
        "global.cert='/a.crt'",
        "global.index-url='https://packages.example/simple'",
        "user.colour='blue'",
        "nonsense",
    ]
    assert parse_settings(lines) == {"cert": "/b.crt", "index-url": "https://packages.example/simple"}


def test_what_pip_is_told_becomes_secrets(tmp_path: Path) -> None:
    settings = {"cert": "/b.crt", "index-url": "https://user:p%40ss@packages.example/simple", "find-links": "/wheels"}
    secrets = build_secrets(tmp_path, settings)
    assert secrets == {"ca.crt": Path("/b.crt"), "pip.conf": tmp_path / "pip.conf"}
    assert secrets["pip.conf"].stat().st_mode & 0o777 == 0o600
    written = configparser.RawConfigParser()
    written.read(secrets["pip.conf"])
    assert dict(written["global"]) == {"index-url": settings["index-url"], "cert": "/run/secrets/ca.crt"}


def test_where_pip_is_told_nothing_there_is_no_secret(tmp_path: Path) -> None:
    assert build_secrets(tmp_path, {"find-links": "/wheels"}) == {}


def test_programs_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    require_programs({"sh": "dash", "/bin/sh": "dash"}, purpose="a test")


def test_missing_packages_are_named_to_who_cannot_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PackagesMissing, match=r"a test needs .* apt-get install no-such-a no-such-b"):
        require_programs({"no-such-1": "no-such-b", "/no/such/2": "no-such-a"}, purpose="a test")


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "find_program", lambda name: None)
    with pytest.raises(PackagesMissing, match="programs of the Debian packages runc; install them"):
        require_programs({"runc": "runc"}, purpose="a test")


def test_another_list_of_packages_is_another_base() -> None:
    assert base_key() == base_key()
    assert base_key() != base_key(("python3", "restic"))


def oci_archive(path: Path, *layers: dict[str, bytes]) -> Path:
    """An OCI archive with these files in these layers."""
    blobs: dict[str, bytes] = {}

    def store(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def tar(files: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return out.getvalue()

    manifest = {"config": store(b'{"config": {"User": "1"}}'), "layers": [store(tar(files)) for files in layers]}
    index = json.dumps({"manifests": [store(json.dumps(manifest).encode())]}).encode()
    with tarfile.open(path, "w") as archive:
        for name, content in {**blobs, "index.json": index}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_archives_are_read_layer_by_layer(tmp_path: Path) -> None:
    base = {"etc/a": b"1", "etc/b": b"22", "usr/x/y": b"4444"}
    own = {"etc/.wh.a": b"", "etc/b": b"333", "usr/x/.wh..wh..opq": b"", "opt/z": b"5"}
    archive = Archive(oci_archive(tmp_path / "image.tar", base, own))
    assert archive.config["config"] == {"User": "1"}
    assert archive.names() == {"etc/b", "opt/z"}
    assert archive.read("/etc/b") == b"333"
    assert archive.unpacked_bytes() == 11
    assert archive.unpacked_bytes(above=1) == 4
    with pytest.raises(ImageError, match="no file etc/none"):
        archive.read("etc/none")


def test_every_package_of_the_project_is_copied_into_the_build() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = {line.rstrip("*") for line in config["options.packages.find"]["include"].split()}
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE))
    assert copied == packages
    assert {f"!{package}" for package in packages} <= set(ignored)
    assert ignored[1] == "*", "what is not named is not sent to the builder"


@pytest.mark.parametrize("name", ["wheel", "sbom"])
def test_what_the_build_uses_is_pinned_by_hash(name: str) -> None:
    lines = re.sub(r"\\\n\s+", "", (ROOT / "tools" / "image" / f"{name}.lock").read_text()).splitlines()
    requirements = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert not any("://" in line or line.startswith("--") for line in requirements)


def test_the_package_is_built_by_the_locked_setuptools() -> None:
    pin = re.compile(r"^setuptools==(\S+)", re.MULTILINE)
    ours = pin.search((ROOT / "tools/image/wheel.lock").read_text())
    theirs = pin.search((ROOT / "requirements-dev.lock").read_text())
    assert ours is not None
    assert theirs is not None
    assert ours[1] == theirs[1]


def test_every_clone_gives_the_builder_the_same_files(tmp_path: Path) -> None:
    listings = []
    for number, (mode, time) in enumerate(((0o600, 1.0), (0o777, 1e9))):
        context, staged = tmp_path / f"context-{number}", tmp_path / f"staged-{number}"
        (context / "informers" / "__pycache__").mkdir(parents=True)
        (context / "Dockerfile").write_text("FROM scratch\n")
        (context / ".dockerignore").write_text("# What is copied.\n*\n!informers\n!tools/wheel.lock\n")
        for name in ("informers/store.py", "informers/__pycache__/store.pyc", "tools/wheel.lock", "tools/other.py"):
            path = context / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
            path.chmod(mode)
            os.utime(path, (time, time))
        stage(context, staged)
        listings.append({(path.relative_to(staged).as_posix(), *about(path)) for path in staged.rglob("*")})
    assert listings[0] == listings[1]
    files = {name for name, mode, _ in listings[0] if mode == 0o644}
    assert files == {"Dockerfile", "informers/store.py", "tools/wheel.lock"}


def about(path: Path) -> tuple[int, float]:
    found = path.stat()
    return found.st_mode & 0o777, found.st_mtime
