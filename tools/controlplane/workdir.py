"""Throw-away folders that disappear even when their owner was killed.

A folder is locked (flock) by the process that made it. The kernel drops the lock when that process dies,
and the next one to make a folder removes every unlocked one it finds.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

_PREFIX = "autobackup-controlplane-"
_STARTING = "autobackup-starting-"
_WANTED_BYTES = 1 << 30


def _root() -> Path:
    """Memory if there is enough of it: etcd's speed is the disk's speed."""
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > _WANTED_BYTES:
        return shared
    return Path(tempfile.gettempdir())


class WorkDir:
    """A private folder, held until `remove()`."""

    def __init__(self, root: Path | None = None) -> None:
        root = root or _root()
        _remove_abandoned(root)
        starting = Path(tempfile.mkdtemp(prefix=_STARTING, dir=root))
        self._lock = os.open(starting / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Only a locked folder gets the name that others look for.
        self.path = starting.rename(root / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(3)}")

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob(_PREFIX + "*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another user's, or just being removed
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
