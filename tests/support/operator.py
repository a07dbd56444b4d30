"""The operator as a real process, started and stopped by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from tests.support.pod import Pod

_ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 15.0


class OperatorProcess:
    """`autobackup run` with a kubeconfig or in a pod; `with` starts it, and terminates it at the end."""

    def __init__(self, place: Path | Pod, *flags: str) -> None:
        self._flags = flags
        self._place = place
        self._log = tempfile.NamedTemporaryFile(prefix="operator-", suffix=".log", delete=False)  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._process is None or self._process.poll() is not None, "it runs already"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AUTOBACKUP_")}
        command = [sys.executable, "-m", "autobackup", "run", "--log-level=debug", "--log-format=json"]
        command += self._flags or ("--health-address=off", "--metrics-address=off")
        if isinstance(self._place, Pod):
            command = self._place.inside(command)
            environment |= self._place.environment
        else:
            command.append(f"--kubeconfig={self._place}")
        self._process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        """As a machine dies: no handler runs."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> int:
        """As Kubernetes stops a pod; the exit code."""
        return self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the operator did not stop within {_STOP_SECONDS:.0f} s\n{self.tail()}") from None

    def log(self) -> str:
        return Path(self._log.name).read_text(encoding="utf-8", errors="replace")

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def __enter__(self) -> OperatorProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if error is not None:
            print(f"--- end of the operator's log ---\n{self.tail()}")
        self._log.close()
        os.unlink(self._log.name)
