"""What was measured, in Markdown: ratios first, then every cell, then what has to be known to read it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.compare import clauses
from bench.compare.cells import Cell, Cells, Measure
from bench.compare.contestants import OURS, named
from bench.compare.gaps import Gaps
from bench.compare.goals import Verdict, verdicts
from bench.compare.measures import MEASURES
from bench.compare.measures.decoding import DECODERS
from bench.figures import number


def count(size: int) -> str:
    return f"{size // 1000}k" if size % 1000 == 0 and size else str(size)


def report(document: Mapping[str, Any]) -> str:
    """The whole of it."""
    cells, gaps = Cells.of_json(document["cells"]), Gaps.of_json(document.get("gaps", []))
    expected = [
        (measure.name, entry["size"])
        for entry in document.get("expected", [])
        for measure in MEASURES.values()
        if measure.group == entry["group"]
    ]
    parts = [
        summary(cells, expected),
        ratios(cells, gaps, expected),
        machine(document),
        *tables(cells, gaps),
        "What has to be known to read this:",
        clauses.markdown(),
    ]
    return "\n\n".join(part for part in parts if part)


def summary(cells: Cells, expected: Sequence[tuple[str, int]]) -> str:
    """How many of the goals are met."""
    found = [verdict for verdict in verdicts(cells, expected) if verdict.goal.most is not None]
    if not found:
        return "No goal was measured."
    met, missed = (sum(verdict.met is which for verdict in found) for which in (True, False))
    absent = len(found) - met - missed
    unmeasured = f", {absent} not measured" if absent else ""
    return f"Of {len(found)} rows with a goal, {met} meet it, {missed} miss it{unmeasured}."


def ratios(cells: Cells, gaps: Gaps, expected: Sequence[tuple[str, int]]) -> str:
    """Ours by the best peer, beside the goal."""
    rows = [("what", "size", "ours ÷ theirs", "range (turns)", "goal", "met", "ours", "theirs")]
    for verdict in verdicts(cells, expected):
        measure, alone = MEASURES[verdict.goal.measure], not verdict.goal.against
        rows.append(
            (
                measure.title,
                count(verdict.size),
                "" if alone or verdict.ratio is None else _ratio(verdict.ratio.value),
                _range(verdict),
                verdict.goal.text + (f" {measure.unit}".rstrip() if alone else ""),
                {True: "yes", False: "**no**", None: ""}[verdict.met],
                _value(verdict.ours, measure) or _absent(gaps, measure, verdict.size, OURS),
                _theirs(verdict, measure, gaps),
            )
        )
    return _table(rows)


def _value(value: float | None, measure: Measure) -> str:
    return "" if value is None else f"{number(value)} {measure.unit}".rstrip()


def _theirs(verdict: Verdict, measure: Measure, gaps: Gaps) -> str:
    if not verdict.goal.against:
        return ""
    value = _value(verdict.theirs, measure) or _absent(gaps, measure, verdict.size, verdict.goal.against)
    return f"{value}, {named(verdict.goal.against)}"


def _absent(gaps: Gaps, measure: Measure, size: int, contestant: str) -> str:
    why = gaps.why(measure.group, size, contestant)
    return f"not measured: {why}" if why else "not measured"


def _ratio(value: float) -> str:
    return "more than nothing" if math.isinf(value) else number(value)


def _range(verdict: Verdict) -> str:
    if verdict.ratio is None or verdict.ratio.turns < 2:
        return ""
    return f"{number(verdict.ratio.low)} to {number(verdict.ratio.high)} ({verdict.ratio.turns})"


def tables(cells: Cells, gaps: Gaps) -> Iterable[str]:
    """A table for each measure, contestants down and sizes across."""
    for name, measure in MEASURES.items():
        sizes = cells.sizes(name)
        contestants = cells.contestants(name)
        if not sizes:
            continue
        rows = [("", *("" if size == 1 else count(size) for size in sizes))]
        for contestant in contestants:
            found = [_cell(cells.get(name, size, contestant), gaps, measure, size, contestant) for size in sizes]
            rows.append((_called(name, contestant), *found))
        yield f"**{heading(measure)}**\n\n{_table(rows)}"


def _called(measure: str, contestant: str) -> str:
    return DECODERS[contestant] if measure.startswith("decode-") else named(contestant)


def heading(measure: Measure) -> str:
    return f"{measure.title[0].upper()}{measure.title[1:]}{f' ({measure.unit})' if measure.unit else ''}"


def _cell(cell: Cell | None, gaps: Gaps, measure: Measure, size: int, contestant: str) -> str:
    if cell is None:
        return _absent(gaps, measure, size, contestant)
    low, high = min(cell.samples), max(cell.samples)
    return number(cell.value) if low == high else f"{number(cell.value)} ({number(low)} to {number(high)})"


def machine(document: Mapping[str, Any]) -> str:
    """Where these figures come from."""
    described = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    lines = [document.get("note", "")]
    if "commit" in document:
        lines.append(
            f"One run, of {document['began']} to {document['ended'].partition(' ')[2]}, at {document['commit']}."
        )
    lines.append(f"Machine: {described}.")
    taken = {name: part["others"] for name, part in document.get("parts", {}).items() if part["turns"]}
    if taken:
        most = max(taken, key=lambda name: taken[name])
        mean = sum(taken.values()) / len(taken)
        lines.append(
            f"Other programs took {mean:.0%} of all cores meanwhile, and most of all during {most}: {taken[most]:.0%}."
        )
        turns = ", ".join(f"{name} {part['turns']}" for name, part in document["parts"].items() if part["turns"])
        lines.append(f"Turns: {turns}.")
    return " ".join(line for line in lines if line)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in body)])
