"""The operator as the process that it is, and what can be read of it from outside."""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep

from bench.contender import ROOT
from bench.stalls import StallMeter
from tools.controlplane.process import Process, free_port

_SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.MULTILINE)
_PATIENCE = 180.0
_PATIENCE_EACH = 0.1


class OperatorFailed(Exception):
    """The operator ended, or did not get where it should."""


class Operator:
    """`autobackup run` with its usual settings, its log in a file."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        name = f"operator-{token_hex(3)}"
        self._health, self._metrics = free_port(), free_port()
        self.stalls = StallMeter(folder / f"{name}.stalls")
        # With bytecode, as the image ships it: nobody compiles the operator each time it starts.
        unwanted = ("AUTOBACKUP_", "PYTHONDONTWRITEBYTECODE")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        self._process = Process(
            name,
            [
                *(sys.executable, "-m", "bench.operatormain", str(folder / f"{name}.stalls")),
                *("run", "--kubeconfig", str(kubeconfig), "--log-format=json"),
                *(f"--health-address=127.0.0.1:{self._health}", f"--metrics-address=127.0.0.1:{self._metrics}"),
            ],
            log=folder / f"{name}.log",
            env={**environment, "PYTHONPATH": str(ROOT)},
        )

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop()

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return self._process.memory()

    @property
    def cpu_seconds(self) -> float:
        """Spent so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_ready(self) -> None:
        """Until all its caches are complete."""
        deadline = monotonic() + _PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._health}/readyz", timeout=5):
                    return
            except OSError as error:
                self._check(deadline, f"not ready: {error}")
            sleep(0.01)

    def wait_settled(self, targets: int) -> None:
        """Until it has looked at this many targets, found or made all of them right, and has nothing left to do."""
        began = monotonic()
        deadline = began + max(_PATIENCE, _PATIENCE_EACH * targets)
        while True:
            try:
                readings = self.readings()
            except OSError as error:
                self._check(deadline, f"it has no metrics yet: {error}")
                sleep(0.01)
                continue
            configured = sum(value for name, value in readings.items() if _is_configured(name))
            busy = sum(value for name, value in readings.items() if name.startswith("workqueue_depth"))
            busy += sum(value for name, value in readings.items() if name.startswith("workqueue_unfinished_work"))
            if configured >= targets and not busy:
                return
            self._check(deadline, f"{configured:.0f} of {targets} targets are configured")
            sleep(max(0.03, (monotonic() - began) / 100))  # reading metrics is work for who is measured

    def readings(self) -> dict[str, float]:
        """Its metrics now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return {name + labels: float(value) for name, labels, value in _SAMPLE.findall(text)}

    def _check(self, deadline: float, state: str) -> None:
        if not self._process.running or monotonic() > deadline:
            raise OperatorFailed(f"{state}\nthe end of its log:\n{self._process.last_lines()}")


def _is_configured(name: str) -> bool:
    return name.startswith("autobackup_targets{") and 'state="configured"' in name
