"""What was measured on the way: written down, never asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.figures import percentile

FILE = Path(__file__).resolve().parents[3] / "bench" / "results" / "e2e.json"


class Figures:
    """Samples by title, with their unit and the goal for the worst but one in a hundred."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = {}
        self._about: dict[str, dict[str, Any]] = {}

    def add(self, title: str, unit: str, sample: float, *, goal: float | None = None) -> None:
        self._samples.setdefault(title, []).append(round(sample, 4))
        self._about[title] = {"unit": unit, **({"goal": goal} if goal is not None else {})}

    def write(self, path: Path = FILE) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {
            title: {
                **self._about[title],
                "p50": percentile(samples, 0.5),
                "p99": percentile(samples, 0.99),
                "samples": samples,
            }
            for title, samples in self._samples.items()
        }
        path.write_text(json.dumps(found, indent=2) + "\n")
