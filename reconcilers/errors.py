"""The one way a reconciler says no.

A `Refusal` never escapes a plan: it becomes an outcome with its reason, a condition on the blueprint and an Event on
the target. Its text names the field, the value and the way out, in that order.
"""

from __future__ import annotations

from reconcilers.reasons import Reason

_LONGEST_VALUE = 80


class Refusal(Exception):
    """Input that cannot be used: why (`reason`), where (`field`), what (`value`) and what to do (`hint`)."""

    def __init__(self, reason: Reason, field: str, problem: str, *, value: str | None = None, hint: str) -> None:
        self.reason = reason
        self.field = field
        shown = f" {show(value)}" if value is not None else ""
        super().__init__(f"{field}{shown}: {problem}; {hint}")


def show(value: str) -> str:
    """A value as text for people: quoted, control characters escaped, cut when it is long."""
    if len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]!r}… ({len(value)} characters)"
    return repr(value)
