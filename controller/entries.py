"""What the work queue knows of a key while the key is in it.

One `Entry` a key, from the add that brought it in to the `done` after which nobody asks for it. It is
mutable and belongs to the queue; people get a `QueueItem`, which is a copy, and metrics what a `QueueObserver` hears.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from controller.priorities import BANDS

NEVER: Final = float("inf")


class QueueKey(Hashable, Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...


K = TypeVar("K", bound=QueueKey)


class ItemState(StrEnum):
    READY = "ready"
    DELAYED = "delayed"
    PROCESSING = "processing"
    DIRTY = "processing, queued again"


@dataclass(frozen=True, slots=True)
class QueueItem(Generic[K]):
    """One key as a debugger wants to see it; `seconds` is the time in this state, or until it is due when
    delayed.
    """

    key: K
    state: ItemState
    priority: int
    reason: str
    seconds: float
    failures: int


class Again:
    """What was asked for a key while it was processed, undecided until `done`: success lifts the backoff."""

    __slots__ = ("changed", "ordered", "priority", "reason", "unchanged")

    def __init__(self) -> None:
        self.changed = NEVER  # earliest event that changed something
        self.unchanged = NEVER  # earliest event that did not
        self.ordered = NEVER  # earliest retry or requeue by the worker itself: backoff is in it already
        self.priority = BANDS[-1]
        self.reason = ""


class Entry(Generic[K]):
    __slots__ = (
        "again",
        "band",
        "band_since",
        "due",
        "key",
        "namespace",
        "priority",
        "reason",
        "started",
        "state",
    )

    band: int
    band_since: float
    started: float

    def __init__(self, key: K, priority: int, reason: str, due: float) -> None:
        self.key = key
        self.namespace = key.namespace
        self.priority = priority
        self.reason = reason
        self.due = due  # delayed: when it becomes ready; afterwards: when it became ready
        self.state = ItemState.READY
        self.again: Again | None = None


class QueueObserver(Protocol):
    """What a queue tells while it runs; what was added, depth and unfinished work are read from it."""

    def ran(self, waited: float, worked: float) -> None:
        """A worker gave a key back that had been ready for `waited` seconds, and that it kept for `worked` seconds."""

    def retried(self) -> None:
        """A key failed and will be run again."""
