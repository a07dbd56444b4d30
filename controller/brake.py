"""The oscillation brake: stops us from writing an object that somebody else writes back, over and over (A6, A7).

Two controllers that disagree about a field would otherwise rewrite each other as fast as watches deliver, at the whole
cluster's cost. More than `WRITES` effective writes of the *same* content within `WINDOW_SECONDS` close the brake for
this object and content for `CLOSED_SECONDS`; other content (the blueprint was edited) passes.

Only writes that took effect count: tell them with `wrote`. A write that the server refused or never answered is the
retry backoff's business.

Pure: time is passed in. Memory is bounded; who is forgotten starts from zero, which errs on the side of writing.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

WRITES: Final = 5
WINDOW_SECONDS: Final = 60.0
CLOSED_SECONDS: Final = 300.0
REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Record:
    writes: list[float] = field(default_factory=list)
    closed_until: float = float("-inf")


class Brake:
    """What was written lately, by object and fingerprint of the content."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._records: LRUCache[tuple[Hashable, str], _Record] = LRUCache(remembered)

    def __len__(self) -> int:
        return len(self._records)

    def allow(self, key: Hashable, fingerprint: str, now: float) -> bool:
        """Whether this content may be written to this object now."""
        return self.closed_until(key, fingerprint, now) is None

    def closed_until(self, key: Hashable, fingerprint: str, now: float) -> float | None:
        """When this content may be written again; None when it may be written now."""
        record = self._records.get((key, fingerprint))
        if record is None or record.closed_until <= now:
            return None
        return record.closed_until

    def wrote(self, key: Hashable, fingerprint: str, now: float) -> bool:
        """Count a write that took effect; returns whether it closed the brake."""
        record = self._records.get((key, fingerprint))
        if record is None:
            record = self._records[key, fingerprint] = _Record()
        record.writes = [at for at in record.writes if at > now - WINDOW_SECONDS]
        record.writes.append(now)
        if len(record.writes) <= WRITES:
            return False
        record.closed_until = now + CLOSED_SECONDS
        return True
