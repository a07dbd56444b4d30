"""How long an event loop computes between two looks at its sockets, exactly, in every iteration.

The loop calls `select` once an iteration. From its return to its next call nothing else can happen: no socket is read,
no timer fires, no probe is answered. The longest such time is the longest stall. It is taken on the wall clock, which
on a busy machine includes waiting for a core, and as CPU time of the thread, which does not.

The figures live in a small file that is mapped into memory, so that another process can read and reset them while the
loop runs.
"""

from __future__ import annotations

import mmap
import selectors
from pathlib import Path
from struct import Struct
from time import perf_counter, thread_time

_FIGURES = Struct("dd")


class StallMeter:
    """The longest stall since the last `reset`, in seconds: on the wall, and of CPU time."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_FIGURES.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _FIGURES.size)

    def reset(self) -> None:
        _FIGURES.pack_into(self._memory, 0, 0.0, 0.0)

    def read(self) -> tuple[float, float]:
        wall, cpu = _FIGURES.unpack_from(self._memory)
        return wall, cpu

    def record(self, wall: float, cpu: float) -> None:
        longest, hardest = self.read()
        if wall > longest or cpu > hardest:
            _FIGURES.pack_into(self._memory, 0, max(wall, longest), max(cpu, hardest))


class _TimedSelector(selectors.EpollSelector):
    """Reports to `meter` how long its user was away."""

    meter: StallMeter
    _returned = 0.0
    _spent = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._returned:
            self.meter.record(perf_counter() - self._returned, thread_time() - self._spent)
        found = super().select(timeout)
        self._returned, self._spent = perf_counter(), thread_time()
        return found


def install(path: Path) -> StallMeter:
    """Have every event loop that is made from now on report its stalls to the file at `path`."""
    _TimedSelector.meter = StallMeter(path)
    # asyncio looks the name up each time it makes a loop.
    setattr(selectors, "DefaultSelector", _TimedSelector)  # noqa: B010 - for the type checker it is a type
    return _TimedSelector.meter
