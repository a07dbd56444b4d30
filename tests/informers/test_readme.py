"""The README's first example does what it says."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

import informers
from tests.informers.rig import DEPLOYMENTS
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import run_virtual

README = (Path(informers.__file__).parent / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(example: str, namespace: dict[str, Any]) -> None:
    exec(compile(example, "README.md", "exec", dont_inherit=True), namespace)


def test_the_first_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {"__name__": "example"}
    run(EXAMPLES[0], namespace)
    api = FakeApi(DEPLOYMENTS)
    api.create(DEPLOYMENTS, "shop", annotations={"example.com/owner": "alice"})
    api.create(DEPLOYMENTS, "plain")
    run_virtual(namespace["main"](api))
    assert capsys.readouterr().out == "shop belongs to alice\n['shop']\n"


def test_the_example_for_a_cluster_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "a",
                "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "a", "user": {"token": "t"}}],
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    namespace: dict[str, Any] = {"__name__": "example"}
    run(EXAMPLES[1], namespace)
    assert isinstance(namespace["transport"], informers.AiohttpTransport)


def test_the_other_examples_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        api = FakeApi(DEPLOYMENTS)
        namespace: dict[str, Any] = {"__name__": "example", "transport": api}
        for example in EXAMPLES[2:]:
            run(example, namespace)
        widgets = namespace["WIDGETS"]
        task = asyncio.create_task(namespace["factory"].run())
        await namespace["factory"].wait_synced(30)
        assert namespace["installed"]() == "no such kind"
        api.serve(widgets)
        api.create(widgets, "w")
        namespace["widgets"].poke()
        await asyncio.sleep(1)
        assert namespace["installed"]() == f"1 widgets, complete up to version {api.revision}"
        assert namespace["todo"] == {informers.ObjectKey("ns", "w")}
        assert await namespace["doubt"]() == "1 rows are as the server has them"
        api.send_raw(b"\0\0\0\1{")
        await asyncio.sleep(5)
        api.fail(Answer(500), times=2)
        api.cut_streams()
        await asyncio.sleep(60)
        namespace["registration"].remove()
        task.cancel()
        await asyncio.wait([task])

    run_virtual(main())
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("skipped an object: decode a watch frame")
    assert told[1] == "reading all widgets again: undecodable"
    assert sum("500" in line for line in told) == 1, "the second time is not told"
    assert len(EXAMPLES) == 6


def test_every_name_that_is_exported_is_explained() -> None:
    assert {name for name in informers.__all__ if f"`{name}`" not in README} == set()


def test_every_module_is_in_the_table() -> None:
    table = README[README.index("| module |") :]
    modules = {path.stem for path in Path(informers.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"`([a-z]+)`", table)) == modules
