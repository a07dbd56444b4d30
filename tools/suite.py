"""All tests, in two halves at the same time: those that need a cluster mostly wait, the others compute.

`python -m tools.suite` runs both and prints one after the other, and a line that counts both; its code is 0 when both
are good. Each half has a cache and a report of its own below build/. At the end `tools.machinery` looks at whether all
tests that the tables of rules and faults name have passed. `--again` runs what failed in either half once more, and
looks again. Arguments for pytest make it one ordinary run, of which nobody knows what to expect.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

BUILD: Final = Path(__file__).parents[1] / "build"
HALVES: Final = {"apart": "not cluster", "cluster": "cluster"}
FIRST, AGAIN = "tests", "again"
_NOTHING_TO_RUN = 5


def command(half: str, *arguments: str, report: str) -> list[str]:
    """How pytest runs one half. The caches are apart, since each run rewrites the list of what failed."""
    pytest = [sys.executable, "-m", "pytest", "-m", HALVES[half], "-o", f"cache_dir={_cache(half)}"]
    return [*pytest, f"--junit-xml={_report(report, half)}", *arguments]


def run_all() -> int:
    """Both halves; what the one without a cluster has to say is shown when the other one has ended."""
    BUILD.mkdir(exist_ok=True)
    for half in HALVES:
        shutil.rmtree(_cache(half), ignore_errors=True)
        for name in (FIRST, AGAIN):
            _report(name, half).unlink(missing_ok=True)
    log = BUILD / "tests-apart.log"
    with log.open("w") as output:
        apart = subprocess.Popen(command("apart", report=FIRST), stdout=output, stderr=subprocess.STDOUT)
        try:
            codes = [subprocess.call(command("cluster", report=FIRST)), apart.wait()]
        finally:
            apart.terminate()
            apart.wait()
    print(f"--- and those without a cluster:\n{log.read_text(errors='replace')}")
    print(count([path for half in HALVES if (path := _report(FIRST, half)).exists()]), flush=True)
    return max(codes) or look(FIRST)


def run_again() -> int:
    """What failed, once more; a half in which nothing failed is left alone."""
    for half in HALVES:
        if (_cache(half) / "v" / "cache" / "lastfailed").exists():
            again = ("--last-failed", "--last-failed-no-failures", "none")
            code = subprocess.call(command(half, *again, report=AGAIN))
            if code not in (0, _NOTHING_TO_RUN):
                return code
    return look(FIRST, AGAIN)


def count(reports: Sequence[Path]) -> str:
    """How many failed and passed in all."""
    cases = [{child.tag for child in case} for report in reports for case in ElementTree.parse(report).iter("testcase")]
    failed = sum(bool(told & {"failure", "error"}) for told in cases)
    passed = sum(not told & {"failure", "error", "skipped"} for told in cases)
    return f"both halves: {failed} failed, {passed} passed"


def look(*names: str) -> int:
    """Whether all passed that should have; a later report counts more than an earlier one."""
    found = [str(path) for name in names for half in HALVES if (path := _report(name, half)).exists()]
    return subprocess.call([sys.executable, "-m", "tools.machinery", "--ran", *found])


def _cache(half: str) -> Path:
    return BUILD / f"cache-{half}"


def _report(name: str, half: str) -> Path:
    return BUILD / f"{name}-{half}.xml"


def main(arguments: Sequence[str]) -> int:
    os.chdir(BUILD.parent)
    if list(arguments) == ["--again"]:
        return run_again()
    if arguments:
        return subprocess.call([sys.executable, "-m", "pytest", *arguments])
    return run_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
