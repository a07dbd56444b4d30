"""What a person sees while a build runs: a live line on a terminal, one every 15 seconds in a log."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterable
from typing import TextIO


class Progress:
    """Elapsed time, stage, count and the last thing named, on standard error."""

    def __init__(self, out: TextIO | None = None, *, interval: float | None = None) -> None:
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._interval = interval or (0.2 if self._live else 15.0)
        self._began = time.monotonic()
        self._stage = ""
        self._total = 0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._out.write(("\r\x1b[K" if self._live else "") + f"control plane: {text}\n")
        self._out.flush()

    def stage(self, name: str, *, total: int = 0) -> None:
        self._stage, self._total = name, total

    def follow(self, lines: Iterable[str]) -> list[str]:
        """Read all lines, showing how far it is; returns them."""
        arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def read() -> None:
            for line in lines:
                arrived.put(line.rstrip("\n"))
            arrived.put(None)

        # Reading blocks, and a linker says nothing for a minute: the clock has to go on meanwhile.
        threading.Thread(target=read, daemon=True).start()
        seen: list[str] = []
        shown_at = time.monotonic()
        while True:
            try:
                line = arrived.get(timeout=self._interval)
            except queue.Empty:
                pass
            else:
                if line is None:
                    return seen
                seen.append(line)
            if time.monotonic() - shown_at >= self._interval:
                self._show(len(seen), seen[-1] if seen else "")
                shown_at = time.monotonic()

    def _show(self, count: int, last: str) -> None:
        elapsed = int(time.monotonic() - self._began)
        of = f" of at most {self._total}" if self._total else ""
        text = f"control plane: {elapsed // 60}:{elapsed % 60:02d} {self._stage} {count}{of}{last and ': ' + last}"
        if self._live:
            self._out.write(f"\r\x1b[K{text[:110]}")
        else:
            self._out.write(text + "\n")
        self._out.flush()

    def done(self, text: str) -> None:
        self.say(f"{text} in {time.monotonic() - self._began:.0f} s")
