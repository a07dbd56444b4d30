"""The table of faults, read and checked for its form.

Contract: `every_cell()` gives the cells of faults.yaml in its order. A cell says how its fault is made for real, what
is expected of the operator, and which tests hold it to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from tools.machinery.rules import Malformed

FAULTS: Final[tuple[str, ...]] = tuple(f"F{number}" for number in (*range(1, 18), *range(21, 30), 33, 35, 41))
"""What has to be in the table."""

_FIELDS: Final = ("fault", "made", "expected", "tests")


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault: how it is made, what is expected, and node ids of tests."""

    id: str
    fault: str
    made: str
    expected: str
    tests: tuple[str, ...]


@cache
def every_cell() -> tuple[Cell, ...]:
    path = Path(__file__).parent / "faults.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(_cell(identity, entry) for identity, entry in document.items())


def _cell(identity: str, entry: dict[str, object]) -> Cell:
    if entry.keys() != set(_FIELDS) or not isinstance(entry["tests"], list):
        raise Malformed(f"faults.yaml, {identity}: has {sorted(entry)}, needs {list(_FIELDS)}, with a list of tests")
    return Cell(
        id=identity,
        fault=str(entry["fault"]),
        made=str(entry["made"]),
        expected=str(entry["expected"]),
        tests=tuple(map(str, entry["tests"])),
    )
