"""The table of rules, read and checked for its form.

Contract: `chapters()` gives the chapters in the order of `SPECIFIED`. A rule stands in one of three ways: it is kept,
it is kept otherwise than the study says (`deviates`, where the difference has weight with an ADR), or it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
ADRS: Final = ROOT / "docs" / "adr"

SPECIFIED: Final[tuple[tuple[str, str, int], ...]] = (
    ("reflector", "R", 28),
    ("store", "S", 12),
    ("handlers", "H", 12),
    ("queue", "Q", 14),
    ("freshness", "C", 6),
    ("apply", "A", 12),
    ("election", "L", 15),
    ("asyncio", "T", 10),
)
"""Chapters, the letter of their rules, and how many there are."""


class Stands(StrEnum):
    """How we stand to a rule."""

    KEPT = "kept"
    DEVIATES = "deviates"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what is asked, how it is done or why not, the number of an ADR (0: none), and node ids of tests."""

    id: str
    rule: str
    how: str
    stands: Stands
    adr: int
    tests: tuple[str, ...]

    @property
    def record(self) -> Path | None:
        """The file of the ADR."""
        if not self.adr:
            return None
        return next(ADRS.glob(f"{self.adr:04d}-*.md"), ADRS / f"{self.adr:04d}")


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    about: str
    rules: tuple[Rule, ...]


class Malformed(Exception):
    """A file of the table is not as it should be; the text names file and rule."""


@cache
def chapters() -> tuple[Chapter, ...]:
    """The whole table."""
    return tuple(_chapter(name) for name, _, _ in SPECIFIED)


def every_rule() -> list[Rule]:
    return [rule for chapter in chapters() for rule in chapter.rules]


def _chapter(name: str) -> Chapter:
    path = Path(__file__).parent / "rules" / f"{name}.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = tuple(_rule(path, identity, entry) for identity, entry in document["rules"].items())
    return Chapter(title=document["title"], about=document["about"], rules=rules)


def _rule(path: Path, identity: str, entry: Mapping[str, Any]) -> Rule:
    unknown = entry.keys() - {"rule", "how", "stands", "adr", "tests"}
    missing = {"rule", "how", "tests"} - entry.keys()
    if unknown or missing:
        raise Malformed(f"{path.name}, {identity}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    adr = int(entry.get("adr", 0))
    return Rule(
        id=identity,
        rule=str(entry["rule"]),
        how=str(entry["how"]),
        stands=Stands(entry.get("stands", Stands.DEVIATES if adr else Stands.KEPT)),
        adr=adr,
        tests=tuple(map(str, entry["tests"])),
    )
