"""`python -m tools.machinery`: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.machinery.collection import collect
from tools.machinery.findings import missing, unfounded, unproven, untested
from tools.machinery.rules import every_rule


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.machinery", description="Compare the table of rules with the tests."
    )
    parser.add_argument("--check", action="store_true", help="every rule is there, and every test it names would run")
    parser.add_argument(
        "--ran", type=Path, metavar="REPORT", help="every test that is named passed in this JUnit report"
    )
    options = parser.parse_args()
    if not options.check and options.ran is None:
        parser.error("say --check or --ran REPORT")
    rules = every_rule()
    found = [*missing(rules), *unfounded(rules)]
    if options.check:
        found += untested(rules, collect(test for rule in rules for test in rule.tests))
    if options.ran is not None:
        found += unproven(rules, options.ran)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        tests = {test for rule in rules for test in rule.tests}
        print(f"{len(rules)} rules, {len(tests)} tests")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
