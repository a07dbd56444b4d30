"""The virtual environment of the Python peers, made once, in the cache, from the lock beside this file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tools.controlplane.build import cache_root

LOCK: Final = Path(__file__).with_name("requirements.lock")


class NotInstalled(Exception):
    """The libraries of the Python peers could not be installed."""


def at_hand() -> bool:
    """Whether it is there already."""
    return (_home() / "complete").exists()


def _home() -> Path:
    wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    return cache_root() / f"peers-python-{wanted}"


def interpreter() -> Path:
    """Python with what the lock names; the first call installs it."""
    home = _home()
    python, complete = home / "bin" / "python", home / "complete"
    cache_root().mkdir(parents=True, exist_ok=True)
    with (cache_root() / "lock-peers-python").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(home, ignore_errors=True)
            venv.create(home, with_pip=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
            answer = subprocess.run([*pip, "-r", str(LOCK)], capture_output=True, text=True, check=False)
            if answer.returncode != 0:
                raise NotInstalled(f"the libraries in {LOCK} could not be installed:\n{answer.stderr.strip()}")
            complete.touch()
    return python
