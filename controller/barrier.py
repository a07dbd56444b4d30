"""Do not plan an object before the caches have seen our own last write to it.

A plan made on a cache that is behind our own writes would repeat them, or undo them. So each write is remembered under
the key that caused it, with the resourceVersion that the server answered, until the cache of that kind has passed it.
`>=`, not equality: events coalesce, and a bookmark or a deletion passes it as well.

Source: KEP-5647; client-go `util/consistency`.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.applier import Written
from informers.resource import Resource
from reconcilers.keys import Key

Revision = Callable[[Resource, str], int]
"""The resourceVersion that the cache of a resource, in a namespace, has reached."""

_FIRST_WAIT, _LONGEST_WAIT = 0.02, 5.0


class WriteBarrier:
    """Our own writes that the caches have not shown yet, by key."""

    def __init__(self, revision_of: Revision) -> None:
        self._revision_of = revision_of
        self._pending: dict[Key, list[Written]] = {}
        self._waits: dict[Key, int] = {}

    def wrote(self, key: Key, written: Written) -> None:
        if written.revision:
            self._pending.setdefault(key, []).append(written)

    def wait(self, key: Key) -> float:
        """0 when `key` may be planned; otherwise the seconds after which to ask again."""
        pending = self._pending.get(key)
        if not pending:
            return 0.0
        left = [w for w in pending if self._revision_of(w.resource, w.key.namespace) < w.revision]
        if not left:
            del self._pending[key]
            self._waits.pop(key, None)
            return 0.0
        self._pending[key] = left
        tried = self._waits[key] = self._waits.get(key, -1) + 1
        return float(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(tried, 10)))
