"""What a person would see: the output of kubectl and of our own command, as the person who runs the demo."""

from __future__ import annotations

import os
import subprocess
import sys

from tools.demo.failure import DemoFailed
from tools.demo.narration import Narrator
from tools.demo.stage import Stage

_SECONDS = 30.0


class Prompt:
    """Where commands are typed: against the demo's API server, their output told, a failure the end of the demo."""

    def __init__(self, stage: Stage, narrator: Narrator) -> None:
        self._stage = stage
        self._narrator = narrator

    def kubectl(self, *arguments: str) -> None:
        """Run kubectl; where there is none, say what would have been run."""
        line = " ".join(["kubectl", *arguments])
        if self._stage.kubectl is None:
            self._narrator.command(line, "(kubectl is not installed)")
            return
        self._run(line, str(self._stage.kubectl), *arguments)

    def autobackup(self, *arguments: str) -> None:
        """Run `autobackup`."""
        self._run(" ".join(["autobackup", *arguments]), sys.executable, "-m", "autobackup", *arguments)

    def _run(self, line: str, *command: str) -> None:
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "KUBECONFIG": self._stage.kubeconfig},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DemoFailed(f"run {line}: {error}") from error
        if done.returncode != 0:
            raise DemoFailed(f"run {line}: exit code {done.returncode}: {done.stderr.strip()}")
        self._narrator.command(line, done.stdout or done.stderr)
