"""A subtree of control groups for one cluster, in version 1 and version 2, and its removal.

Contract: all pods of a cluster run below one group with a name of its own, so what is left over after a crash can be
told from everything else, and an abandoned tree (no process in it) is removed by whoever starts a cluster next.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "autobackup-node-"
_MOUNTS = Path("/proc/self/mounts")
_COPIED = ("cpuset.cpus", "cpuset.mems")


def hierarchies(mounts: str | None = None) -> list[Path]:
    """Where control groups are mounted: one place in version 2, one for each controller in version 1, or both."""
    text = _MOUNTS.read_text() if mounts is None else mounts
    found = [line.split(" ")[1:3] for line in text.splitlines()]
    return [Path(path) for path, kind in found if kind in ("cgroup", "cgroup2")]


def create(roots: list[Path] | None = None) -> str:
    """Make a group in every hierarchy; its name."""
    roots = hierarchies() if roots is None else roots
    name = PREFIX + secrets.token_hex(4)
    for root in roots:
        folder = root / name
        folder.mkdir()
        for setting in _COPIED:  # in version 1 a new cpuset is empty, and nothing can run in it
            with contextlib.suppress(OSError):
                (folder / setting).write_text((root / setting).read_text())
    return name


def _groups(folder: Path) -> Iterator[Path]:
    """A group and all below it, children first."""
    for child in folder.iterdir():
        if child.is_dir():
            yield from _groups(child)
    yield folder


def is_used(folder: Path) -> bool:
    return any((group / "cgroup.procs").read_text().strip() for group in _groups(folder))


def remove(name: str, *, roots: list[Path] | None = None, patience: float = 5.0) -> None:
    """Remove a subtree. Its processes have been killed; the kernel may still be busy with them for a moment."""
    deadline = time.monotonic() + patience
    for root in hierarchies() if roots is None else roots:
        folder = root / name
        while folder.exists():
            try:
                for group in list(_groups(folder)):
                    group.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.02)


def remove_abandoned(*, age: float = 60.0, roots: list[Path] | None = None) -> list[str]:
    """Remove what crashed runs left: old subtrees without a process in any hierarchy. Their names."""
    roots = hierarchies() if roots is None else roots
    names = {path.name for root in roots for path in root.glob(PREFIX + "*")}
    removed = []
    for name in sorted(names):
        folders = [root / name for root in roots if (root / name).exists()]
        with contextlib.suppress(OSError):
            young = any(time.time() - folder.stat().st_mtime < age for folder in folders)
            if not young and not any(is_used(folder) for folder in folders):
                remove(name, roots=roots, patience=0.5)
                removed.append(name)
    return removed
