"""What was measured on the way: written down, never asserted.

A run that tries everything often enough (`TRIALS=20 make e2e`) writes `bench/results/e2e.json`, which is committed and
from which docs/reference/figures.md is made; any other writes a file beside it that is not. A run of a part replaces
what it measured and leaves the rest, so each figure says of which day and commit it is, and how much of the machine
other programs used meanwhile.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from bench.figures import percentile
from bench.machine import Company, describe
from tests.e2e.chart.effort import EFFORT
from tools.image.builder import revision

RESULTS = Path(__file__).resolve().parents[3] / "bench" / "results"
FILE = RESULTS / ("e2e.json" if EFFORT.is_full else "e2e-quick.json")
_TOGETHER = 1.0


class Figures:
    """Samples by title, with their unit and the goal for the worst but one in a hundred."""

    def __init__(self, *, kubernetes: str) -> None:
        self._kubernetes = kubernetes
        self._samples: dict[str, list[float]] = {}
        self._others: dict[str, list[float]] = {}
        self._about: dict[str, dict[str, Any]] = {}
        self._company = Company()
        self._since = monotonic()
        self._share = 0.0

    def add(self, title: str, unit: str, sample: float, *, goal: float | None = None) -> None:
        self._samples.setdefault(title, []).append(round(sample, 4))
        self._others.setdefault(title, []).append(self._company_since_the_last())
        self._about[title] = {"unit": unit, "goal": goal}
        self._write()  # at once: a run may end before its time

    def _company_since_the_last(self) -> float:
        """What is written down together was measured together."""
        if monotonic() - self._since > _TOGETHER:
            self._share = min(1.0, self._company.share())
            self._company.start()
            self._since = monotonic()
        return self._share

    def _write(self) -> None:
        known: dict[str, Any] = json.loads(FILE.read_text())["figures"] if FILE.exists() else {}
        measured = {"date": datetime.now(UTC).date().isoformat(), "commit": revision()[:12]}
        for title, samples in self._samples.items():
            others = self._others[title]
            known[title] = {
                **self._about[title],
                "p50": percentile(samples, 0.5),
                "p99": percentile(samples, 0.99),
                "others": round(sum(others) / len(others), 3),
                **measured,
                "samples": samples,
            }
        FILE.parent.mkdir(parents=True, exist_ok=True)
        machine = describe({"kubernetes": self._kubernetes})
        FILE.write_text(json.dumps({"machine": machine, "figures": known}, indent=2) + "\n")
