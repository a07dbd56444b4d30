"""Quantities and durations: as Kubernetes and Go write them, as numbers that can be compared.

What an annotation may hold is stricter than what the API server takes: a positive number with the suffixes that people
mean. `512m` of memory is half a byte to Kubernetes, and always a slip of the pen.
"""

from __future__ import annotations

import re
from functools import lru_cache

_BILLION = 10**9
_SUFFIXES: dict[str, int] = {
    "": _BILLION,
    "n": 1,
    "u": 1000,
    "m": 10**6,
    **{suffix: _BILLION * 1000**power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": _BILLION * 1024**power for power, suffix in enumerate("KMGTPE", start=1)},
}
"""Billionths, the finest that Kubernetes knows."""
_QUANTITY = re.compile(
    r"([+-]?)([0-9]{0,20})(?:\.([0-9]{0,20}))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,2}))?", re.A
)
_CPU = re.compile(r"[0-9]{1,9}m|[0-9]{1,6}(\.[0-9]{1,3})?", re.A)
_MEMORY = re.compile(r"[0-9]{1,15}|[0-9]{1,9}(\.[0-9]{1,3})?([kMGT]|[KMGT]i)", re.A)
_UNITS = {"ns": 10**-9, "us": 10**-6, "µs": 10**-6, "μs": 10**-6, "ms": 10**-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?)(ns|us|µs|μs|ms|s|m|h)", re.A)
_LONGEST_DURATION = 64

GRAMMARS = {
    "cpu": (_CPU, "cores such as 2 or 0.5, or thousandths such as 500m"),
    "memory": (_MEMORY, "bytes such as 512Mi, 2Gi or 500M"),
}
"""For each resource that an annotation may set: its grammar, and the grammar in words."""


@lru_cache(maxsize=4096)
def amount(text: str) -> int | None:
    """The number that a quantity of Kubernetes stands for, in billionths rounded up; None when it is none."""
    found = _QUANTITY.fullmatch(text)
    if not found or not (found[2] or found[3]):
        return None
    decimals = found[3] or ""
    exponent = int(found[5] or 0) - len(decimals)
    number = int((found[2] or "") + decimals) * _SUFFIXES[found[4] or ""]
    scale: int = 10 ** abs(exponent)
    number = number * scale if exponent >= 0 else -(-number // scale)
    return -number if found[1] == "-" else number


@lru_cache(maxsize=1024)
def seconds(text: str) -> float | None:
    """The length of a duration of Go, such as 90s or 1h30m; None when it is none."""
    if len(text) > _LONGEST_DURATION:
        return None
    total, end = 0.0, 0
    while end < len(text):
        part = _PART.match(text, end)
        if part is None:
            return None
        total += float(part[1]) * _UNITS[part[2]]
        end = part.end()
    return total if text else None


def spell(length: float) -> str:
    """A length in seconds as people write it: 5400 is 1h30m."""
    whole = round(length)
    days = whole // 86400 if whole >= 3 * 86400 else 0
    whole -= 86400 * days
    parts = ((days, "d"), (whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
