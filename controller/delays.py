"""The work queue's entries that wait for a time.

A heap whose rows are abandoned, not searched for, when their entry leaves or moves; abandoned rows are
swept when they outnumber the others, so a key that is rescheduled a million times occupies one row and its
share of a sweep.

Source of the idea: client-go `util/workqueue/delaying_queue.go`, which keeps stale timers; here an entry
has one time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

E = TypeVar("E", bound=Hashable)


class Delays(Generic[E]):
    """Entries by the time when they are due."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, int, E]] = []
        self._current: dict[E, int] = {}
        self._sequence = count()

    def __len__(self) -> int:
        return len(self._current)

    def __iter__(self) -> Iterator[E]:
        return iter(self._current)

    def put(self, entry: E, due: float) -> None:
        """Schedule `entry`, in place of the time it had, if it had one."""
        sequence = next(self._sequence)
        self._current[entry] = sequence
        heappush(self._rows, (due, sequence, entry))
        if len(self._rows) > 2 * len(self._current) + 64:
            self._rows = [row for row in self._rows if self._current.get(row[2]) == row[1]]
            heapify(self._rows)

    def next_due(self) -> float | None:
        """When the first entry is due; None when nothing waits."""
        rows = self._rows
        while rows and self._current.get(rows[0][2]) != rows[0][1]:
            heappop(rows)
        return rows[0][0] if rows else None

    def discard(self, entry: E) -> None:
        self._current.pop(entry, None)

    def pop_due(self, now: float) -> E | None:
        """Take an entry that is due, the one that is due longest."""
        due = self.next_due()
        if due is None or due > now:
            return None
        entry = heappop(self._rows)[2]
        del self._current[entry]
        return entry
