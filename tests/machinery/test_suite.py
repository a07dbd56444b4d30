"""The two halves of the tests: together they are all, and what failed in either is counted."""

from __future__ import annotations

from pathlib import Path

from tools.suite import HALVES, command, count


def test_each_half_has_its_own_tests_cache_and_report() -> None:
    apart, cluster = (command(half, "-x", report="tests") for half in HALVES)
    assert apart[3:5] == ["-m", "not cluster"]
    assert cluster[3:5] == ["-m", "cluster"]
    assert apart[-1] == cluster[-1] == "-x"
    assert not set(apart[5:-1]) & set(cluster[5:-1]) - {"-o"}


def test_failures_of_both_halves_are_counted_once_each(tmp_path: Path) -> None:
    one, other = tmp_path / "one.xml", tmp_path / "other.xml"
    one.write_text('<testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>')
    other.write_text(
        "<testsuites><testsuite>"
        '<testcase name="c"><failure/><error/></testcase><testcase name="d"><error/></testcase><testcase name="e"/>'
        "</testsuite></testsuites>"
    )
    assert count([one, other]) == "both halves: 2 failed, 2 passed"
