"""How late the event loop is: the one number that shows that something computes where it should wait.

A timer is set for a moment and the lateness of its callback is observed. Under load this measures what a
watch event or a probe would have had to wait as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from informers.clock import Clock

EVERY_SECONDS: Final = 0.25


async def watch_loop_lag(clock: Clock, observe: Callable[[float], None], *, every: float = EVERY_SECONDS) -> None:
    """Observe the lag until cancelled."""
    while True:
        due = clock.monotonic() + every
        await clock.sleep(every)
        observe(max(0.0, clock.monotonic() - due))
