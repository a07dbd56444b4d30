"""The first pass: what was there when the operator began to work, and was not looked at since.

What earlier processes decided and told lives in memory only (`outcomes.py`), so that for a moment after a start "nobody
wants this" and "this is new" may only mean that nobody has looked yet. Who deletes, or tells people, asks here first.

Contract: a target is due from before its handler was told of it until its first look has ended. While not all handlers
have been told what is there, everything is due. Targets that appear later never are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from informers.registration import Registration
from reconcilers.keys import Key


class FirstPass:
    """See the module."""

    def __init__(self) -> None:
        self._joining: list[Registration[Any]] | None = None
        self._due: set[Key] = set()

    def expect(self, target: Key) -> None:
        """It was there at the start and is queued."""
        self._due.add(target)

    def begin(self, handlers: Collection[Registration[Any]]) -> None:
        """These hand over what is there; some of it in later turns of the loop."""
        self._joining = list(handlers)

    def is_due(self, target: Key) -> bool:
        """Whether it may have been there at the start and was not looked at yet."""
        return target in self._due or not self._is_told()

    def looked(self, target: Key) -> bool:
        """Its look has ended; whether that was the last one of the pass."""
        if target not in self._due:
            return False
        self._due.remove(target)
        if self._due:
            return False
        self._due = set()  # an empty set keeps the room that it once needed
        return self._is_told()

    def _is_told(self) -> bool:
        if self._joining:
            self._joining = [handler for handler in self._joining if not handler.has_synced]
        return self._joining == []
