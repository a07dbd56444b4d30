"""The README's first example does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import informers
from tests.informers.rig import DEPLOYMENTS
from tests.support.fakeapi import FakeApi
from tests.support.virtualtime import run_virtual

README = (Path(informers.__file__).parent / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example, for_a_cluster = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "README.md", "exec", dont_inherit=True), namespace)
    compile(for_a_cluster, "README.md", "exec", dont_inherit=True)

    api = FakeApi(DEPLOYMENTS)
    api.create(DEPLOYMENTS, "shop", annotations={"example.com/owner": "alice"})
    api.create(DEPLOYMENTS, "plain")
    run_virtual(namespace["main"](api))
    assert capsys.readouterr().out == "shop belongs to alice\n['shop']\n"


def test_every_module_is_in_the_table() -> None:
    table = README[README.index("| module |") :]
    modules = {path.stem for path in Path(informers.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`([a-z]+)`", table)) == modules
