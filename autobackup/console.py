"""What people and programs get to see: results on stdout, everything else on stderr.

Contract: stdout carries only what was asked for, so it can be piped; notes, warnings and errors go to stderr, one
line each, led by `file:line:` where there is one. Colour is used only on a terminal, and not when `NO_COLOR` is set
or the terminal is dumb.

Invariant: nothing from a file or a server reaches the terminal with control characters in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TextIO

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_RESET = "\x1b[0m"
_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m"}
_FINDING_STYLES = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}
_DIFF_STYLES = (
    ("+++", "\x1b[1m"),
    ("---", "\x1b[1m"),
    ("@@", "\x1b[36m"),
    ("+", "\x1b[32m"),
    ("-", "\x1b[31m"),
)


class Console:
    """The two streams of one run of the command."""

    def __init__(self, out: TextIO, err: TextIO, *, environ: Mapping[str, str], quiet: bool = False) -> None:
        self._out = out
        self._err = err
        self._quiet = quiet
        plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self._colour_out = not plain and out.isatty()
        self._colour_err = not plain and err.isatty()

    @property
    def ascii_only(self) -> bool:
        """Whether stdout can only take ASCII, so that other characters must be escaped."""
        return (self._out.encoding or "ascii").lower().replace("-", "") not in ("utf8", "utf16", "utf32")

    @property
    def on_terminal(self) -> bool:
        """Whether somebody reads stdout on a screen."""
        return self._out.isatty()

    def hush(self) -> None:
        """From now on tell errors only."""
        self._quiet = True

    def result(self, text: str) -> None:
        """Text that was asked for, as it is; it brings its own line ends."""
        self._out.write(text)

    def difference(self, text: str) -> None:
        """A unified diff, coloured line by line."""
        if not self._colour_out:
            self._out.write(text)
            return
        for line in text.splitlines(keepends=True):
            style = next((code for lead, code in _DIFF_STYLES if line.startswith(lead)), "")
            self._out.write(f"{style}{line.rstrip()}{_RESET}\n" if style else line)

    def finding(self, level: str, subject: str, text: str, *, remedy: str = "") -> None:
        """One line of a report, and what to do about it on the next."""
        word = f"{level:<6}"
        if self._colour_out:
            word = f"{_FINDING_STYLES[level]}{word}{_RESET}"
        self._out.write(f"{word}{subject:<11}{_one_line(text)}\n")
        if remedy:
            self._out.write(f"{'':<6}{'':<11}-> {_one_line(remedy)}\n")

    def error(self, text: str, *, where: str = "") -> None:
        self._tell("error", text, where)

    def warning(self, text: str, *, where: str = "") -> None:
        if not self._quiet:
            self._tell("warning", text, where)

    def note(self, text: str, *, where: str = "") -> None:
        if not self._quiet:
            self._tell("note", text, where)

    def _tell(self, level: str, text: str, where: str) -> None:
        lead = f"{printable(where)}: " if where else ""
        label = f"{_STYLES[level]}{level}:{_RESET}" if self._colour_err else f"{level}:"
        # In the order in which things happened, also when both streams are one terminal.
        self._out.flush()
        self._err.write(f"{lead}{label} {printable(text)}\n")


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """`text` with control characters escaped; line ends stay."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
