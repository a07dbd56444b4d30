"""How much of a fan-out is worked on at once: as much as the API server takes without making others wait.

One edit of a blueprint, or a start, queues thousands of keys. What they send competes with what a person waits for, at
an API server that may have no more than two cores. To send eight requests at once to a server that answers two at a
time gains nothing, and makes everybody's request wait for six others. So:

- At most `limit` keys of the bands of a fan-out are under way at once. The limit follows the time that the server takes
  for their writes: it grows by one while the writes of a round take at most `FREE` times as long as the fastest lately,
  and shrinks by one when they take more than `CROWDED` times as long. A server far away that has room is used by all
  workers but one; one of two cores by about five, however many there are. The limit never falls below `LEAST`: a single
  write that hangs must not stop a fan-out.
- While a key of another band is under way, only one of a fan-out is.
- A fan-out never has the last worker.

Who is in a fan-out and cannot be taken now does not stand in the way of others, and rises like everybody who starves
(bands.py). 429 is the applier's business (inflight.py).

Pure: time is passed in. Sources of the idea: TCP Vegas; Netflix concurrency-limits; kube-apiserver's own priority and
fairness, which does the same for those who do not do it for themselves.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from controller.priorities import BANDS, FAN_OUT

URGENT_BANDS: Final = BANDS.index(FAN_OUT)
"""How many bands are not of a fan-out; they are the first ones."""

LEAST: Final = 2
FREE: Final = 2.0
CROWDED: Final = 3.0
WINDOW_SECONDS: Final = 10.0
"""The fastest write of this window and of the one before it is what others are compared with."""

_NEVER: Final = float("inf")
_MANY: Final = 1 << 30


class FanOut:
    """How many keys may be taken. The queue counts those that are, the workers tell what writes took. Without a number
    of workers there are no limits."""

    def __init__(self, workers: int | None = None) -> None:
        self._bounded = workers is not None
        self._most = max(1, (workers or _MANY) - 1)
        self._limit = min(LEAST, self._most) if self._bounded else self._most
        self.taken = 0
        """How many keys of a fan-out are under way; counted by the queue, for whom a call for each key is dear."""
        self._round: list[float] = []
        self._fastest = self._fastest_before = _NEVER
        self._window_ends = -_NEVER

    def limit(self, *, urgent: int = 0) -> int:
        """How many keys of a fan-out may be under way beside so many others."""
        return 1 if urgent and self._bounded else self._limit

    def room(self, processed: int) -> int:
        """How many more of a fan-out may be taken while so many keys, of whatever band, are under way."""
        return max(0, self.limit(urgent=processed - self.taken) - self.taken)

    def wrote(self, seconds: float, now: float) -> None:
        """A write for a key of a fan-out took so long."""
        if now >= self._window_ends:
            lately = now < self._window_ends + WINDOW_SECONDS
            self._fastest_before = self._fastest if lately else _NEVER
            self._fastest = _NEVER
            self._window_ends = now + WINDOW_SECONDS
        self._fastest = min(self._fastest, seconds)
        self._round.append(seconds)
        if len(self._round) >= 2 * self._limit:
            self._adapt(median(self._round))
            self._round.clear()

    def _adapt(self, typical: float) -> None:
        fastest = min(self._fastest, self._fastest_before)
        if typical <= FREE * fastest:
            self._limit = min(self._most, self._limit + 1)
        elif typical > CROWDED * fastest:
            self._limit = max(min(LEAST, self._most), self._limit - 1)
