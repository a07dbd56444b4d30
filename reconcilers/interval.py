"""The shortest time between two runs of a schedule, exactly and at once.

Within a day it follows from the minutes and hours; from one day to the next it takes how near two days of the schedule
can be, which is looked up over the 28 years after which a calendar repeats, and remembered. Days count by the wider of
the two readings that cron programs have of a day of the month beside a weekday, so no program runs more often than what
is said here. A change of the clocks is not counted.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from reconcilers.quantity import seconds

_FIXED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {name: str(number) for number, name in enumerate(_MONTHS, 1)} | {n: str(i) for i, n in enumerate(_DAYS)}
_WORD = re.compile("[a-z]{3}")
_FIRST = date(2000, 1, 1)
_HORIZON = 28 * 1461 // 4
_EVERY = "@every "


@lru_cache(maxsize=4096)
def shortest_interval(schedule: str) -> int:
    """Seconds between the two nearest runs of a schedule that `reconcilers.schedule` accepts, slots filled in."""
    if schedule.startswith(_EVERY):
        return int(seconds(schedule.removeprefix(_EVERY)) or 1)
    fields = _FIXED.get(schedule, schedule).lower().replace("?", "*").split()
    minutes, hours = (sorted(_values(field, *bounds)) for field, bounds in zip(fields[:2], _RANGES[:2], strict=True))
    gaps = [b - a for a, b in pairwise(minutes)]
    spread = minutes[-1] - minutes[0]
    gaps += [60 * (b - a) - spread for a, b in pairwise(hours)]
    nearest = _nearest_days(*fields[2:])
    gaps.append(1440 * nearest - (60 * (hours[-1] - hours[0]) + spread))
    return 60 * min(gaps)


@lru_cache(maxsize=1024)
def _nearest_days(day: str, month: str, weekday: str) -> int:
    """Days between the two nearest days on which a schedule runs."""
    if day == "*" and weekday == "*":
        return 1
    days, months, weekdays = (_values(f, *b) for f, b in zip((day, month, weekday), _RANGES[2:], strict=True))
    either = day != "*" and weekday != "*"
    nearest, before = _HORIZON, -_HORIZON
    for number in range(_HORIZON):
        when = _FIRST + timedelta(number)
        by_day, by_weekday = when.day in days, when.isoweekday() % 7 in weekdays
        if when.month in months and ((by_day or by_weekday) if either else (by_day and by_weekday)):
            nearest, before = min(nearest, number - before), number
            if nearest == 1:
                break
    return nearest


def _values(field: str, lowest: int, highest: int) -> set[int]:
    found: set[int] = set()
    for term in _WORD.sub(lambda word: _NAMES[word.group()], field).split(","):
        span, _, step = term.partition("/")
        first, dash, last = span.partition("-")
        low = lowest if first == "*" else int(first)
        high = int(last) if dash else highest if first == "*" or step else low
        found.update(range(low, high + 1, int(step or 1)))
    return found
