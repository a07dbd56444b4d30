"""Completion: by the scripts of the shells, and by kubectl."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autobackup import completion
from tests.cli.conftest import Command
from tools.controlplane import ControlPlane


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_each_shell_has_a_script(command: Command, shell: str) -> None:
    ended = command("completion", shell)
    assert ended.code == 0
    for word in ("resolve", "blueprint", "completion"):
        assert word in ended.out


def test_bash_completes(command: Command) -> None:
    bash = shutil.which("bash")
    assert bash, "bash is needed"
    script = command("completion", "bash").out
    probe = (
        f"{script}\nCOMP_WORDS=(autobackup res); COMP_CWORD=1; _shtab_autobackup autobackup res autobackup\n"
        'echo "${COMPREPLY[*]}"\n'
    )
    done = subprocess.run([bash], input=probe, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "resolve"


def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[str], int]:
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-autobackup", *words])
    assert completion.kubectl_complete() == 0
    *found, directive = capsys.readouterr().out.splitlines()
    assert directive.startswith(":")
    return [line.partition("\t")[0] for line in found], int(directive[1:])


DEFAULT, ERROR, NO_FILES = 0, 1, 4


@pytest.mark.parametrize(
    ("words", "found", "directive"),
    [
        (
            ("",),
            ["run", "resolve", "explain", "adopt", "password", "check", "debug", "version", "completion"],
            NO_FILES,
        ),
        ((), ["run", "resolve", "explain", "adopt", "password", "check", "debug", "version", "completion"], NO_FILES),
        (("re",), ["resolve"], NO_FILES),
        (("zzz",), [], NO_FILES),
        (("--debug", "ver"), ["version"], NO_FILES),
        (("--v",), ["--version"], NO_FILES),
        (("version", "-o", ""), ["json", "yaml"], NO_FILES),
        (("resolve", "--output", "n"), ["name"], NO_FILES),
        (("resolve", "--output=n"), ["name"], NO_FILES),
        (("resolve", "--d"), ["--debug", "--diff"], NO_FILES),
        (("resolve", "-b", ""), [], DEFAULT),
        (("resolve", "-b", "x.yaml", "-f", "y"), [], DEFAULT),
        (("resolve", "--filename=x"), [], DEFAULT),
        (("resolve", "-n", ""), [], NO_FILES),
        (("resolve", "--as-if", "-o", "j"), ["json"], NO_FILES),
        (("resolve", "--as-if", "x", "-o", "j"), ["json"], NO_FILES),
        (("debug", "p"), ["plan"], NO_FILES),
        (("explain", "dep"), ["deployment/", "deploymentconfig/"], NO_FILES),
        (("explain", "deployment/shop", "-o", "t"), ["table"], NO_FILES),
        (("completion", "z"), ["zsh"], NO_FILES),
        (("completion", "zsh", ""), [], NO_FILES),
        (("run", "--kubeconfig", ""), [], DEFAULT),
        (("run", "--log-format", "c"), ["console"], NO_FILES),
        (("unknown", "--", ""), [], NO_FILES),
    ],
)
def test_kubectl_is_answered(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    words: tuple[str, ...],
    found: list[str],
    directive: int,
) -> None:
    assert complete(monkeypatch, capsys, *words) == (found, directive)


def test_an_error_is_a_directive_and_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(completion, "suggest", lambda *_: 1 / 0)
    assert complete(monkeypatch, capsys, "") == ([], ERROR)
    assert capsys.readouterr().err == ""


def test_the_real_kubectl_asks_and_understands(programs: Path, control_plane: ControlPlane, kubeconfig: Path) -> None:
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "KUBECONFIG": str(kubeconfig)}

    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = str(control_plane.program("kubectl"))
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, env=environ, timeout=60
        )

    assert "kubectl-autobackup" in kubectl("plugin", "list").stdout
    assert "autobackup" in kubectl("__complete", "autob").stdout
    asked = kubectl("__complete", "autobackup", "resolve", "--output", "")
    assert asked.stdout.splitlines() == ["yaml", "json", "name", ":4"]
    assert "ShellCompDirectiveNoFileComp" in asked.stderr
    assert "ShellCompDirectiveDefault" in kubectl("__complete", "autobackup", "resolve", "-f", "").stderr
    ran = kubectl("autobackup", "resolve", "-x")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "kubectl autobackup resolve: error:" in ran.stderr
