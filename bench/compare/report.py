"""What was measured, in Markdown: ratios first, then every cell, then what has to be known to read it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.compare import clauses
from bench.compare.cells import Cell, Cells, Measure
from bench.compare.contestants import named
from bench.compare.goals import Verdict, verdicts
from bench.compare.measures import MEASURES
from bench.compare.measures.decoding import DECODERS
from bench.figures import number


def count(size: int) -> str:
    return f"{size // 1000}k" if size % 1000 == 0 and size else str(size)


def report(document: Mapping[str, Any]) -> str:
    """The whole of it."""
    cells = Cells.of_json(document["cells"])
    parts = [ratios(cells), machine(document), *tables(cells), "What has to be known to read this:", clauses.markdown()]
    return "\n\n".join(part for part in parts if part)


def ratios(cells: Cells) -> str:
    """Ours by the best peer, beside the goal."""
    rows = [("what", "size", "ours ÷ theirs", "range (turns)", "goal", "met", "ours", "theirs")]
    for verdict in verdicts(cells):
        measure = MEASURES[verdict.goal.measure]
        rows.append(
            (
                measure.title,
                count(verdict.size),
                "" if verdict.theirs is None else _ratio(verdict.ratio.value),
                _range(verdict),
                verdict.goal.text + ("" if verdict.theirs is not None else f" {measure.unit}".rstrip()),
                {True: "yes", False: "**no**", None: ""}[verdict.met],
                f"{number(verdict.ours)} {measure.unit}".rstrip(),
                f"{number(verdict.theirs)} {measure.unit}".rstrip() + f", {named(verdict.goal.against)}"
                if verdict.theirs is not None
                else "",
            )
        )
    return _table(rows)


def _ratio(value: float) -> str:
    return "more than nothing" if math.isinf(value) else number(value)


def _range(verdict: Verdict) -> str:
    if verdict.ratio.turns < 2:
        return ""
    return f"{number(verdict.ratio.low)} to {number(verdict.ratio.high)} ({verdict.ratio.turns})"


def tables(cells: Cells) -> Iterable[str]:
    """A table for each measure, contestants down and sizes across."""
    for name, measure in MEASURES.items():
        sizes, contestants = cells.sizes(name), cells.contestants(name)
        if not sizes:
            continue
        rows = [("", *("" if size == 1 else count(size) for size in sizes))]
        for contestant in contestants:
            found = [cells.get(name, size, contestant) for size in sizes]
            rows.append((_called(name, contestant), *(_cell(cell) for cell in found)))
        yield f"**{heading(measure)}**\n\n{_table(rows)}"


def _called(measure: str, contestant: str) -> str:
    return DECODERS[contestant] if measure.startswith("decode-") else named(contestant)


def heading(measure: Measure) -> str:
    return f"{measure.title[0].upper()}{measure.title[1:]}{f' ({measure.unit})' if measure.unit else ''}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    low, high = min(cell.samples), max(cell.samples)
    return number(cell.value) if low == high else f"{number(cell.value)} ({number(low)} to {number(high)})"


def machine(document: Mapping[str, Any]) -> str:
    described = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    lines = [f"Machine: {described}."]
    if document.get("others"):
        taken = ", ".join(f"{name} {share:.0%}" for name, share in document["others"].items())
        lines.append(f"Taken by other programs meanwhile, of all cores: {taken}.")
    return " ".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in body)])
