"""Names and locations that a plan has taken while no cache shows it yet.

Two workers that plan two targets at the same moment see the same caches; without this both could take one name or one
location. A claim is made in the same synchronous section as the plan, before any request is sent, and ends when the
cache has caught up with what was written, when the write failed, or after a minute.
"""

from __future__ import annotations

from collections.abc import Iterable

from cachetools import TTLCache

from informers.clock import Clock
from reconcilers.plan import Claim

_SECONDS = 60.0
_MOST = 100_000


class Claims:
    """Who took what, by token."""

    def __init__(self, clock: Clock) -> None:
        self._owners: TTLCache[str, str] = TTLCache(maxsize=_MOST, ttl=_SECONDS, timer=clock.monotonic)

    def claimant(self, token: str) -> str | None:
        return self._owners.get(token)

    def take(self, claims: Iterable[Claim]) -> None:
        for claim in claims:
            self._owners[claim.token] = claim.owner

    def release(self, claims: Iterable[Claim]) -> None:
        """Give up what is still held by the same owner."""
        for claim in claims:
            if self._owners.get(claim.token) == claim.owner:
                del self._owners[claim.token]
