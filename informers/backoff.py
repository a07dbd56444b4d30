"""How long to wait after something went wrong.

Contract: `next` gives 0.8 s, doubling to a cap of 30 s, each with up to as much again added by chance, so
that the steady state is 30 to 60 s and informers that fail together do not return together (R18, R27). The
sequence starts anew with `begin_anew`, when a watch was held for some time: whoever answered that one is fine, and
what goes wrong afterwards is something else. Not with the first success: a server may accept watches and drop them.

However often it starts anew, there are seven tries after failures in any minute, and one more waits until that is so.
With the request that failed first, a failing server has eight a minute at most.

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
TRIES = 7
TRIES_SECONDS = 60.0
SPARES = 2
SPARE_SECONDS = 60.0
REFUSED_SECONDS = (0.8, 1.6)


class Backoff:
    """One sequence of delays."""

    __slots__ = ("_clock", "_interval", "_spared", "_tries")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._interval = BASE_SECONDS
        self._tries = (float("-inf"),) * TRIES
        self._spared = (float("-inf"),) * SPARES

    def begin_anew(self) -> None:
        """What went wrong is over, or may be: the next delay is the shortest that the minute has room for."""
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
        interval = CAP_SECONDS if slow else self._interval
        delay = interval * (1.0 + self._clock.uniform(0.0, JITTER))
        if floor > delay:
            # Jitter on top of the floor: everybody was given the same number of seconds.
            delay = floor + self._clock.uniform(0.0, interval)
        if not slow:
            self._interval = min(self._interval * FACTOR, CAP_SECONDS)
        delay = max(delay, self._tries[0] + TRIES_SECONDS - now)
        self._tries = (*self._tries[1:], now + delay)
        return delay
