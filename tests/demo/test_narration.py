"""What the audience reads, and how the demo is told what to do."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from tools.demo.failure import DemoRefused
from tools.demo.narration import Narrator
from tools.demo.options import read
from tools.demo.serviceaccount import cluster_of


class Screen(io.TextIOWrapper):
    """Where a narrator writes: perhaps a terminal, perhaps one that knows ASCII only."""

    def __init__(self, *, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.seek(0)
        return self.read()


@pytest.mark.parametrize(
    ("terminal", "environ", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(terminal: bool, environ: dict[str, str], coloured: bool) -> None:
    screen = Screen(terminal=terminal)
    Narrator(screen, environ=environ).seen("it")
    assert ("\x1b[" in screen.text()) is coloured


def test_a_terminal_without_unicode_can_be_written_to() -> None:
    screen = Screen(terminal=False, encoding="ascii")
    narrator = Narrator(screen, environ={})
    narrator.act("do")
    narrator.seen("done")
    assert screen.text() == "   -> do\n   ok done\n"


def test_a_table_has_columns_and_a_right_edge() -> None:
    screen = Screen(terminal=False)
    Narrator(screen, environ={}).table(("NAME", "MS"), [("a", "5"), ("longer", "1234")])
    assert screen.text().splitlines() == ["   NAME      MS", "   a          5", "   longer  1234"]


@pytest.mark.parametrize(("value", "kept"), [("1", True), ("true", True), ("", False), ("0", False), ("no", False)])
def test_variables_of_make_are_switches(value: str, kept: bool) -> None:
    assert read([], {"KEEP": value}).keep is kept


def test_a_throw_away_cluster_can_be_had_in_spite_of_the_environment() -> None:
    environ = {"KUBECONFIG": "/home/me/.kube/config"}
    assert read([], environ).kubeconfig == environ["KUBECONFIG"]
    assert read(["--throw-away"], environ).kubeconfig == ""


@pytest.mark.parametrize("timeout", ["0", "soon", "nan"])
def test_a_useless_timeout_is_a_usage_error(timeout: str) -> None:
    with pytest.raises(SystemExit) as ended:
        read(["--timeout", timeout], {})
    assert ended.value.code == 2


def test_the_operator_gets_the_cluster_of_the_current_context(tmp_path: Path) -> None:
    first = {
        "current-context": "mine",
        "clusters": [{"name": "c", "cluster": {"server": "https://first", "certificate-authority": "ca.crt"}}],
    }
    second = {
        "current-context": "other",
        "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "me"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://second"}}],
    }
    files = [tmp_path / name for name in ("first", "missing", "second")]
    files[0].write_text(json.dumps(first))
    files[2].write_text(json.dumps(second))
    found = cluster_of(os.pathsep.join(map(str, files)))
    assert found == {"server": "https://first", "certificate-authority": str(tmp_path / "ca.crt")}


def test_a_context_without_a_cluster_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps({"current-context": "mine"}))
    with pytest.raises(DemoRefused, match="'mine'"):
        cluster_of(str(file))
