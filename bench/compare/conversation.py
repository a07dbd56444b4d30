"""A contestant that keeps a cache: started, spoken to in lines, its memory read from /proc, ended.

The contract is in `bench.peers.python.contract` and, for Go, in bench/peers/go/contract.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Any

from bench.contender import ROOT, ContenderFailed

PATIENCE = 180.0
"""Who needs longer than this for one thing is not measured."""
MOST_MEMORY = 8 << 30
"""Nor is who needs more than this."""
_LOOK = 0.5


class TooMuch(ContenderFailed):
    """It needs more time or memory than a contestant may: trying again would not help."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: resident, private to the process, and the most that was ever resident."""

    resident: int
    private: int
    peak: int

    @classmethod
    def of(cls, pid: int) -> Memory:
        parts = _fields(Path(f"/proc/{pid}/smaps_rollup"))
        peak = _fields(Path(f"/proc/{pid}/status"))["VmHWM"]
        return cls(parts["Rss"], parts["Private_Clean"] + parts["Private_Dirty"], peak)


def _fields(path: Path) -> dict[str, int]:
    """The lines that give an amount in kB."""
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            found[name] = int(rest.split()[0]) * 1024
    return found


class Conversation:
    """`with Conversation(...) as contestant:` runs it; leaving ends it."""

    def __init__(self, name: str, argv: Sequence[str]) -> None:
        self.name = name
        self._argv = list(argv)
        self._said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def __enter__(self) -> Conversation:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        self._child = subprocess.Popen(
            self._argv,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        threading.Thread(target=self._listen, name=f"listen-{self.name}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # At once: nobody measures how a contestant says goodbye.
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._errors):
            assert pipe is not None
            pipe.close()

    def wait(self, event: str) -> dict[str, Any]:
        """What it says next, which must be this."""
        line = self._next(event)
        said: dict[str, Any] = json.loads(line) if line else {}
        if said.get("event") != event:
            self._errors.seek(0)
            errors = self._errors.read().decode(errors="replace")[-2000:]
            last = next(reversed(errors.strip().splitlines()), "no error")
            raise ContenderFailed(f"says {said or 'nothing'} instead of {event!r}: {last}\n{errors}")
        return said

    def _next(self, event: str) -> str | None:
        deadline = monotonic() + PATIENCE
        while True:
            try:
                return self._said.get(timeout=_LOOK)
            except queue.Empty:
                pass
            if monotonic() > deadline:
                raise TooMuch(f"more than {PATIENCE / 60:.0f} minutes until {event!r}")
            resident = _fields(Path(f"/proc/{self._child.pid}/status")).get("VmRSS", 0)
            if resident > MOST_MEMORY:
                raise TooMuch(f"more than {MOST_MEMORY >> 30} GB of memory before {event!r}")

    def expect(self, value: str) -> None:
        """Arm it for the marker with this value."""
        self._tell(f"expect {value}")
        self.wait("armed")

    def collect(self) -> Memory:
        """Its memory after it gave back what it can."""
        self._tell("collect")
        self.wait("collected")
        return self.memory()

    def memory(self) -> Memory:
        return Memory.of(self._child.pid)

    def suspend(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def _tell(self, command: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(command + "\n")
        self._child.stdin.flush()

    def _listen(self) -> None:
        assert self._child.stdout is not None
        try:
            for line in self._child.stdout:
                self._said.put(line)
        except ValueError:  # closed meanwhile
            pass
        self._said.put(None)
