"""A whole collection, gathered before it is believed.

Contract: a reflector fills a `Replacement` from the initial events of a streaming list or from the pages of a
LIST, and hands it over complete, or drops it (R3). Until then the store and its readers know nothing of it.

Invariants: a deletion among the initial events is legal and removes what came before it (R4). An object that
could not be decoded is remembered by its key; one that could not even be identified makes the whole
replacement incapable of proving anything deleted (R20).

Source of the idea: client-go `reflector.go: watchList` (its temporary store).
"""

from __future__ import annotations

from typing import Generic, TypeVar

from informers.draft import Draft
from informers.projection import Row
from informers.resource import ObjectKey

R = TypeVar("R", bound=Row)


class Replacement(Generic[R]):
    """The rows so far, and what could not become one."""

    __slots__ = ("draft", "items", "newest", "skipped", "unidentified")

    def __init__(self, draft: Draft[R]) -> None:
        self.draft = draft
        self.items = 0
        self.skipped: set[ObjectKey] = set()
        self.unidentified = 0
        self.newest = (0, "")

    def note(self, revision: int, uid: str) -> None:
        """Of whatever kind of object, and of interest or not."""
        if revision > self.newest[0]:
            self.newest = (revision, uid)

    def put(self, row: R) -> None:
        """An object of interest."""
        self.items += 1
        self.draft.put(row)

    def drop(self, namespace: str, name: str) -> None:
        """An object that was deleted, or is of no interest."""
        self.items += 1
        self.draft.drop(namespace, name)

    def skip(self, key: ObjectKey | None) -> None:
        """An object that could not be decoded."""
        self.items += 1
        if key is None:
            self.unidentified += 1
        else:
            self.skipped.add(key)
