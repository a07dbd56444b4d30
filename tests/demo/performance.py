"""Running the demo as a person or a script would: as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SECONDS = 120.0
_VARIABLES = ("KUBECONFIG", "KEEP", "YES", "VERBOSE")
_OPERATOR = re.compile(r"The operator is process (\d+), its log is (\S+)\.")


class Performance:
    """One run of the demo; what it prints is read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def wait(self) -> int:
        """The exit code; everything was printed then."""
        code = self.process.wait(_SECONDS)
        self._reader.join(_SECONDS)
        assert not self._reader.is_alive(), "the command returned but something still holds its output"
        return code

    def wait_for(self, text: str) -> str:
        """The first line that contains `text`."""

        def found() -> str | None:
            return next((line for line in self._lines if text in line), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() or self._ended, _SECONDS), f"{text!r} not printed in time"
            line = found()
        assert line is not None, f"{text!r} not printed:\n{self.text}"
        return line

    def operator(self) -> tuple[int, Path]:
        """Process and log of the operator."""
        found = _OPERATOR.search(self.wait_for("The operator is process"))
        assert found is not None
        return int(found[1]), Path(found[2])

    def interrupt(self) -> None:
        """Ctrl-C: to the whole group, as a terminal does it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextmanager
def performed(*arguments: str, **variables: str) -> Iterator[Performance]:
    """Start the demo with these arguments and variables; it is ended if the test gives up on it."""
    environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.demo", *arguments],
        cwd=ROOT,
        env=environment | variables | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    performance = Performance(process)
    try:
        yield performance
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
