"""What the documents show is true: it parses, resolves, and names what exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobackup.cli import build_parser
from autobackup.exits import ExitCode
from autobackup.manifests import load
from autobackup.objects import applied, finished
from autobackup.snapshot import Snapshot
from autobackup.subjects import sort
from controller import passwords
from controller.config import FILE_VARIABLE, OPTIONS
from controller.families import FAMILIES
from informers.resource import ObjectKey
from reconcilers import marks, secretcopy
from reconcilers.annotations import PARAMS_PREFIX, VARIABLES_PREFIX
from reconcilers.reasons import Reason
from reconcilers.registry import ANNOTATIONS
from reconcilers.target import plan_target
from reconcilers.variables import VARIABLES
from tests.docs.markdown import (
    ROOT,
    Block,
    anchors,
    blocks,
    command_lines,
    documents,
    links,
    prose,
    spans,
    written_by_hand,
)

BY_HAND = written_by_hand()
YAML = [block for path in documents() for block in blocks(path) if block.language == "yaml"]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def reason_rows(path: Path) -> list[str]:
    """The names in the first column of tables, written like a reason."""
    return re.findall(r"^\| `([A-Z][A-Za-z]+)` \|", prose(path), re.MULTILINE)


@pytest.mark.parametrize("find", [links, command_lines, reason_rows], ids=lambda find: find.__name__)
def test_what_is_checked_below_is_found(find: Callable[[Path], Iterable[object]]) -> None:
    assert any(list(find(path)) for path in BY_HAND)


@pytest.mark.parametrize("path", documents(), ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in anchors(found), f"{target}: has no such heading, only {sorted(anchors(found))}"


@pytest.mark.parametrize("block", YAML, ids=str)
def test_yaml_parses(block: Block) -> None:
    assert [document for document in yaml.safe_load_all(block.text) if document is not None]


@pytest.mark.parametrize("path", BY_HAND, ids=_name)
def test_command_lines_are_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser()
    for line, words in command_lines(path):
        code = ExitCode.OK
        try:
            parser.parse_args(words)
        except SystemExit as end:
            code = ExitCode(end.code)
        assert code is ExitCode.OK, f"{line}: {capsys.readouterr().err}"


@pytest.mark.parametrize("path", BY_HAND, ids=_name)
def test_names_that_are_written_exist(path: Path) -> None:
    text = path.read_text()
    keys = {found.key.partition("<")[0] for found in ANNOTATIONS} | {
        value for name, value in vars(marks).items() if name.isupper() and name not in ("PREFIX", "PRODUCT")
    }
    keys |= {secretcopy.CONSENT, secretcopy.CONSENT_TO, secretcopy.IDENTITY, passwords.SALT.decode()}
    shown = re.findall(r"(?:[a-z]+\.)?stash\.appscode\.com/[a-z][a-z0-9-]*", text)
    versions = {"stash.appscode.com/v1alpha1", "stash.appscode.com/v1beta1"}
    # A dash at the end is how kubectl takes an annotation away.
    unknown = {key for key in shown if key.removesuffix("-") not in keys | versions}
    assert not {key for key in unknown if not key.startswith((PARAMS_PREFIX, VARIABLES_PREFIX))}, (
        "no such annotation or label"
    )

    variables = set(re.findall(r"\$\{(TARGET_[A-Z_]+)", text))
    assert variables <= VARIABLES.keys(), "no such variable"

    settings = set(re.findall(r"\bAUTOBACKUP_[A-Z_]+\b", text))
    assert settings <= {FILE_VARIABLE, *(option.variable for option in OPTIONS)}, "no such variable"

    metrics = set(re.findall(r"\b(?:autobackup|workqueue|controller_runtime|rest_client)_[a-z_]+\b", text))
    known = {family.name for family in FAMILIES}
    assert metrics <= known, "no such metric"

    files = [span for span in spans(path) if re.fullmatch(r"(manifests|docs|tools|tests)/[\w./-]*", span)]
    assert not [file for file in files if not (ROOT / file).exists()], "no such file"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "explanation").glob("*.md")), ids=_name)
def test_tests_that_are_named_exist(path: Path) -> None:
    named = {span for span in spans(path) if re.fullmatch(r"test_\w+", span)}
    assert named <= _tests(), "no such test"


def test_what_happens_when_names_a_test_in_every_row() -> None:
    path = ROOT / "docs" / "explanation" / "what-happens-when.md"
    rows = [line for line in prose(path).splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    without = [row for row in rows[1:] if "`test_" not in row and not row.startswith("| Situation")]
    assert rows
    assert not without


def test_reasons_in_tables_exist() -> None:
    reasons = {reason.value for reason in Reason}
    for path in BY_HAND:
        for row in reason_rows(path):
            assert row in reasons, f"{_name(path)}: {row} is no reason"


def test_the_readme_shows_what_the_operator_applies(tmp_path: Path) -> None:
    (blueprint, result) = (block for block in blocks(ROOT / "README.md") if block.language == "yaml")
    (tmp_path / "blueprint.yaml").write_text(blueprint.text)
    (tmp_path / "target.yaml").write_text(yaml.safe_dump(_deployment()))
    subjects = sort(load([str(tmp_path)]))
    snapshot = Snapshot.of(subjects)
    made = {
        ObjectKey(body["kind"], body["metadata"]["name"]): body
        for key in subjects.targets
        for body in (finished(step.body) for step in applied(plan_target(snapshot, key)))
    }
    shown = list(yaml.safe_load_all(result.text))
    assert len(shown) == len(made) == 2
    for each in shown:
        real = made[ObjectKey(each["kind"], each["metadata"]["name"])]
        assert each["spec"] == real["spec"]
        assert each["metadata"].items() <= real["metadata"].items()


def _deployment() -> dict[str, Any]:
    mount = {"name": "data", "mountPath": "/srv/data"}
    pod = {
        "containers": [{"name": "shop", "image": "shop", "volumeMounts": [mount]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "shop",
            "namespace": "demo",
            "annotations": {"stash.appscode.com/backup-blueprint": "nightly"},
        },
        "spec": {"template": {"spec": pod}},
    }


def _tests() -> set[str]:
    trees = (ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("test_*.py"))
    nodes = chain.from_iterable(ast.walk(tree) for tree in trees)
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
