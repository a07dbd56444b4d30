"""How often the status of one object is written, whatever calls for it.

Somebody else who writes the same status differently (a second operator that the lease does not keep away, another
product) would otherwise be answered as fast as watches deliver. A status is a report: late by a few seconds it is still
true, so that, unlike in `brake.py`, nothing is given up; the next write tells all that changed meanwhile.

Pure: time is passed in. Memory is bounded; who is forgotten begins with a full burst.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from cachetools import LRUCache

from controller.ratelimit import TokenBucket

BURST: Final = 30
SECONDS: Final = 5.0
REMEMBERED: Final = 10_000


class StatusPace:
    """`BURST` writes at once for each object, then one every `SECONDS`."""

    def __init__(self) -> None:
        self._buckets: LRUCache[Hashable, TokenBucket] = LRUCache(REMEMBERED)

    def allow(self, key: Hashable, now: float) -> bool:
        """Whether the status of `key` may be written now; if so, that write is counted."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(rate=1 / SECONDS, burst=BURST)
        return bucket.take(now)
