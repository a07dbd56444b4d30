"""Checking a schedule before anything is written.

Accepted is what a CronJob accepts (five fields with names, ranges, steps and lists; `@hourly` and its like;
`@every 90m`), so that a schedule that passes here runs everywhere a Stash schedule runs, and `H`, for which a number is
written (`reconcilers.slots`). `cronsim` knows more (`L`, `#`, weekday 7), which a CronJob would refuse; so the grammar
is checked first, and `cronsim` is left to check the numbers and whether such a time ever comes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from reconcilers import slots
from reconcilers.errors import Refusal
from reconcilers.reasons import Reason

_LONGEST = 128
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = re.compile(r"@every ([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DAYS = "sun|mon|tue|wed|thu|fri|sat"
_ZONE = re.compile("(CRON_)?TZ=")
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_HINT = (
    'use five fields such as "0 2 * * *" (minute hour day month weekday), H for a slot, or @hourly, '
    "@daily, @weekly, @monthly, @yearly, @every 6h"
)


def _field(*, names: str = "") -> re.Pattern[str]:
    value = f"(?:[0-9]{{1,2}}|{names})" if names else "[0-9]{1,2}"
    term = rf"(?:{slots.SLOT.pattern}|(?i:[*?]|{value}(?:-{value})?)(?:/[0-9]{{1,2}})?)"
    return re.compile(rf"{term}(?:,{term})*", re.ASCII)


_FIELDS = (
    ("minute", _field()),
    ("hour", _field()),
    ("day of month", _field()),
    ("month", _field(names=_MONTHS)),
    ("weekday", _field(names=_DAYS)),
)


@lru_cache(maxsize=4096)
def problem(text: str) -> str | None:
    """What is wrong with a schedule; None when nothing is."""
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if text.startswith("@"):
        return _problem_of_descriptor(text)
    if _ZONE.match(text):
        return "names a time zone, for which a BackupConfiguration has no field"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"has {len(fields)} fields instead of five" if fields else "is empty"
    for (name, grammar), field in zip(_FIELDS, fields, strict=True):
        if not grammar.fullmatch(field):
            return f"has a {name} field that is not understood"
    if re.search(r"(?<![0-9/])0?7", fields[4]):
        return "has weekday 7, which a CronJob refuses: Sunday is 0"
    if wrong := slots.problem(text):
        return wrong
    text = slots.fill(text, "")
    try:
        simulated = CronSim(text.replace("?", "*"), _ANY_DAY)
        if fields[2] not in ("*", "?"):
            next(simulated)  # only a day of the month can be one that never comes
    except CronSimError as error:
        return f"is not valid ({error})"
    except StopIteration:
        return "names a time that never comes"
    return None


def _problem_of_descriptor(text: str) -> str | None:
    every = _EVERY.fullmatch(text)
    if text in _DESCRIPTORS or (every and any(int(part[:-1]) for part in every.groups() if part)):
        return None
    if text.partition(" ")[0] == "@every":
        return "does not name a time of a second or more behind @every"
    return "is not a known descriptor"


def check(text: str, *, field: str) -> str:
    """`text` with its blanks trimmed and folded, or a Refusal that names `field`."""
    folded = " ".join(text.split()) if len(text) <= _LONGEST else text
    wrong = problem(folded)
    if wrong:
        raise Refusal(Reason.INVALID_SCHEDULE, field, wrong, value=text, hint=_HINT)
    return folded
