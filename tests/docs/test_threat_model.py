"""The proofs that the threat model names are there, and each row of its tables has one."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.markdown import ROOT

PAGE = (ROOT / "docs" / "explanation" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE)))


@pytest.mark.parametrize("name", NAMED)
def test_a_proof_that_is_named_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert function in {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_attack_has_a_proof() -> None:
    rows = [
        line for line in PAGE.partition("## Attacks")[2].splitlines() if line.startswith("| ") and "---" not in line
    ]
    attacks = [line for line in rows if not line.startswith("| Attack |")]
    assert len(attacks) > 20
    assert [line for line in attacks if "::test_" not in line] == []
