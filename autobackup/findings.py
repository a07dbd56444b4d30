"""What an inspection found: how it stands, what was seen, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How something stands. Only `FAIL` makes the command end with 1."""

    OK = "ok"
    WARN = "warn"
    """Worth knowing, or not to be found out."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `check` is a stable word; `remedy` is the way out, "" when there is nothing to do."""

    check: str
    level: Level
    message: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return {"check": self.check, "level": self.level.value, "message": self.message, "remedy": self.remedy}
