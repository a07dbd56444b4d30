"""What the reports of pytest, in the form of JUnit, say together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass(frozen=True, slots=True)
class Tally:
    """How many failed and how many passed; what was skipped is neither."""

    failed: int
    passed: int

    def __str__(self) -> str:
        return f"{self.failed} failed, {self.passed} passed"

    def of_all(self) -> str:
        """The line by which `.ci/run` decides whether it is worth while to try again."""
        return f"all parts: {self}"


def count(reports: Iterable[Path]) -> Tally:
    """A test that failed and then could not clean up has failed once. A report that is missing counts nothing."""
    cases = [
        {child.tag for child in case}
        for report in reports
        if report.exists()
        for case in ElementTree.parse(report).iter("testcase")
    ]
    return Tally(
        failed=sum(bool(told & {"failure", "error"}) for told in cases),
        passed=sum(not told & {"failure", "error", "skipped"} for told in cases),
    )
