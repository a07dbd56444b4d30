"""Names and locations that a plan has taken while no cache shows it yet.

Two workers that plan two targets at the same moment see the same caches; without this both could take one name or one
location. A claim is made in the same synchronous section as the plan, before any request is sent.

It ends when the caches have caught up with what was written (`release`), when the server refused the write (`release`),
or when the target's next plan does without it (`give_up`). There is no other end: caches that lag for an hour must not
let a second target in. Only where a write was never answered, and the target was then planned without it, nobody tells
whether it took effect; such a claim ends after a minute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from informers.clock import Clock
from reconcilers.keys import Key
from reconcilers.plan import Claim

_DOUBT_SECONDS = 60.0


@dataclass(slots=True)
class _Held:
    owner: str
    target: Key
    until: float = math.inf
    doubtful: bool = False


class Claims:
    """Who took what, by token, and for which target."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._tokens: dict[Key, set[str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def claimant(self, token: str) -> str | None:
        held = self._held.get(token)
        return held.owner if held is not None and held.until > self._clock.monotonic() else None

    def take(self, target: Key, claims: Iterable[Claim]) -> None:
        for claim in claims:
            if claim.token in self._held:
                self._end(claim.token)
            self._held[claim.token] = _Held(claim.owner, target)
            self._tokens.setdefault(target, set()).add(claim.token)

    def release(self, claims: Iterable[Claim]) -> None:
        """End what is still held by the same owner."""
        for claim in claims:
            held = self._held.get(claim.token)
            if held is not None and held.owner == claim.owner:
                self._end(claim.token)

    def doubt(self, target: Key) -> None:
        """A write for the target failed in a way that leaves open whether it took effect."""
        for token in self._tokens.get(target, ()):
            self._held[token].doubtful = True

    def give_up(self, target: Key, kept: Iterable[Claim]) -> tuple[bool, float]:
        """End what the target holds and its present plan does without.

        Returns whether anything became free by that, and after how many seconds to call again, 0 for never.
        """
        tokens = self._tokens.get(target)
        if not tokens:
            return False, 0.0
        free, wait, now = False, 0.0, self._clock.monotonic()
        for token in tokens - {claim.token for claim in kept}:
            held = self._held[token]
            if held.doubtful:
                held.until = min(held.until, now + _DOUBT_SECONDS)
            if held.doubtful and held.until > now:
                wait = max(wait, held.until - now)
            else:
                self._end(token)
                free = True
        return free, wait

    def _end(self, token: str) -> None:
        target = self._held.pop(token).target
        self._tokens[target].discard(token)
        if not self._tokens[target]:
            del self._tokens[target]
