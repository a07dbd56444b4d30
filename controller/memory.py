"""The memory of the process: what the garbage collector looks at and when, and what goes back to the system.

- Rows live as long as their objects and hold no cycles: a search for cycles among them finds nothing and stalls the
  loop. What imports leave, and what caches hold once they are complete, is left out of all searches (`leave_out`), and
  the collector seldom searches through what is old by itself.
- Cycles there are nevertheless, one for each connection that ended: asyncio's transports refer to themselves. So
  everything that was not left out is searched every few minutes, in a moment without work (`tidy`). Where that has
  become much, after the first look at all targets or when many rows were replaced, it is left out as well, unsearched:
  a few cycles stay for good then, far less than what there is much of.
- An outage has all connections made anew at once, and half of glibc's heap is free after it, page by page between what
  is used. It keeps those pages; `malloc_trim` gives them back. Where the C library has none, nothing is done.

Why: ADR 27. Source of the rules: CPython `Modules/gcmodule.c`, `Lib/asyncio/selector_events.py`; malloc_trim(3).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

import structlog

from informers.clock import Clock

THRESHOLDS: Final = (5_000, 10, 1000)
"""Of the collector: objects more than freed, searches of the youngest, searches of the young."""
EVERY_SECONDS: Final = 300.0
MANY: Final = 20_000
"""More objects than these are not searched through in one turn of the loop."""
_PATIENCE_SECONDS: Final = 60
"""For how long a moment without work is waited for."""

_log = structlog.get_logger("memory")


def leave_out(*, search: bool) -> None:
    """Have no later search look at what there is now; `search` it once more before, which takes a while."""
    gc.set_threshold(*THRESHOLDS)
    if search:
        gc.collect()
    gc.freeze()


async def keep_tidy(clock: Clock, busy: Callable[[], bool]) -> None:
    """Tidy up every few minutes, when `busy` says no, until cancelled."""
    while True:
        await clock.sleep(EVERY_SECONDS)
        for _ in range(_PATIENCE_SECONDS):
            if not busy():
                break
            await clock.sleep(1.0)
        started = clock.monotonic()
        freed = tidy()
        _log.debug("Tidied up memory", objects=freed, duration_s=round(clock.monotonic() - started, 4))


def tidy() -> int:
    """Free what only cycles keep, give back to the system what is free. Returns the number of objects freed."""
    import ctypes  # noqa: PLC0415 - no part of the time that a start takes

    if len(gc.get_objects()) > MANY:
        gc.freeze()
    freed = gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return freed
