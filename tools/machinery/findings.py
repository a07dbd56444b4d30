"""What is wrong with the tables of rules and faults, as lines for people; nothing when all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol
from xml.etree import ElementTree

from tools.machinery.collection import Collected, complaints
from tools.machinery.rules import SPECIFIED, Rule, Stands

RULES = tuple(f"{letter}{number}" for _, letter, count in SPECIFIED for number in range(1, count + 1))
"""The ids of all rules of the study."""


class Row(Protocol):
    """A row of either table."""

    @property
    def id(self) -> str: ...

    @property
    def tests(self) -> tuple[str, ...]: ...


def missing(rows: Sequence[Row], wanted: Sequence[str]) -> Iterator[str]:
    """Everything that was asked for is in the table once, and nothing else."""
    found = Counter(row.id for row in rows)
    yield from (f"{identity}: is not in the table" for identity in wanted if identity not in found)
    yield from (f"{identity}: was not asked for" for identity in found if identity not in wanted)
    yield from (f"{identity}: is there {times} times" for identity, times in found.items() if times > 1)


def unfounded(rules: Iterable[Rule]) -> Iterator[str]:
    """Each row says how, names a test, and an ADR that exists."""
    for rule in rules:
        if not rule.rule.strip() or not rule.how.strip():
            yield f"{rule.id}: says nothing"
        if not rule.tests and rule.stands is not Stands.REFUSED:
            yield f"{rule.id}: names no test"
        if rule.record is not None and not rule.record.is_file():
            yield f"{rule.id}: there is no ADR {rule.adr}"


def untested(rows: Iterable[Row], collected: Collected) -> Iterator[str]:
    """Each named test is one that pytest would run."""
    for row in rows:
        for test in row.tests:
            yield from (f"{row.id}: {complaint}" for complaint in complaints(test, collected))


def unproven(rows: Iterable[Row], reports: Sequence[Path]) -> Iterator[str]:
    """Each named test passed in the run that wrote the first report; the others are of tests that were tried again."""
    outcomes = _outcomes(reports)
    for row in rows:
        for test in row.tests:
            found = outcomes.get(test)
            if found is None:
                yield f"{row.id}: {test} did not run"
            elif found != {"passed"}:
                yield f"{row.id}: {test} {', '.join(sorted(found - {'passed'}))}"


def _outcomes(reports: Sequence[Path]) -> dict[str, set[str]]:
    """Outcomes by node id without parameters, from pytest's reports in the form of JUnit."""
    cases: dict[tuple[str, str], set[str]] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            told = {child.tag for child in case} & {"skipped", "failure", "error"}
            cases[str(case.get("classname")), str(case.get("name"))] = told or {"passed"}
    outcomes: dict[str, set[str]] = {}
    for (classname, name), told in cases.items():
        path, inner = _split(classname)
        outcomes.setdefault("::".join([path, *inner, name.partition("[")[0]]), set()).update(told)
    return outcomes


def _split(classname: str) -> tuple[str, list[str]]:
    """`tests.a.test_b.TestC` is the class TestC in tests/a/test_b.py."""
    parts = classname.split(".")
    end = next((index for index, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1) + 1
    return "/".join(parts[:end]) + ".py", parts[end:]
