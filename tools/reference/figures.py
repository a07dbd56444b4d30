"""Figures as they were measured: the committed results of `TRIALS=20 make e2e`, with the goals beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.reference.markdown import page, table

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "e2e.json"


def render_figures() -> str:
    results = json.loads(RESULTS.read_text())
    machine = results["machine"]
    rows = [_row(title, figure) for title, figure in results["figures"].items()]
    return page(
        "Figures",
        "Measured by `TRIALS=20 make e2e`: the chart, in pods, on a real one-node cluster. `bench/results/e2e.json` "
        "has every sample. Of twenty trials the longest is what the column p99 says.",
        f"The machine has {machine['cores']} cores ({machine['cpu']}) and {machine['memory_gib']:.0f} GiB of memory "
        f"for everything: two replicas, Kubernetes {machine['kubernetes']}, etcd, and the tests themselves. Other "
        "programs used it as well: the last column but one says how much of it, on average.",
        table(["What", "Goal", "p50", "p99", "Trials", "Goal kept", "Others", "Measured"], rows),
    )


def _row(title: str, figure: dict[str, Any]) -> list[str]:
    unit, goal = figure["unit"], figure["goal"]
    kept = "" if goal is None else "yes" if max(figure["samples"]) <= goal else "**no**"
    return [
        title,
        "" if goal is None else f"≤ {number(goal)} {unit}" if goal else "0",
        f"{number(figure['p50'])} {unit}",
        f"{number(figure['p99'])} {unit}",
        str(len(figure["samples"])),
        kept,
        f"{figure['others']:.0%}",
        f"{figure['date']}, {figure['commit']}",
    ]


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
