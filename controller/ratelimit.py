"""How long a key that failed waits, and what may shorten that wait. Pure state: time is passed in.

Rules (numbers are used by the tests):

- Q4  a key waits a random time between 0 and 5 ms x 2^failures, at most 300 s; success forgets it. Jitter
  is *full*, because keys that failed together (API server away) would otherwise come back together.
  Where the server did not answer the key is not to blame: 20 s at most, and no more than that for what fails next, so
  that all is as it should be half a minute after the longest outage.
- Q5  all retries together pass one token bucket, whose wait is bounded: a bucket that hands out
  reservations without end schedules the last of 10,000 failures a quarter of an hour into the future.
  Events never pass it.
- Q6  an event does not cut a backoff short when it changed nothing that the reconcilers read; one that did,
  does so at most once a second. Otherwise an object that fails *and* is written often is retried as often
  as it is written.

Sources of the ideas: client-go `util/workqueue/default_rate_limiters.go` (exponential, bucket); the bound,
the jitter and Q6 answer gaps of client-go and controller-runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

BASE_SECONDS: Final = 0.005
CAP_SECONDS: Final = 300.0
OUTAGE_CAP_SECONDS: Final = 20.0
EXPEDITE_SECONDS: Final = 1.0

Uniform = Callable[[float, float], float]


class TokenBucket:
    """A plain token bucket: `burst` at once, `rate` a second after that."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class RetryBucket:
    """A token bucket whose waiting time is bounded by `max_wait`.

    A reservation that would wait longer takes no token: it is told a random wait in the upper half of the
    bound, so the debt stays payable and those who were refused do not come back at the same instant.
    """

    def __init__(
        self, *, rate: float = 10.0, burst: int = 100, max_wait: float = 30.0, uniform: Uniform | None = None
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._max_wait = max_wait
        self._uniform = uniform
        self._tokens = float(burst)
        self._at = float("-inf")

    def reserve(self, now: float) -> float:
        """Take a token and return how long to wait before acting on it."""
        if now > self._at:
            gained = (now - self._at) * self._rate
            self._tokens = min(self._burst, self._tokens + gained)
            self._at = now
        wait = (1.0 - self._tokens) / self._rate
        if wait > self._max_wait:
            return self._max_wait if self._uniform is None else self._uniform(self._max_wait / 2, self._max_wait)
        self._tokens -= 1.0
        return max(0.0, wait)


@dataclass(slots=True)
class _Failing:
    since: float
    failures: int
    until: float
    exponent: int = 0
    refusals: int = 0
    expedited_at: float = float("-inf")


class RetryLimiter(Generic[K]):
    """Backoff state of the keys that fail; a key that does not fail costs nothing here."""

    def __init__(
        self,
        uniform: Uniform,
        *,
        base: float = BASE_SECONDS,
        cap: float = CAP_SECONDS,
        expedite_every: float = EXPEDITE_SECONDS,
        bucket: RetryBucket | None = None,
    ) -> None:
        if not 0 < base <= cap:
            raise ValueError(f"retry backoff: base {base} s must be above 0 and not above the cap {cap} s")
        self._uniform = uniform
        self._base = base
        self._cap = cap
        self._expedite_every = expedite_every
        self._bucket = RetryBucket(uniform=uniform) if bucket is None else bucket
        # Beyond this exponent the cap rules: never compute 2**failures of an object that failed for a year.
        self._max_exponent = _exponent(base, cap)
        self._outage_cap = min(OUTAGE_CAP_SECONDS, cap)
        self._outage_exponent = _exponent(base, self._outage_cap)
        self._failing: dict[K, _Failing] = {}

    @property
    def failing(self) -> Collection[K]:
        """The keys that failed last time; usually empty, which callers may use to skip the rest."""
        return self._failing

    def failures(self, key: K) -> int:
        state = self._failing.get(key)
        return 0 if state is None else state.failures

    def failing_for(self, key: K, now: float) -> float:
        """Seconds since the first of the failures in a row; 0 when the last time was none."""
        state = self._failing.get(key)
        return 0.0 if state is None else now - state.since

    def refusals(self, key: K) -> int:
        """How many failures in a row, up to the last one, were answers of the server."""
        state = self._failing.get(key)
        return 0 if state is None else state.refusals

    def forget(self, key: K) -> None:
        self._failing.pop(key, None)

    def fail(self, key: K, now: float, *, floor: float = 0.0, answered: bool = True) -> float:
        """Count a failure of `key`; return how long it waits. `floor` is what the server asked for (Retry-After),
        `answered` says that it was able to say anything about this key.
        """
        state = self._failing.get(key)
        if state is None:
            state = self._failing[key] = _Failing(since=now, failures=0, until=now)
        cap, most = (self._cap, self._max_exponent) if answered else (self._outage_cap, self._outage_exponent)
        ceiling = min(cap, self._base * 2**state.exponent)
        # Jitter on top of the floor: all keys that one 429 hit were told the same number of seconds.
        delay = max(floor + self._uniform(0.0, ceiling), self._bucket.reserve(now))
        state.failures += 1
        state.exponent = max(state.exponent, min(state.exponent + 1, most))
        state.refusals = state.refusals + 1 if answered else 0
        state.until = now + delay
        return delay

    def earliest(self, key: K, due: float, *, changed: bool) -> float:
        """When an event for `key` that asks for `due` may have it run (Q6)."""
        state = self._failing.get(key)
        if state is None or due >= state.until:
            return due
        if not changed:
            return state.until
        return max(due, min(state.until, state.expedited_at + self._expedite_every))

    def expedite(self, key: K, due: float) -> None:
        """Note that `key` runs at `due` because of an event; earlier than its backoff says, if it is in
        one.
        """
        state = self._failing.get(key)
        if state is not None and due < state.until:
            state.expedited_at = due


def _exponent(base: float, cap: float) -> int:
    """The smallest exponent from which on the cap rules."""
    exponent = 0
    while base * 2**exponent < cap:
        exponent += 1
    return exponent
