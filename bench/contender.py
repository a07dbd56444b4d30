"""Running a contender: a program that gets a kubeconfig and arguments, and prints one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 300.0


class ContenderFailed(Exception):
    """A contender did not say what it measured."""


def run(argv: list[str]) -> Mapping[str, Any]:
    """What the program printed."""
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise ContenderFailed(f"{' '.join(argv[1:4])} ended with {done.returncode}: {done.stderr[-2000:]}")
    said: Mapping[str, Any] = json.loads(lines[-1])
    return said


def python(name: str, *arguments: str) -> Mapping[str, Any]:
    """What one of `bench.contenders` measured."""
    return run([sys.executable, "-m", f"bench.contenders.{name}", *arguments])
