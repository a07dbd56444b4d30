"""How long to wait after something went wrong.

Contract: `next` gives 0.8 s, doubling to a cap of 30 s, each with up to as much again added by chance, so
that the steady state is 30 to 60 s and informers that fail together do not return together (R18, R27). The
sequence starts anew after two minutes in which nothing had to wait, not after the first success: a server
that accepts a watch and drops it at once never gets more than eight requests a minute.

A stream that was `useful` and ended is hardly a failure: it is gone on with at once, twice a minute, and takes the
sequence only when it ends more often. A connection that was `refused` is no request, for there is no server: it is
tried again each second or so, and leaves the sequence to the server that will come.

`floor` is what the server asked for (Retry-After); it can lengthen a delay and never shortens one.

Source of the idea: client-go `tools/cache/reflector.go: defaultBackoff*`; kube-rs `watcher.rs:
DefaultBackoff`.
"""

from __future__ import annotations

from informers.clock import Clock

BASE_SECONDS = 0.8
FACTOR = 2.0
CAP_SECONDS = 30.0
JITTER = 1.0
RESET_SECONDS = 120.0
SPARES = 2
SPARE_SECONDS = 60.0
REFUSED_SECONDS = (0.8, 1.6)


class Backoff:
    """One sequence of delays."""

    __slots__ = ("_clock", "_interval", "_rested_until", "_spared")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interval = BASE_SECONDS
        self._rested_until = float("-inf")
        self._spared = (float("-inf"),) * SPARES

    def begin_anew(self) -> None:
        """What went wrong may be over: the next delay is the shortest."""
        self._interval = BASE_SECONDS

    def next(self, *, floor: float = 0.0, slow: bool = False, useful: bool = False, refused: bool = False) -> float:
        """The delay to take now; `slow` is the longest one at once, for what only a person can mend.

        A slow delay leaves the sequence where it was: what goes wrong next is something else.
        """
        if refused:
            return self._clock.uniform(*REFUSED_SECONDS)
        now = self._clock.monotonic()
        if useful and not slow and not floor and now - self._spared[0] >= SPARE_SECONDS:
            self._spared = (*self._spared[1:], now)
            return 0.0
        if now - self._rested_until >= RESET_SECONDS:
            self._interval = BASE_SECONDS
        interval = CAP_SECONDS if slow else self._interval
        delay = interval * (1.0 + self._clock.uniform(0.0, JITTER))
        if floor > delay:
            # Jitter on top of the floor: everybody was given the same number of seconds.
            delay = floor + self._clock.uniform(0.0, interval)
        if not slow:
            self._interval = min(self._interval * FACTOR, CAP_SECONDS)
        self._rested_until = now + delay
        return delay
