"""What a handler is told: one change of one row.

Contract: a delta is delivered after the store and all its indexes show it (S5). `Updated` carries both rows,
because what the old one pointed to must be looked at as well (H9). `Deleted.final_state_unknown` says that
the deletion was inferred (from a relist, or from a kind that ceased to exist), so the row may be older than
the object's last state (S4).

Source of the idea: client-go `tools/cache/delta_fifo.go: DeletedFinalStateUnknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from informers.projection import Row

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Added(Generic[R]):
    """The row is new in the store; `initial` when it was there before the handler began to look (H8)."""

    row: R
    initial: bool


@dataclass(frozen=True, slots=True)
class Updated(Generic[R]):
    """The row differs from the one before; equal rows never get here."""

    old: R
    new: R


@dataclass(frozen=True, slots=True)
class Deleted(Generic[R]):
    """The object is gone, or ceased to be of interest; `row` is the last one known."""

    row: R
    final_state_unknown: bool


Delta: TypeAlias = Added[R] | Updated[R] | Deleted[R]
