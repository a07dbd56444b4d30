"""Goes through a count to its end, as nobody does who shares the event loop with others."""

from __future__ import annotations

from collections.abc import Generator

from reconcilers.ports import Summary


def finish(counting: Generator[None, None, Summary]) -> Summary:
    """Count all at once."""
    while True:
        try:
            next(counting)
        except StopIteration as end:
            summary: Summary = end.value
            return summary
