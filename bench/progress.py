"""What a person sees while a benchmark runs: one live line on a terminal, a line per step in a log."""

from __future__ import annotations

import sys
from time import monotonic
from typing import TextIO


class Progress:
    """Elapsed time and the present step, on standard error."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._began = monotonic()
        self._step = ""
        self._left: float | None = None

    def expect(self, seconds: float) -> None:
        """What is still to come, from now on shown beside what has passed."""
        self._left = seconds

    def step(self, name: str) -> None:
        """Something new begins."""
        self._step = name
        self._write(name, keep=not self._live)

    def detail(self, name: str) -> None:
        """What happens within the present step; shown on a terminal only."""
        if self._live:
            self._write(name, keep=False)

    def count(self, done: int, total: int) -> None:
        """How far the present step is; shown on a terminal only."""
        if self._live:
            self._write(f"{self._step} {done}/{total}", keep=False)

    def end(self) -> None:
        if self._live:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _write(self, text: str, *, keep: bool) -> None:
        elapsed = int(monotonic() - self._began)
        left = "" if self._left is None else f", {self._left / 60:.0f} min left:"
        line = f"bench {elapsed // 60}:{elapsed % 60:02d}{left} {text}"
        self._out.write(line + "\n" if keep else f"\r\x1b[K{line[:110]}")
        self._out.flush()
