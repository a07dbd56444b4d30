"""The next content of a store, or of one namespace of it, while it is being gathered.

Contract: rows go in and out of a draft one by one, as they are received; `Store.replace` then takes it over
at once. What can be done early is done early: the rows are in their place and, for a whole store, indexed, so
that taking over does not hold the event loop for the sake of many rows.

Invariant: nobody but its maker sees a draft.

Source of the idea: client-go `reflector.go: watchList` (its temporary store), double buffering.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from informers.index import Indexes
from informers.projection import Row

R = TypeVar("R", bound=Row)


class Draft(Generic[R]):
    """Rows by namespace and name, in the order of their arrival; `indexes` is None where the store's own are used."""

    __slots__ = ("indexes", "spaces")

    def __init__(self, indexes: Indexes[R] | None, rows: Iterable[R] = ()) -> None:
        self.spaces: dict[str, dict[str, R]] = {}
        self.indexes = indexes
        for row in rows:
            self.put(row)

    def put(self, row: R) -> None:
        """Add a row, or change it."""
        space = self.spaces.get(row.namespace)
        if space is None:
            space = self.spaces[row.namespace] = {}
        if self.indexes is not None:
            self.indexes.update(space.get(row.name), row)
        space[row.name] = row

    def drop(self, namespace: str, name: str) -> None:
        """Take a row out again, if it is there."""
        space = self.spaces.get(namespace)
        if space is None or name not in space:
            return
        old = space.pop(name)
        if self.indexes is not None:
            self.indexes.update(old, None)
        if not space:
            del self.spaces[namespace]

    def __len__(self) -> int:
        return sum(map(len, self.spaces.values()))
