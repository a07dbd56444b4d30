"""How much is tried and measured: a little in every run, all of it with `TRIALS=20 make e2e`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

FULL_TRIALS: Final = 20


@dataclass(frozen=True, slots=True)
class Effort:
    """How often leaders are taken away, how many targets there are meanwhile and in the end, and for how long idle
    replicas are watched and a leader with the default lease is stopped."""

    trials: int
    few_targets: int
    many_targets: int
    idle_seconds: float
    kills: int
    long_stops: int

    @property
    def is_full(self) -> bool:
        """Whether figures of this run may be quoted."""
        return self.trials >= FULL_TRIALS

    @classmethod
    def of(cls, trials: int) -> Effort:
        if trials >= FULL_TRIALS:
            return cls(trials, few_targets=1000, many_targets=10_000, idle_seconds=300, kills=5, long_stops=1)
        return cls(trials, few_targets=200, many_targets=300, idle_seconds=8, kills=1, long_stops=0)


EFFORT: Final = Effort.of(int(os.environ.get("AUTOBACKUP_E2E_TRIALS") or 1))
