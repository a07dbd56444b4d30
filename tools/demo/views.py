"""What a person would see: kubectl's own output, as the person who runs the demo."""

from __future__ import annotations

import os
import subprocess

from tools.demo.failure import DemoFailed
from tools.demo.narration import Narrator
from tools.demo.stage import Stage

_SECONDS = 20.0


class Kubectl:
    """kubectl, if there is one."""

    def __init__(self, stage: Stage, narrator: Narrator) -> None:
        self._stage = stage
        self._narrator = narrator

    def show(self, *arguments: str) -> None:
        """Run a command and show what it printed; without kubectl, say what would have been run."""
        line = " ".join(["kubectl", *arguments])
        if self._stage.kubectl is None:
            self._narrator.command(line, "(kubectl is not installed)")
            return
        try:
            done = subprocess.run(
                [self._stage.kubectl, *arguments],
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
