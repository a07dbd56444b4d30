"""Our own writes, from the request until the caches have shown them.

Contract:
- An object is not planned before the caches have seen our own last write to it. A plan made on a cache that is behind
  our own writes would repeat them, or undo them. So each write is remembered under the key that caused it, with the
  resourceVersion that the server answered, until the cache of that kind has passed it. `>=`, not equality: events
  coalesce, and a bookmark or a deletion passes it as well.
- A change in a cache that is our own write, and nothing else, is no reason to look again: what was written is what the
  plan wanted. A watch often shows a write before its answer is here; so what is shown while writes of a key are under
  way is kept until they are answered, and told apart then.

Source: KEP-5647; client-go `util/consistency`. Not looking again at one's own writes is ours: it halves the work of a
roll-out, and keeps the status of a blueprint from calling for its next self.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.applier import Written
from informers.resource import Resource
from reconcilers.keys import Key

Revision = Callable[[Resource, str], int]
"""The resourceVersion that the cache of a resource, in a namespace, has reached."""

_FIRST_WAIT, _LONGEST_WAIT = 0.02, 5.0


_Write = tuple[str, int]
"""uid and resourceVersion."""


@dataclass(slots=True)
class _Expected:
    """Answered writes that no cache has shown yet; `then_look`: the last one of them is a reason to look again."""

    writes: set[_Write]
    then_look: bool


class WriteBarrier:
    """Our own writes that the caches have not shown yet, by key."""

    def __init__(self, revision_of: Revision) -> None:
        self._revision_of = revision_of
        self._pending: dict[Key, list[Written]] = {}
        self._waits: dict[Key, int] = {}
        self._under_way: dict[Key, set[_Write]] = {}
        self._expected: dict[Key, _Expected] = {}

    def begin(self, key: Key) -> None:
        """Writes for `key` are sent from now on."""
        self._under_way[key] = set()
        self._expected.pop(key, None)

    def end(self, key: Key, *, then_look: bool) -> bool:
        """All of them were answered. True when a cache has shown something meanwhile that calls for a look at `key`.

        With `then_look`, that all of them have been shown is such a thing; else it is nothing new.
        """
        shown = self._under_way.pop(key)
        own = {(written.uid, written.revision) for written in self._pending.get(key, ())}
        left = own - shown
        if left:
            self._expected[key] = _Expected(left, then_look)
        return bool(shown - own) or (then_look and bool(own) and not left)

    def is_own(self, key: Key, uid: str, revision: int) -> bool:
        """Whether this change in a cache is a write for `key` that needs no look, or will be judged by `end`."""
        under_way = self._under_way.get(key)
        if under_way is not None:
            under_way.add((uid, revision))
            return True
        expected = self._expected.get(key)
        if expected is None or (uid, revision) not in expected.writes:
            return False
        expected.writes.remove((uid, revision))
        if expected.writes:
            return True
        del self._expected[key]
        if not expected.then_look:
            self._pending.pop(key, None)
            self._waits.pop(key, None)
        return not expected.then_look

    def wrote(self, key: Key, written: Written) -> None:
        if written.revision:
            self._pending.setdefault(key, []).append(written)

    def newest(self, resource: Resource, namespace: str) -> int:
        """The newest version that a write of ours made and that its cache may not have shown yet; 0 without any."""
        return max(
            (
                written.revision
                for pending in self._pending.values()
                for written in pending
                if written.resource == resource and namespace in ("", written.key.namespace)
            ),
            default=0,
        )

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
