"""What pytest knows of the tests that are named: that they exist, and that nothing keeps them from running.

Contract: `collect` asks pytest in a process of its own, so that whoever asks may be a test. A parametrised test counts
under the name of its function. `complaints` finds what is unknown, marked to be skipped or expected to fail, or skips
itself in its body.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.machinery.rules import ROOT

_REPORT = "AUTOBACKUP_COLLECTED"
_MARKS = ("skip", "skipif", "xfail")
_CALLS = ("skip", "xfail", "importorskip")


@dataclass(frozen=True, slots=True)
class Collected:
    """The node ids that pytest collects, without parameters, each with the marks that may keep it from running."""

    marks: dict[str, list[str]]


def collect(tests: Iterable[str]) -> Collected:
    """Collect the files of these tests. Raises CalledProcessError when pytest cannot."""
    files = sorted({test.partition("::")[0] for test in tests})
    known = [file for file in files if (ROOT / file).is_file()]
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "collected.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "tools.machinery.collection", *known]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, _REPORT: str(report)}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"pytest could not collect the tests that are named:\n{done.stdout}{done.stderr}")
        return Collected(json.loads(report.read_text()))


def complaints(test: str, collected: Collected) -> Iterator[str]:
    """What is wrong with one named test."""
    marks = collected.marks.get(test)
    if marks is None:
        yield f"{test}: pytest collects no such test"
        return
    yield from (f"{test}: is marked {mark}" for mark in marks)
    file, _, name = test.partition("::")
    yield from (f"{test}: calls pytest.{call}" for call in _skips(ROOT / file, name.rpartition("::")[2]))


def _skips(path: Path, name: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _CALLS:
                    yield call.func.attr


def pytest_collection_finish(session: pytest.Session) -> None:
    """As a plugin of pytest: write down what was collected."""
    marks: dict[str, list[str]] = {}
    for item in session.items:
        name = item.nodeid.partition("[")[0]
        found = marks.setdefault(name, [])
        found += [mark.name for mark in item.iter_markers() if mark.name in _MARKS and mark.name not in found]
    Path(os.environ[_REPORT]).write_text(json.dumps(marks))
