"""`python -m tools.machinery`: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.machinery.cells import FAULTS, every_cell
from tools.machinery.collection import collect
from tools.machinery.findings import RULES, Row, missing, unfounded, unproven, untested
from tools.machinery.rules import every_rule


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.machinery", description="Compare the tables of rules and faults with the tests."
    )
    parser.add_argument("--check", action="store_true", help="all is there, and every test that is named would run")
    parser.add_argument(
        "--ran",
        type=Path,
        nargs="+",
        default=[],
        metavar="REPORT",
        help="every test that is named passed in this JUnit report, or in a later one of tests that were tried again",
    )
    options = parser.parse_args()
    if not options.check and not options.ran:
        parser.error("say --check or --ran REPORT")
    rules, cells = every_rule(), every_cell()
    rows: list[Row] = [*rules, *cells]
    found = [*missing(rules, RULES), *unfounded(rules), *missing(cells, FAULTS)]
    if options.check:
        found += untested(rows, collect(test for row in rows for test in row.tests))
    if options.ran:
        found += unproven(rows, options.ran)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        tests = {test for row in rows for test in row.tests}
        print(f"{len(rules)} rules, {len(cells)} faults, {len(tests)} tests")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
