"""The parts of the tests: together they are all, each ends by itself or is stopped, and every failure is counted."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.suite.__main__ import LIMIT_SECONDS, Running
from tools.suite.parts import PARTS, Part
from tools.suite.reports import Tally, count

ROOT = Path(__file__).parents[2]


def collected(cache: Path, *selection: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", f"cache_dir={cache}", *selection]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.slow
def test_every_test_is_in_exactly_one_part(tmp_path: Path) -> None:
    first, *others = PARTS
    assert (first.selection(), {part.marks for part in others}) == (["-m", "not cluster"], {"cluster"})
    everything = collected(tmp_path, "-m", "cluster")
    found = [test for part in others for test in collected(tmp_path, *part.selection())]
    assert sorted(found) == sorted(everything)
    assert len(everything) > 1000


def test_no_two_parts_write_the_same_file() -> None:
    written = [path for part in PARTS for path in (part.cache, part.log, part.report("tests"), part.report("again"))]
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_paths_of_a_part_are_there(part: Part) -> None:
    assert all((ROOT / path).exists() for path in part.paths)


def test_failures_of_all_parts_are_counted_once_each(tmp_path: Path) -> None:
    one, other = tmp_path / "one.xml", tmp_path / "other.xml"
    one.write_text('<testsuite><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>')
    other.write_text(
        "<testsuites><testsuite>"
        '<testcase name="c"><failure/><error/></testcase><testcase name="d"><error/></testcase><testcase name="e"/>'
        "</testsuite></testsuites>"
    )
    assert str(count([one, other, tmp_path / "none.xml"])) == "2 failed, 2 passed"


def test_a_part_that_hangs_is_stopped_and_named() -> None:
    part = Part("hung")
    hanging = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background\n"
        "print(1, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", hanging], stdout=subprocess.PIPE) as it:
        assert it.stdout is not None
        assert it.stdout.readline()
        assert Running(part, it, time.monotonic()).ended() is None
        told = Running(part, it, time.monotonic() - LIMIT_SECONDS).ended()
        assert it.returncode == -signal.SIGINT
    assert told is not None
    assert "hung" in told
    assert str(part.log) in told


def test_a_part_that_breaks_is_not_taken_for_one_with_failures() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as it:
        it.wait()
        told = Running(Part("broken"), it, time.monotonic()).ended()
    assert told == "after 0:00: pytest ended with code 3"


def test_continuous_integration_tries_again_when_few_have_failed() -> None:
    pattern = re.search(r"'(\^all parts: [^']+)'", (ROOT / ".ci" / "run").read_text())
    assert pattern is not None
    tried = [failed for failed in range(20) if re.search(pattern[1], Tally(failed, 4782).of_all())]
    assert tried == [1, 2, 3, 4, 5]
