"""`H` in a schedule: "pick a slot for me", the same one for ever.

Hundreds of targets of one blueprint at `0 2 * * *` start in the same minute. `H 2 * * *` gives each a minute of its
own within the hour: taken from a digest of kind, namespace and name, so it is the same after a restart, after the
object was made anew, in another cluster and offline. What is written to the BackupConfiguration has numbers only, so
every program that runs cron expressions runs it.

`H` stands where a number could, alone or as `H(low-high)`, and may have a step: `H/15` is every 15 minutes from a
minute of its own. In the day of the month it goes to 28, so that no month is left out.
"""

from __future__ import annotations

import re
from hashlib import blake2b

RANGES = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
SLOT = re.compile(r"H(?:\(([0-9]{1,2})-([0-9]{1,2})\))?(?:/([0-9]{1,2}))?", re.A)
_ANYWHERE = re.compile(r"(?:^|[ ,])H")


def has_slots(schedule: str) -> bool:
    return _ANYWHERE.search(schedule) is not None


def problem(schedule: str) -> str | None:
    """What is wrong with the slots of a schedule of five fields, each of known grammar; None when nothing is."""
    for (low, high), field in zip(RANGES, schedule.split(), strict=True):
        for term in field.split(","):
            found = SLOT.fullmatch(term)
            if not found:
                continue
            first, last = int(found[1] or low), int(found[2] or high)
            if not low <= first <= last <= high:
                return f"has {term}, and slots of this field go from {low} to {high}"
            if found[3] and not 1 <= int(found[3]) <= last - first + 1:
                return f"has {term}, and a step here goes from 1 to {last - first + 1}"
    return None


def fill(schedule: str, identity: str) -> str:
    """The schedule with a number for each `H`; the same identity always gets the same numbers."""
    if not has_slots(schedule):
        return schedule
    digest = blake2b(identity.encode(), digest_size=20).digest()
    fields = []
    for position, ((low, high), field) in enumerate(zip(RANGES, schedule.split(), strict=True)):
        number = int.from_bytes(digest[4 * position : 4 * position + 4])
        fields.append(",".join(_filled(term, low, high, number) for term in field.split(",")))
    return " ".join(fields)


def _filled(term: str, low: int, high: int, number: int) -> str:
    found = SLOT.fullmatch(term)
    if not found:
        return term
    first, last = int(found[1] or low), int(found[2] or high)
    if not found[3]:
        return str(first + number % (last - first + 1))
    step = int(found[3])
    begin = first + number % step
    return f"{begin}-{last}/{step}" if begin + step <= last else str(begin)
