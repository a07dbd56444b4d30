"""The rows of one resource, their indexes, and how far they reach.

Contract: readers get snapshots: what `rows` or `index` returned does not change under them. Writers (the
reflector, through the shared informer) get back the deltas that their change amounts to; the store is
complete, indexes included, before anybody sees them (S5).

Invariants:
- No `await` in this module (T1): each method is one step as seen by everybody else. That is the lock.
- The key is namespace and name; a different uid under a known key is the end of one object and the beginning
  of another (S1), never an update.
- A row never replaces a newer one (S7), except in an authoritative replace, whose list is the truth by
  definition.
- `replace` is all or nothing: everything is swapped and indexed in one step, however much it is. What that changed is
  compared afterwards, while it is told: deletes first, the rest in list order (S3).
- An index function that raises costs that row its entry in that index, nothing more (S9).

Rows are kept by namespace and then name, under the row's own strings: there is no key object per row.

Source of the idea: client-go `tools/cache/thread_safe_store.go`, `the_real_fifo.go: reconcileReplacement`.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from informers.delta import Added, Deleted, Delta, Updated
from informers.draft import Draft
from informers.index import Indexes, IndexFailure, IndexFunction
from informers.projection import Row
from informers.resource import ObjectKey
from informers.revision import is_older

R = TypeVar("R", bound=Row)

ALL_NAMESPACES = ""
STRIDE = 256
"""Rows that are compared between two moments in which others may have a turn."""

_Spaces = Mapping[str, Mapping[str, R]]
_NOTHING: Mapping[str, Any] = {}


def _ignore(index: str, key: ObjectKey, error: Exception) -> None:
    """Nobody is told."""


class Store(Generic[R]):
    """The rows that project to something, of all namespaces that are watched."""

    __slots__ = ("_indexes", "_marks", "_size", "_spaces", "equal", "stale")

    def __init__(
        self,
        indexes: Mapping[str, IndexFunction[R]] | None = None,
        *,
        on_index_failure: IndexFailure = _ignore,
    ) -> None:
        self._spaces: dict[str, dict[str, R]] = {}
        self._indexes: Indexes[R] = Indexes(dict(indexes or {}), on_index_failure)
        self._marks: dict[str, int] = {}
        self._size = 0
        self.equal = 0
        self.stale = 0

    # ---- reading

    def get(self, key: ObjectKey) -> R | None:
        """The row under this key."""
        space = self._spaces.get(key[0])
        return None if space is None else space.get(key[1])

    def rows(self) -> Iterator[R]:
        """All rows, as they are now."""
        return iter([row for space in self._spaces.values() for row in space.values()])

    def within(self, namespace: str) -> tuple[R, ...]:
        """The rows of one namespace."""
        return tuple(self._spaces.get(namespace, {}).values())

    def index(self, name: str, value: Hashable) -> tuple[R, ...]:
        """The rows whose index function gave this value."""
        return tuple(row for row in map(self.get, self.keys(name, value)) if row is not None)

    def keys(self, name: str, value: Hashable) -> tuple[ObjectKey, ...]:
        """The keys of those rows."""
        return tuple(self._indexes[name].keys(value))

    def index_values(self, name: str) -> tuple[Hashable, ...]:
        """The values that at least one row has."""
        return self._indexes[name].values()

    def holds(self, scope: str) -> bool:
        """Whether there are rows in this namespace (or any at all)."""
        return bool(self._slice(scope))

    def __len__(self) -> int:
        return self._size

    def last_sync_rv(self, namespace: str = ALL_NAMESPACES) -> int:
        """How far the store has got (S8): everything up to here is in it. 0 when that is not known.

        With several namespaces watched, each has its own mark; asked for all of them, the lowest counts.
        """
        mark = self._marks.get(namespace)
        if mark is None:
            mark = self._marks.get(ALL_NAMESPACES)
        if mark is None:
            mark = 0 if namespace else min(self._marks.values(), default=0)
        return mark

    # ---- writing

    def draft(self, scope: str, rows: Iterable[R] = ()) -> Draft[R]:
        """Begin the next content of a namespace (or of the store); for `replace`."""
        return Draft(self._indexes.emptied() if scope == ALL_NAMESPACES else None, rows)

    def replace(
        self,
        scope: str,
        draft: Draft[R],
        *,
        revision: int,
        initial: bool = False,
        keep: Collection[ObjectKey] = (),
        keep_missing: bool = False,
    ) -> Iterator[Delta[R] | None]:
        """Make the draft the whole content of a namespace (or of the store), at once. What that changed is found while
        the iterator is asked for it: deletions first, then the rest in the order of the draft; None means that many
        rows were looked at. Until it has ended nothing else may change these rows.

        Rows under `keep` stay although they are not in the draft, and with `keep_missing` all such rows do: what could
        not be decoded is not thereby deleted (R20). The draft is used up.
        """
        known = self._slice(scope)
        if keep or keep_missing:
            for old in _missing(known, draft):
                if keep_missing or ObjectKey(old.namespace, old.name) in keep:
                    draft.put(old)
        if draft.indexes is None:
            self._reindex(known, draft)
        else:
            self._indexes = draft.indexes
        if scope == ALL_NAMESPACES:
            self._spaces = draft.spaces
        else:
            self._spaces = {name: space for name, space in self._spaces.items() if name != scope} | draft.spaces
        self._size = sum(map(len, self._spaces.values()))
        self._marks[scope] = revision
        return self._changes(known, draft.spaces, initial=initial)

    def upsert(self, row: R) -> tuple[Delta[R], ...]:
        """Store what a watch reported, and say what that changed: nothing, when the row is equal or out of date."""
        space = self._spaces.get(row.namespace)
        if space is None:
            space = self._spaces[row.namespace] = {}
        old = space.get(row.name)
        if old is None:
            space[row.name] = row
            self._size += 1
            self._indexes.update(None, row)
            return (Added(row, initial=False),)
        if is_older(row.resource_version, old.resource_version):
            self.stale += 1
            return ()
        space[row.name] = row
        if old.uid != row.uid:
            self._indexes.update(old, None)
            self._indexes.update(None, row)
            return (Deleted(old, final_state_unknown=True), Added(row, initial=False))
        if old == row:
            # The newer resourceVersion is kept; by D4 there is nothing to tell.
            self.equal += 1
            return ()
        self._indexes.update(old, row)
        return (Updated(old, row),)

    def remove(self, key: ObjectKey, *, uid: str, revision: int) -> tuple[Delta[R], ...]:
        """Forget a row whose object was deleted, or is no longer of interest, as of `revision`."""
        space = self._spaces.get(key[0])
        old = None if space is None else space.get(key[1])
        if space is None or old is None:
            return ()
        if is_older(revision, old.resource_version):
            self.stale += 1
            return ()
        del space[key[1]]
        self._size -= 1
        if not space:
            del self._spaces[key[0]]
        self._indexes.update(old, None)
        return (Deleted(old, final_state_unknown=bool(uid) and uid != old.uid),)

    def advance(self, scope: str, revision: int) -> None:
        """Record that everything up to `revision` has been seen (S8); the mark does not go back."""
        if revision > self._marks.get(scope, 0):
            self._marks[scope] = revision

    # ---- inside

    def _slice(self, scope: str) -> dict[str, dict[str, R]]:
        if scope == ALL_NAMESPACES:
            return self._spaces
        return {scope: self._spaces[scope]} if scope in self._spaces else {}

    def _changes(self, known: _Spaces[R], present: _Spaces[R], *, initial: bool) -> Iterator[Delta[R] | None]:
        for seen, old in enumerate(_rows(known)):
            if seen % STRIDE == 0:
                yield None
            new = present.get(old.namespace, _NOTHING).get(old.name)
            if new is None or new.uid != old.uid:
                yield Deleted(old, final_state_unknown=True)
        for seen, new in enumerate(_rows(present)):
            if seen % STRIDE == 0:
                yield None
            before = known.get(new.namespace, _NOTHING).get(new.name)
            if before is None or before.uid != new.uid:
                yield Added(new, initial=initial)
            elif before is new:
                continue
            elif before != new:
                yield Updated(before, new)
            else:
                self.equal += 1

    def _reindex(self, known: _Spaces[R], draft: Draft[R]) -> None:
        """Where others share the indexes, they change together with the rows."""
        for old in _missing(known, draft):
            self._indexes.update(old, None)
        for new in _rows(draft.spaces):
            self._indexes.update(known.get(new.namespace, _NOTHING).get(new.name), new)


def _rows(spaces: _Spaces[R]) -> Iterator[R]:
    for space in spaces.values():
        yield from space.values()


def _missing(known: _Spaces[R], draft: Draft[R]) -> Iterator[R]:
    for old in _rows(known):
        if old.name not in draft.spaces.get(old.namespace, _NOTHING):
            yield old
