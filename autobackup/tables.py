"""Rows of text as aligned columns, the way kubectl prints them."""

from __future__ import annotations

from collections.abc import Sequence

from autobackup.console import printable


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Each column as wide as its widest cell; the last one ends where its text ends."""
    clean = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean]
    return "\n".join(lines) + "\n"
