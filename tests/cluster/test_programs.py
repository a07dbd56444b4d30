"""The programs of a node are a set of their own, shown with a stand-in for the Go toolchain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.controlplane import build

FAKE_GO = """\
#!/bin/sh
case "$1" in
  env) echo go1.26.0 ;;
  list) echo a ;;
  build)
    echo "$@" >> "$FAKE_GO_LOG"
    while [ "$1" != -o ]; do shift; done
    out="$2"; shift 2
    for package; do touch "$out${package##*/}"; chmod +x "$out${package##*/}"; done ;;
esac
"""


def test_a_node_is_built_apart_from_the_control_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    go = tmp_path / "bin" / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    log = tmp_path / "built"
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GO_LOG", str(log))
    folder = build.node_binaries()
    assert sorted(path.name for path in folder.iterdir()) == sorted(build.NODE_PACKAGES)
    assert build.node_binaries() == folder
    (command,) = log.read_text().splitlines()
    assert command.endswith(" ".join(build.NODE_PACKAGES.values()))
    assert not build.cache_folder().exists(), "nobody asked for a control plane"
    assert build.cache_folder().name.startswith("controlplane-")
