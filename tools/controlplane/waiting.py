"""Waiting for conditions, with the last seen state in the message when it did not come true."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
_LONGEST_PAUSE = 0.3


class NotInTime(AssertionError):
    """What was waited for did not happen."""


def wait_for(
    condition: Callable[[], T],
    timeout: float = 10.0,
    *,
    what: str = "",
    state: Callable[[], Any] | None = None,
    poll: float = 0.02,
) -> T:
    """Call `condition` until it returns something true, and return that.

    A condition that takes long to look at is looked at less often: what it waits for needs the processor more.

    An `AssertionError` in the condition means "not yet", so a condition may be written with asserts; any
    other error ends the wait. The failure names `what`, the last thing the condition returned or asserted,
    and what `state()` says.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        looked = time.monotonic()
        try:
            value = condition()
            if value:
                return value
            last = value
        except NotInTime:
            raise
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "the condition")
            seen = f"; last seen: {last!r}" if last is not None else ""
            if state is not None:
                seen += "\nstate: " + json.dumps(state(), indent=2, default=str)
            raise NotInTime(f"waited {timeout:g} s for {name} in vain{seen}")
        time.sleep(max(poll, min(2 * (time.monotonic() - looked), _LONGEST_PAUSE)))
