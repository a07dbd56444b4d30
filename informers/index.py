"""Ways to find rows other than by key: value -> keys, in the order of their arrival.

Contract: `Indexes.update` moves one key from the values of its old row to those of its new one; values that stay are
not touched, values that nobody has any more are forgotten (S9; an empty set for each value ever seen would be a leak).
An index function that raises costs that row its entries in that index, nothing more; it is reported.

Invariant: a value that one key has, as a uid or an owner usually is, costs that key and no container: 230 bytes less.

Source of the idea: client-go `tools/cache/thread_safe_store.go: updateSingleIndex, deleteKeyFromIndex`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from informers.projection import Row
from informers.resource import ObjectKey

R = TypeVar("R", bound=Row)
IndexFunction = Callable[[R], Iterable[Hashable]]
IndexFailure = Callable[[str, ObjectKey, Exception], None]


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


class Indexes(Generic[R]):
    """All indexes of a store, by name."""

    __slots__ = ("_functions", "_indexes", "_on_failure")

    def __init__(self, functions: Mapping[str, IndexFunction[R]], on_failure: IndexFailure) -> None:
        self._functions = functions
        self._on_failure = on_failure
        self._indexes = {name: Index() for name in functions}

    def __getitem__(self, name: str) -> Index:
        return self._indexes[name]

    def emptied(self) -> Indexes[R]:
        """The same indexes without any entries."""
        return Indexes(self._functions, self._on_failure)

    def update(self, old: R | None, new: R | None) -> None:
        """Under one key there was `old` and is `new`."""
        row = new if new is not None else old
        if row is None or not self._functions:
            return
        key = ObjectKey(row.namespace, row.name)
        for name, function in self._functions.items():
            before = () if old is None else self._evaluate(name, function, old)
            after = () if new is None else self._evaluate(name, function, new)
            self._indexes[name].update(key, before, after)

    def _evaluate(self, name: str, function: IndexFunction[R], row: R) -> tuple[Hashable, ...]:
        try:
            values = tuple(function(row))
            hash(values)
        except Exception as error:  # foreign code: whatever it raises is reported, and costs one index entry
            self._on_failure(name, ObjectKey(row.namespace, row.name), error)
            return ()
        return values
