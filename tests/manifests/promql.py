"""Names of metrics in PromQL, and what may be expected to exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_GONE = (
    r'"(?:[^"\\]|\\.)*"',  # texts
    r"\{[^}]*\}",  # selectors
    r"\[[^\]]*\]",  # ranges
    r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
    r"\boffset\s+\w+",
    r"\b[a-z_]+\s*(?=\()",  # functions
    r"\b(?:and|or|unless|bool)\b",
    r"\b[0-9][0-9a-z.]*\b",
)


def metrics(expression: str) -> set[str]:
    """The names of metrics that an expression reads."""
    for pattern in _GONE:
        expression = re.sub(pattern, " ", expression)
    return set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", expression))


def family(name: str) -> str:
    """The family of a series of a histogram."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def queries(dashboard: dict[str, Any]) -> Iterator[str]:
    """Every expression of a dashboard, with an interval put in where Grafana would."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m").replace("$job", "autobackup")
