"""How long a lease is valid and how it is kept: the durations, the rule that ties them, and what follows from them.

The rule is `lease > renew > 1.2 x retry` (L2). A holder that cannot renew gives up after `renew`, before others may
take the lease after `lease`; what is between the two is for stopping, and for clocks that run at different speed (L1).
And more than one try, with its jitter, must fit into `renew`.

Source: client-go `tools/leaderelection/leaderelection.go: NewLeaderElector`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JITTER: Final = 1.2
_MOST_MARGIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """Durations in seconds; `lease` is whole because the Lease object holds it so."""

    lease: int = 15
    renew: float = 10.0
    retry: float = 2.0

    @property
    def margin(self) -> float:
        """How much earlier than others may take the lease the holder counts it as lost (L5)."""
        return min(_MOST_MARGIN, (self.lease - self.renew) / 2)

    @property
    def attempt(self) -> float:
        """The limit of one attempt, so that a request without an answer leaves time for others (L4)."""
        return min(self.renew, max(self.retry, self.renew / 4))

    def problem(self) -> str:
        """What is wrong with these numbers; nothing when they fit."""
        if self.lease > self.renew > JITTER * self.retry:
            return ""
        return (
            f"leaseDurationSeconds {self.lease:g}, renewDeadlineSeconds {self.renew:g} and retryPeriodSeconds "
            f"{self.retry:g} do not fit: it must be lease > renew > {JITTER:g} x retry, so that a leader that cannot "
            "renew stops before another one may start, and can try more than once until then (default: 15, 10, 2)"
        )
