"""Child processes that cannot outlive this one.

Contract: a `Process` runs one program with its output in a log file and can be stopped, killed, suspended
and started again with the same arguments. The kernel kills the program when this interpreter dies, however
it dies (`PR_SET_PDEATHSIG`), so that an aborted test run leaves no server behind.

The death signal belongs to the *thread* that created the child. All children are therefore created by one
thread that lives as long as the interpreter, whatever thread `start()` is called from. The signal is set by
a small launcher that then becomes the program, because code between fork and exec is not safe in a process
with threads.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""

_creator = ThreadPoolExecutor(max_workers=1, thread_name_prefix="controlplane-processes")


class ControlPlaneError(Exception):
    """A program of the control plane did not do what was asked of it."""


Flags = Mapping[str, str | Sequence[str] | None]
"""Command-line flags by name: None takes a default away, a list repeats the flag."""


def flag_arguments(defaults: Flags, overrides: Flags) -> list[str]:
    """As arguments; `overrides` win."""
    arguments: list[str] = []
    for name, value in {**defaults, **overrides}.items():
        if value is None:
            continue
        values = [value] if isinstance(value, str) else value
        arguments += [f"--{name}={each}" for each in values]
    return arguments


_given: set[int] = set()


def free_port() -> int:
    """A loopback port nobody listens on, outside the range the kernel takes client ports from; another one each time.

    A port inside that range can be taken by an outgoing connection while a server on it restarts.
    """
    for _ in range(200):
        port = random.randrange(20000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise ControlPlaneError("found no free loopback port between 20000 and 32000")


class Process:
    """One program: how to start it, and the running instance if there is one."""

    def __init__(self, name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        self._env = dict(env) if env is not None else None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._child is None:
            raise ControlPlaneError(f"{self.name} was not started")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._child.poll() if self._child is not None else None

    def start(self) -> None:
        if self.running:
            raise ControlPlaneError(f"{self.name} runs already (pid {self.pid})")
        self._child = _creator.submit(self._create).result()

    def _create(self) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in a terminal reaches us alone, and we stop things in order.
            return subprocess.Popen(
                [*launcher, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,
            )

    def stop(self, *, grace: float = 10.0) -> None:
        """SIGTERM, and SIGKILL if that was not enough within `grace` seconds; nothing to a dead process."""
        if self._child is None or not self.running:
            return
        self._child.send_signal(signal.SIGCONT)
        self._child.terminate()
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a node failure or the OOM killer would."""
        if self._child is not None and self.running:
            self._child.kill()
            self._child.wait()

    def suspend(self) -> None:
        """SIGSTOP: the process is there, its sockets are open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def last_lines(self, count: int = 15) -> str:
        """The end of the log, for error messages."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def memory(self) -> int:
        """Resident bytes of the running program."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ControlPlaneError(f"/proc/{self.pid}/status has no VmRSS line")
