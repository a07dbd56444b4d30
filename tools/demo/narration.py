"""What the audience reads: short sentences, the objects as YAML, and a tick for everything that was observed.

Colour only on a terminal, and not with NO_COLOR or on a dumb one. Ticks become `ok` where the encoding lacks them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import yaml

_WIDTH = 110
_STYLES = {"title": "1", "dim": "2", "good": "32", "bad": "1;31", "action": "36"}


class Narrator:
    """One audience."""

    def __init__(self, out: TextIO, *, environ: Mapping[str, str]) -> None:
        self._out = out
        self._colour = out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        unicode = (out.encoding or "").lower().replace("-", "").startswith("utf")
        self._tick, self._arrow = ("✓", "→") if unicode else ("ok", "->")
        self._chapters = 0

    def chapter(self, title: str) -> None:
        self._chapters += 1
        self._write(f"\n{self._styled('title', f'{self._chapters}. {title}')}")

    def say(self, text: str) -> None:
        self._write(textwrap.fill(text, _WIDTH, initial_indent="   ", subsequent_indent="   "))

    def act(self, text: str) -> None:
        """Something that a person does."""
        self._write(f"   {self._styled('action', f'{self._arrow} {text}')}")

    def seen(self, text: str) -> None:
        """Something that was observed on the API server."""
        self._write(f"   {self._styled('good', self._tick)} {text}")

    def objects(self, *shown: Mapping[str, Any]) -> None:
        """Objects as YAML, with short maps and lists on one line."""
        for each in shown:
            text = yaml.safe_dump(dict(each), sort_keys=False, default_flow_style=None, width=_WIDTH)
            self._block(text)

    def command(self, line: str, output: str) -> None:
        """A command and what it printed."""
        self._write(f"   {self._styled('action', f'$ {line}')}")
        self._block(output)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their widest cell; the last one is set to the right."""
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        for number, row in enumerate((header, *rows)):
            cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
            line = "  ".join([*cells, row[-1].rjust(widths[-1])])
            self._write("   " + (self._styled("title", line) if number == 0 else line))

    def log_line(self, text: str) -> None:
        """A line of the operator's log."""
        self._write(self._styled("dim", f"   operator | {text}"))

    def result(self, text: str) -> None:
        """A line at the margin, to be copied or kept."""
        self._write(text)

    def failure(self, text: str) -> None:
        head, _, rest = text.partition("\n")
        self._write("\n" + self._styled("bad", f"The demo failed: {head}") + (f"\n{rest}" if rest else ""))

    def _block(self, text: str) -> None:
        self._write(textwrap.indent(text.rstrip("\n"), "     "))

    def _styled(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colour else text

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
