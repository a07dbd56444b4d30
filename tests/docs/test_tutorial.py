"""The tutorial, typed in as it stands, on a real API server; the operator has the rights that its guide gives it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.markdown import ROOT, blocks
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, apply_manifests, install_crds, read_manifests, wait_for

TUTORIAL = ROOT / "docs" / "tutorials" / "first-backup-configuration.md"
RIGHTS = ROOT / "docs" / "how-to" / "grant-least-rights.md"
SECONDS = 20.0

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A cluster like the demo's, with the operator running in it."""
    with ControlPlane() as started:
        api = started.client("admin")
        install_crds(api)
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "autobackup-system"}})
        apply_manifests(api, read_manifests(ROOT / "manifests" / "rbac"))
        bindings = next(block for block in blocks(RIGHTS) if block.language == "yaml")
        apply_manifests(api, yaml.safe_load_all(bindings.text))
        with OperatorProcess(started.kubeconfig("operator")):
            yield started


def test_the_tutorial_does_what_it_says(plane: ControlPlane, tmp_path: Path) -> None:
    api = plane.client("admin")
    environment = {
        **os.environ,
        "KUBECONFIG": str(plane.kubeconfig("admin")),
        "PATH": f"{plane.program('kubectl').parent}:{os.environ['PATH']}",
    }
    repositories = set()
    for heading, section in _sections():
        for name, text in section.files:
            (tmp_path / name).write_text(text)
        for line in section.commands:
            done = subprocess.run(
                ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stderr}"
        if heading in EXPECTED:
            wait_for(
                lambda heading=heading: EXPECTED[heading](api),
                SECONDS,
                what=f"what {heading!r} leads to",
                state=lambda: _state(api),
            )
        if found := _find(api, "v1alpha1/Repository"):
            repositories.add(found["metadata"]["uid"])
    assert len(repositories) == 1, "the Repository was always the same one"


def test_the_tutorial_has_no_section_that_is_not_looked_at() -> None:
    headings = {heading for heading, section in _sections() if section.commands}
    assert headings == {*EXPECTED, "Start a cluster with the operator"}


class Section:
    """What a reader does between two headings."""

    def __init__(self) -> None:
        self.files: list[tuple[str, str]] = []
        self.commands: list[str] = []


def _sections() -> Iterator[tuple[str, Section]]:
    text = TUTORIAL.read_text()
    by_line = {block.line: block for block in blocks(TUTORIAL)}
    heading, section, file = "", Section(), ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            yield heading, section
            heading, section = line[3:], Section()
        if named := re.search(r"`(\w+\.yaml)`", line):
            file = named[1]
        block = by_line.get(number)
        if block and block.language == "yaml":
            section.files.append((file, block.text))
        elif block:
            # The cluster is there already.
            lines = [text for text in block.text.splitlines() if not text.startswith(("make ", "export "))]
            section.commands.extend(lines)
    yield heading, section


def _find(api: ApiClient, kind: str) -> dict[str, Any] | None:
    return api.find(f"stash.appscode.com/{kind}", "deploy-shop", namespace="tutorial")


def _configuration(api: ApiClient) -> dict[str, Any]:
    found = _find(api, "v1beta1/BackupConfiguration")
    assert found is not None
    return found


def _blueprint(api: ApiClient) -> dict[str, Any]:
    return api.get("stash.appscode.com/v1beta1/BackupBlueprint", "tutorial")


def _reasons(api: ApiClient) -> set[str]:
    return {event["reason"] for event in api.list("events.k8s.io/v1/Event", namespace="tutorial")}


def _is_configured(api: ApiClient) -> bool:
    spec, repository = _configuration(api)["spec"], _find(api, "v1alpha1/Repository")
    assert repository is not None
    return (
        spec["target"]["paths"] == ["/srv/media"]
        and repository["spec"]["backend"]["s3"]["prefix"] == "tutorial/deployment/shop"
        and "ownerReferences" not in repository["metadata"]
        and _reasons(api) >= {"RepositoryCreated", "BackupConfigurationCreated"}
        and _blueprint(api)["status"]["configured"] == 1
    )


def _is_told(api: ApiClient) -> bool:
    """The mistake was told and mended, and did no harm in between."""
    failed = _blueprint(api)["status"]["failed"]
    return "InvalidSchedule" in _reasons(api) and _schedule(api) == "0 4 * * *" and failed == 0


def _state(api: ApiClient) -> dict[str, Any]:
    return {
        "reasons": sorted(_reasons(api)),
        "status": _blueprint(api).get("status"),
        "made": _configuration(api)["spec"],
    }


def _schedule(api: ApiClient) -> str:
    return str(_configuration(api)["spec"]["schedule"])


EXPECTED: dict[str, Callable[[ApiClient], bool]] = {
    "Write a blueprint": lambda api: _blueprint(api)["status"]["matched"] == 0,
    "Annotate a Deployment": _is_configured,
    "Change the blueprint": lambda api: _schedule(api) == "30 3 * * *",
    "Have it your way for one target": lambda api: _schedule(api) == "@hourly",
    "Make a mistake": _is_told,
    "Opt out, and come back": lambda api: bool(_configuration(api)),
}
