"""The tables of rules and faults are complete, and every test that they name would run; and what finds out does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tools.machinery.cells import FAULTS, Cell, every_cell
from tools.machinery.collection import Collected, collect, complaints
from tools.machinery.findings import RULES, Row, missing, unfounded, unproven, untested
from tools.machinery.rules import Rule, Stands, every_rule

RULE = Rule("R1", "a rule", "so", Stands.KEPT, 0, ("tests/test_architecture.py::test_the_code_keeps",))


def test_the_tables_are_complete_and_every_test_they_name_would_run() -> None:
    rules, cells = every_rule(), every_cell()
    rows: list[Row] = [*rules, *cells]
    found = [*missing(rules, RULES), *unfounded(rules), *missing(cells, FAULTS)]
    found += untested(rows, collect(test for row in rows for test in row.tests))
    found += [f"{cell.id}: names no test" for cell in cells if not cell.tests]
    assert not found, "\n".join(found)


def test_a_rule_that_is_missing_is_named() -> None:
    rules = every_rule()
    assert list(missing([rule for rule in rules if rule.id != "Q6"], RULES)) == ["Q6: is not in the table"]
    assert list(missing([*rules, replace(rules[0], id="Z1")], RULES)) == ["Z1: was not asked for"]
    assert list(missing([*rules, rules[0]], RULES)) == ["R1: is there 2 times"]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (RULE, []),
        (replace(RULE, tests=()), ["R1: names no test"]),
        (replace(RULE, tests=(), stands=Stands.REFUSED), []),
        (replace(RULE, how=" "), ["R1: says nothing"]),
        (replace(RULE, adr=9999), ["R1: there is no ADR 9999"]),
    ],
)
def test_a_row_without_foundation_is_named(rule: Rule, found: list[str]) -> None:
    assert list(unfounded([rule])) == found


def test_a_test_that_would_not_run_is_named(tmp_path: Path) -> None:
    known = Collected({"tests/test_architecture.py::test_the_code_keeps": []})
    assert list(untested([RULE], known)) == []
    gone = replace(RULE, tests=("tests/test_architecture.py::test_gone",))
    assert list(untested([gone], known)) == [f"R1: {gone.tests[0]}: pytest collects no such test"]
    marked = Collected({RULE.tests[0]: ["skipif"]})
    assert list(untested([RULE], marked)) == [f"R1: {RULE.tests[0]}: is marked skipif"]
    path = tmp_path / "test_x.py"
    path.write_text("def test_a():\n    pytest.skip('never')\n\ndef test_b():\n    pass\n")
    assert list(complaints(f"{path}::test_a", Collected({f"{path}::test_a": []}))) == [
        f"{path}::test_a: calls pytest.skip"
    ]
    assert list(complaints(f"{path}::test_b", Collected({f"{path}::test_b": []}))) == []


def test_a_test_that_did_not_pass_is_named(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    rules = [replace(RULE, tests=(f"tests/a/test_b.py::{name}",)) for name in ("test_ok", "TestC::test_no", "test_not")]
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.a.test_b" name="test_ok[1]"/>'
        '<testcase classname="tests.a.test_b" name="test_ok[2]"/>'
        '<testcase classname="tests.a.test_b.TestC" name="test_no"><failure/></testcase>'
        "</testsuite></testsuites>"
    )
    assert list(unproven(rules, [report])) == [
        "R1: tests/a/test_b.py::TestC::test_no failure",
        "R1: tests/a/test_b.py::test_not did not run",
    ]
    again = tmp_path / "again.xml"
    again.write_text(
        '<testsuite><testcase classname="tests.a.test_b.TestC" name="test_no"/>'
        '<testcase classname="tests.a.test_b" name="test_ok[2]"><skipped/></testcase></testsuite>'
    )
    assert list(unproven(rules, [report, again])) == [
        "R1: tests/a/test_b.py::test_ok skipped",
        "R1: tests/a/test_b.py::test_not did not run",
    ]
    cell = Cell("F1", "a fault", "so", "nothing", ("tests/a/test_b.py::test_gone",))
    assert list(unproven([cell], [report])) == ["F1: tests/a/test_b.py::test_gone did not run"]
