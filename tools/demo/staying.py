"""KEEP=1: the cluster and the operator go on after the command has returned.

The programs of the control plane die with the process that started them, so that process has to stay. It is a child
in a session of its own; the command waits for its verdict only, and hands an interruption on until then.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SILENT_DEATH = 1

Leave = Callable[[], None]


def run_apart(perform: Callable[[Leave], int]) -> int:
    """Run `perform` in a child until it calls `leave` (then 0 is returned here) or ends (then its exit code is).

    Call it before there are threads.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        code = _SILENT_DEATH
        try:
            code = perform(lambda: _leave(writer))
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(code)
    os.close(writer)
    for number in _INTERRUPTIONS:
        signal.signal(number, lambda *_: _interrupt(child))
    with os.fdopen(reader, "rb") as verdict:
        if verdict.read():
            return 0
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def wait_for_end() -> None:
    """Until a signal handler raises KeyboardInterrupt."""
    with suppress(KeyboardInterrupt):
        while True:
            signal.pause()


def _leave(writer: int) -> None:
    """Let the command return: nothing of its terminal or pipe is held any longer."""
    sys.stdout.flush()
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)
    os.write(writer, b"kept")
    os.close(writer)


def _interrupt(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGINT)
