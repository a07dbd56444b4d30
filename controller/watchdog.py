"""Ends the process when it outlives its lease, whatever the event loop is doing (L8).

Contract: a plain thread compares the clock with the fence's `exit_by` every `PERIOD` seconds, and ends the process with
`EXIT_CODE` when it has passed: no handler runs, nothing is flushed, nothing is written any more. The thread takes no
lock, so a loop that hangs or a process that was stopped and goes on cannot keep it from doing so.

A process that was stopped (SIGSTOP) may go on in the middle of sending a write. For that case there is a handler of
SIGCONT as well: Python runs it before the interrupted code gets any further.

Source: controller-runtime's `healthzadaptor.go` and kubernetes#70819, where only the liveness probe would notice.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final

from controller.fence import Fence
from informers.clock import Clock

PERIOD: Final = 0.25
EXIT_CODE: Final = 70
_MESSAGE: Final = "The lease ran out while this process still led, or it did not stop in time after losing it"


def _end(code: int) -> None:
    # Not through the log: its lock may be what hangs.
    line = {"level": "error", "logger": "leader-election", "msg": _MESSAGE, "exit_code": code}
    os.write(2, json.dumps(line).encode() + b"\n")
    os._exit(code)


class Watchdog:
    """Watches while the context is open. Enter it in the main thread."""

    def __init__(self, fence: Fence, clock: Clock, *, end: Callable[[int], None] = _end) -> None:
        self._fence = fence
        self._clock = clock
        self._end = end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease watchdog", daemon=True)

    def look(self) -> None:
        """End the process if it should be gone."""
        if self._clock.boottime() > self._fence.exit_by:
            self._end(EXIT_CODE)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            self.look()

    def _continued(self, number: int, frame: FrameType | None) -> None:
        self.look()

    def __enter__(self) -> Watchdog:
        signal.signal(signal.SIGCONT, self._continued)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        signal.signal(signal.SIGCONT, signal.SIG_DFL)
