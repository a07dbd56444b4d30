"""The first process of a container must not lose a SIGTERM that comes while it starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

_QUESTION = "import signal, autobackup.__main__; print(callable(signal.getsignal(signal.SIGTERM)))"


def _ask(*before: str) -> str:
    return subprocess.run(
        [*before, sys.executable, "-c", _QUESTION], check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


def test_an_ordinary_process_keeps_the_default_action() -> None:
    assert _ask() == "False"


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="a process 1 of one's own takes root and unshare"
)
def test_process_one_ends_on_sigterm_from_its_first_moment() -> None:
    assert _ask("unshare", "--pid", "--fork", "--kill-child") == "True"
