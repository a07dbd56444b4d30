"""The operator, as the process that it is: `autobackup run` with the kubeconfig of its own identity."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.controlplane.process import Process, free_port
from tools.demo.failure import DemoFailed
from tools.demo.stage import Stage

_LAST_LINES = 20
_POLL = 0.05
_TAIL = 0.1


class OperatorProcess:
    """The running operator and its log."""

    def __init__(self, process: Process, *, health: str) -> None:
        self._process = process
        self._health = health

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> Path:
        return self._process.log

    def trouble(self) -> str | None:
        """Why there is nothing to wait for any more."""
        if self._process.running:
            return None
        return f"the operator is gone (exit code {self._process.exit_code})"

    def last_lines(self) -> str:
        return self._process.last_lines(_LAST_LINES)

    def wait_ready(self, timeout: float) -> None:
        """Until /readyz says that all caches are complete."""
        deadline = time.monotonic() + timeout
        answer = "no answer"
        while True:
            try:
                with urllib.request.urlopen(self._health + "/readyz", timeout=2):
                    return
            except urllib.error.HTTPError as refused:
                with refused:
                    answer = refused.read().decode(errors="replace").strip()
            except OSError as error:
                answer = str(error)
            if trouble := self.trouble():
                raise DemoFailed(f"start the operator: {trouble}")
            if time.monotonic() >= deadline:
                raise DemoFailed(f"start the operator: not ready within {timeout:g} s; /readyz says: {answer}")
            time.sleep(_POLL)


@contextmanager
def running(stage: Stage, *, show: Callable[[str], None] | None) -> Iterator[OperatorProcess]:
    """Start the operator and stop it again. Its log stays if the demo fails, and goes if it does not.

    `show` gets every line of the log as it is written.
    """
    handle, name = tempfile.mkstemp(prefix="autobackup-demo-operator-", suffix=".log")
    os.close(handle)
    log = Path(name)
    port = free_port()
    argv = [
        *(sys.executable, "-m", "autobackup", "run"),
        *("--kubeconfig", str(stage.operator_kubeconfig)),
        *("--log-format", "console"),
        *("--health-address", f"127.0.0.1:{port}"),
        *("--metrics-address", "off"),
    ]
    if stage.namespaces:
        argv += ["--namespaces", ",".join(stage.namespaces)]
    # Only what is given here configures it, not what the person has in the environment for an operator of their own.
    env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG" and not key.startswith("AUTOBACKUP_")}
    process = Process("autobackup", argv, log=log, env=env)
    stop = threading.Event()
    tail = threading.Thread(target=_follow, args=(log, show, stop), name="operator log") if show else None
    try:
        process.start()
        if tail:
            tail.start()
        yield OperatorProcess(process, health=f"http://127.0.0.1:{port}")
    except DemoFailed:
        raise
    except BaseException:
        process.stop()
        log.unlink(missing_ok=True)
        raise
    else:
        process.stop()
        log.unlink(missing_ok=True)
    finally:
        process.stop()
        stop.set()
        if tail and tail.is_alive():
            tail.join()


def _follow(log: Path, show: Callable[[str], None], stop: threading.Event) -> None:
    with contextlib.suppress(OSError), log.open(encoding="utf-8", errors="replace") as lines:
        rest = ""
        while True:
            ending = stop.is_set()
            *whole, rest = (rest + lines.read()).split("\n")
            for line in whole:
                show(line)
            if ending:
                return
            stop.wait(_TAIL)
