"""Programs from Debian packages: found, or installed where that is possible, and it is said when it happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.image.errors import ImageError

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class PackagesMissing(ImageError):
    """Programs are missing and cannot be installed from here."""


def find_program(name: str) -> str | None:
    """Like `which`, but an absolute path is looked at as it is, and sbin counts for everybody."""
    if name.startswith("/"):
        return name if Path(name).exists() else None
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_SYSTEM_FOLDERS]))


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    """Which packages (values) would bring the programs (keys) that are not there."""
    return sorted({package for program, package in programs.items() if find_program(program) is None})


def require_programs(programs: Mapping[str, str], *, purpose: str) -> None:
    """Install the packages of missing programs, as root on Debian; else say which ones are needed for `purpose`."""
    missing = missing_packages(programs)
    if not missing:
        return
    way_out = f"install them: apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        raise PackagesMissing(f"{purpose} needs Debian packages that are missing, and only root can {way_out}")
    if find_program("apt-get") is None:
        raise PackagesMissing(f"{purpose} needs programs of the Debian packages {', '.join(missing)}; install them")
    print(f"{purpose} needs Debian packages; installing {' '.join(missing)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Services of the packages must not start: a container runtime of the machine's own is nothing we asked for.
    guard = Path("/usr/sbin/policy-rc.d")
    guarded = not guard.exists()
    if guarded:
        guard.write_text("#!/bin/sh\nexit 101\n")
        guard.chmod(0o755)
    try:
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing]
        answer = subprocess.run(install, capture_output=True, text=True, check=False, env=environment)
        if answer.returncode != 0:  # perhaps only the lists are old
            subprocess.run(["apt-get", "update", "--quiet"], capture_output=True, check=False, env=environment)
            answer = subprocess.run(install, capture_output=True, text=True, check=False, env=environment)
    finally:
        if guarded:
            guard.unlink()
    if answer.returncode != 0 or missing_packages(programs):
        said = (answer.stderr.strip() or answer.stdout.strip())[-2000:]
        raise PackagesMissing(f"{purpose}: installing {' '.join(missing)} failed:\n{said}")
