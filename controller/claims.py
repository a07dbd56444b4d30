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
        if held is None:
            return None
        if held.until <= self._clock.monotonic():
            del self._held[token]
            return None
        return held.owner

    def take(self, target: Key, claims: Iterable[Claim]) -> None:
        for claim in claims:
            self._held[claim.token] = _Held(claim.owner)
            self._tokens.setdefault(target, set()).add(claim.token)

    def release(self, target: Key, claims: Iterable[Claim]) -> None:
        """End what is still held by the same owner."""
        for claim in claims:
            held = self._held.get(claim.token)
            if held is not None and held.owner == claim.owner:
                del self._held[claim.token]
                self._forget(target, claim.token)

    def doubt(self, target: Key) -> None:
        """A write for the target failed in a way that leaves open whether it took effect."""
        for token in self._tokens.get(target, ()):
            held = self._held.get(token)
            if held is not None:
                held.doubtful = True

    def give_up(self, target: Key, kept: Iterable[Claim]) -> bool:
        """End what the target holds and its present plan does without; whether anything became free by that."""
        tokens = self._tokens.get(target)
        if not tokens:
            return False
        free = False
        for token in tokens - {claim.token for claim in kept}:
            self._forget(target, token)
            held = self._held.get(token)
            if held is None:
                continue
            if held.doubtful:
                held.until = self._clock.monotonic() + _DOUBT_SECONDS
            else:
                del self._held[token]
                free = True
        return free

    def _forget(self, target: Key, token: str) -> None:
        tokens = self._tokens.get(target, set())
        tokens.discard(token)
        if not tokens:
            self._tokens.pop(target, None)
