"""A limit of time around whatever runs in the main thread: a program that hangs costs its own figures, no others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN = 30.0
"""Raised once more after this, should the first have been lost in a callback that swallows what is raised."""


class TookTooLong(Exception):
    """What was started did not end within its limit."""


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """`TookTooLong` inside, after so many seconds; must be entered in the main thread, and never within another."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"did not end within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
