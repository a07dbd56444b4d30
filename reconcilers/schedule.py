"""Checking a schedule before anything is written.

Accepted is what a CronJob accepts (five fields with names, ranges, steps and lists; `@hourly` and its like;
`@every 90m`), so that a schedule that passes here runs everywhere a Stash schedule runs.
The five fields are parsed by `cronsim`, which also knows whether such a time ever comes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from reconcilers.errors import Refusal
from reconcilers.reasons import Reason

_LONGEST = 128
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = re.compile(r"@every (\d+h)?(\d+m)?(\d+s)?")
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_HINT = 'use five fields such as "0 2 * * *" (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly'


@lru_cache(maxsize=4096)
def problem(text: str) -> str | None:
    """What is wrong with a schedule; None when nothing is."""
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if text.startswith("@"):
        every = _EVERY.fullmatch(text)
        if text in _DESCRIPTORS or (every and any(every.groups())):
            return None
        return "is not a known descriptor"
    if len(text.split()) != 5:
        return f"has {len(text.split())} fields instead of five"
    if not re.fullmatch(r"[0-9A-Za-z*/,\- ?]+", text):
        return "has characters that no cron field uses"
    try:
        next(CronSim(text.replace("?", "*"), _ANY_DAY))
    except CronSimError as error:
        return f"is not valid ({error})"
    except StopIteration:
        return "names a time that never comes"
    return None


def check(text: str, *, field: str) -> str:
    """`text` with its blanks trimmed and folded, or a Refusal that names `field`."""
    folded = " ".join(text.split()) if len(text) <= _LONGEST else text
    wrong = problem(folded)
    if wrong:
        raise Refusal(Reason.INVALID_SCHEDULE, field, wrong, value=text, hint=_HINT)
    return folded
