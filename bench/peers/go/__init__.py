"""The Go peers: found in the cache of built programs, or built from the go.mod and the sources beside this file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from tools.controlplane.build import built, cache_folder

_MODULE: Final = Path(__file__).parent
_FLAGS: Final = "-s -w"
_PROGRAMS: Final = {name: f"autobackup.dev/peers/{name}" for name in ("informer", "floor", "controller")}


def programs() -> Path:
    """The folder with all of them; the first call builds them, which takes minutes."""
    return built("peers", _PROGRAMS, module=_MODULE, flags=_FLAGS)


def at_hand() -> bool:
    """Whether they are built already, or can be with the Go that is there."""
    folder = cache_folder("peers", _PROGRAMS, module=_MODULE, flags=_FLAGS)
    return all(os.access(folder / name, os.X_OK) for name in _PROGRAMS) or shutil.which("go") is not None
