"""A Debian base with Python, for builds where no registry can be reached.

Made by mmdebstrap once and kept in the cache, keyed by everything that decides its contents but the day it was made:
delete the file, and the next one has today's packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.controlplane.build import cache_root
from tools.image.debian import require_programs
from tools.image.errors import ImageError

SUITE = "trixie"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# Nobody reads manuals in a container; licences stay.
OPTIONS = (
    "--variant=minbase",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
)


def base_key(packages: tuple[str, ...] = PACKAGES) -> str:
    text = "\0".join((SUITE, os.uname().machine, *sorted(packages), *OPTIONS))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """One at a time, over processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def debian_base(packages: tuple[str, ...] = PACKAGES) -> Path:
    """A tar archive of a Debian root file system with `packages`."""
    path = cache_root() / f"debian-{SUITE}-{base_key(packages)}.tar"
    with held(cache_root() / "lock-base"):
        if not path.exists():
            require_programs({"mmdebstrap": "mmdebstrap"}, purpose="making a Debian base")
            print(f"making a Debian {SUITE} with {', '.join(packages)} (once; cached in {path})", file=sys.stderr)
            _bootstrap(path, packages)
    return path


def _bootstrap(path: Path, packages: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="debian-") as folder:
        made = Path(folder) / "base.tar"
        command = ["mmdebstrap", *OPTIONS, f"--include={','.join(packages)}", SUITE, str(made)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if answer.returncode != 0:
            raise ImageError(f"{' '.join(command)} failed:\n{answer.stderr[-3000:]}")
        made.rename(path)
