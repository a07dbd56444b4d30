"""Every annotation that means something, and what is told about one that does not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from reconcilers import annotations as asked
from reconcilers.annotations import Description
from reconcilers.kinds import TARGETS, Family
from reconcilers.overridable import OVERRIDABLE

_MOST_TOLD = 8

ANNOTATIONS: tuple[Description, ...] = (
    *asked.ANNOTATIONS,
    *(entry.description for entry in OVERRIDABLE.values()),
    Description(
        asked.VARIABLES_PREFIX + "<NAME>",
        "text that matches the pattern of the variable",
        frozenset(Family),
        "The value of the variable ${NAME}, where the blueprint declares it.",
        "gold",
    ),
)
_KNOWN = {description.key: description for description in ANNOTATIONS}
_WORDS = [key.removeprefix(asked.PREFIX) for key in _KNOWN if key.startswith(asked.PREFIX)]
_FAMILIES = {
    asked.PARAMS_PREFIX: _KNOWN[asked.PARAMS_PREFIX + "<name>"],
    asked.VARIABLES_PREFIX: _KNOWN[asked.VARIABLES_PREFIX + "<NAME>"],
}


def without_effect(annotations: Iterable[str], *, kind: str) -> tuple[str, ...]:
    """What to tell about keys under our prefixes that mean nothing on a target of `kind`; the first few are named."""
    family = TARGETS[kind].family
    found = []
    for key in annotations:
        description = _KNOWN.get(key) or next(
            (found for prefix, found in _FAMILIES.items() if key.startswith(prefix)), None
        )
        if description is None or family not in description.families:
            found.append((key, description is not None))
    told = [_no_effect(key, known=known, kind=kind) for key, known in found[:_MOST_TOLD]]
    if len(found) > _MOST_TOLD:
        told.append(f"{len(found) - _MOST_TOLD} more annotations have no effect on a {kind}")
    return tuple(told)


def _no_effect(key: str, *, known: bool, kind: str) -> str:
    if known:
        return f"annotation {key[:120]} has no effect on a {kind}"
    # What all keys have in common would make any of them look near.
    word = key[:120].removeprefix(asked.PREFIX).lower()
    near = difflib.get_close_matches(word, _WORDS, n=1)
    return f"annotation {key[:120]} is not known" + (f"; did you mean {asked.PREFIX}{near[0]}?" if near else "")
