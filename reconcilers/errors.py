"""The one way a reconciler says no.

A `Refusal` never escapes a plan: it becomes an outcome with its reason, a condition on the blueprint and an Event on
the target. Its text names the field, the value and the way out, in that order, and is short whatever the value is.
"""

from __future__ import annotations

from reconcilers.reasons import Reason

_LONGEST_VALUE = 80
_LONGEST_SHOWN = 120
_LONGEST_FIELD = 160
_LONGEST_HINT = 240
_LONGEST = 600


class Refusal(Exception):
    """Input that cannot be used: why (`reason`), where (`field`), what (`value`) and what to do (`hint`)."""

    def __init__(self, reason: Reason, field: str, problem: str, *, value: str | None = None, hint: str) -> None:
        self.reason = reason
        self.field = field
        where = clip(field, _LONGEST_FIELD) + (f" {show(value)}" if value is not None else "")
        way_out = clip(hint, _LONGEST_HINT)
        super().__init__(f"{where}: {clip(problem, _LONGEST - len(where) - len(way_out) - 4)}; {way_out}")


def show(value: str) -> str:
    """A value as text for people: quoted, control characters escaped, cut when it is long."""
    cut = value[:_LONGEST_VALUE]
    while len(repr(cut)) > _LONGEST_SHOWN:
        cut = cut[: len(cut) // 2]
    return repr(value) if cut == value else f"{cut!r}… ({len(value)} characters)"


def clip(text: str, longest: int) -> str:
    """`text`, ending in an ellipsis where it had to be cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
