"""Running the command, in this process or as one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

from autobackup.__main__ import main
from tools.controlplane import ApiClient, ControlPlane, install_crds

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXAMPLES = HERE / "examples"
GOLDEN = HERE / "golden"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


# A control plane of this package's own: on the shared one an operator may be at work, and would answer to the targets
# with which the command is tried. Each of these stands for the fixture of the same name that the whole run shares.


@pytest.fixture(scope="package")
def control_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(scope="package")
def api(control_plane: ControlPlane) -> ApiClient:
    return control_plane.client("admin")


@pytest.fixture(scope="package")
def crds(api: ApiClient) -> list[str]:
    return install_crds(api)


@pytest.fixture(scope="package")
def kubeconfig(control_plane: ControlPlane) -> Path:
    return control_plane.kubeconfig("admin")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command in this process."""
    monkeypatch.setattr(sys, "argv", ["autobackup"])

    def run(*arguments: object) -> Ended:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], Path]:
    """Write files into an empty directory, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def write(contents: Mapping[str, str]) -> Path:
        for name, text in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the programs that an installation brings, made from the same entry points."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folder = tmp_path_factory.mktemp("bin")
    for line in setup["options.entry_points"]["console_scripts"].strip().splitlines():
        name, _, target = line.partition("=")
        module, _, function = target.strip().partition(":")
        program = folder / name.strip()
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path[0] = {str(ROOT)!r}\n"
            f"from {module} import {function}\nsys.exit({function}())\n"
        )
        program.chmod(0o755)
    return folder


def start(
    *arguments: object, program: Path | None = None, environ: Mapping[str, str] | None = None, stdin: str = ""
) -> Ended:
    """Run the command as a process of its own: `python -m autobackup`, or an installed program."""
    first = [str(program)] if program else [sys.executable, "-m", "autobackup"]
    done = subprocess.run(
        [*first, *(str(argument) for argument in arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environ or {})},
        cwd=ROOT,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
