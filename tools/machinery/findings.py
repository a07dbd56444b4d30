"""What is wrong with the table of rules, as lines for people; nothing when all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tools.machinery.collection import Collected, complaints
from tools.machinery.rules import SPECIFIED, Rule, Stands


def missing(rules: Sequence[Rule]) -> Iterator[str]:
    """Every rule of the study is in the table once, and nothing else."""
    wanted = [f"{letter}{number}" for _, letter, count in SPECIFIED for number in range(1, count + 1)]
    found = Counter(rule.id for rule in rules)
    yield from (f"{identity}: is not in the table" for identity in wanted if identity not in found)
    yield from (f"{identity}: is no rule of the study" for identity in found if identity not in wanted)
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


def untested(rules: Iterable[Rule], collected: Collected) -> Iterator[str]:
    """Each named test is one that pytest would run."""
    for rule in rules:
        for test in rule.tests:
            yield from (f"{rule.id}: {complaint}" for complaint in complaints(test, collected))


def unproven(rules: Iterable[Rule], report: Path) -> Iterator[str]:
    """Each named test passed in the run that wrote this report."""
    outcomes = _outcomes(report)
    for rule in rules:
        for test in rule.tests:
            found = outcomes.get(test)
            if found is None:
                yield f"{rule.id}: {test} did not run"
            elif found != {"passed"}:
                yield f"{rule.id}: {test} {', '.join(sorted(found - {'passed'}))}"


def _outcomes(report: Path) -> dict[str, set[str]]:
    """Outcomes by node id without parameters, from pytest's report in the form of JUnit."""
    outcomes: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        path, inner = _split(str(case.get("classname")))
        name = "::".join([path, *inner, str(case.get("name")).partition("[")[0]])
        told = {child.tag for child in case} & {"skipped", "failure", "error"}
        outcomes.setdefault(name, set()).update(told or {"passed"})
    return outcomes


def _split(classname: str) -> tuple[str, list[str]]:
    """`tests.a.test_b.TestC` is the class TestC in tests/a/test_b.py."""
    parts = classname.split(".")
    end = next((index for index, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1) + 1
    return "/".join(parts[:end]) + ".py", parts[end:]
