"""SIGTERM and SIGINT, as an event that whoever runs waits for.

A first signal asks for an orderly stop. A second one means that somebody does not want to wait: the handlers are gone
by then, so it ends the process the way the system does.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signal() -> Iterator[asyncio.Event]:
    """An event that is set by the first SIGTERM or SIGINT. Use on the running loop of the main thread."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def release() -> None:
        for number in STOPPING:
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        release()
        stop.set()

    for number in STOPPING:
        loop.add_signal_handler(number, on_signal)
    try:
        yield stop
    finally:
        release()
