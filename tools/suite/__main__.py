"""`python -m tools.suite`: see the package."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.suite.parts import AGAIN, BUILD, FIRST, PARTS, Part
from tools.suite.reports import count

LIMIT_SECONDS: Final = 45 * 60.0
_GOOD, _FAILED, _NOTHING_TO_RUN = 0, 1, 5
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 60.0


@dataclass(slots=True)
class Running:
    """A part at work. Its log is its own until it has ended."""

    part: Part
    process: subprocess.Popen[bytes]
    started: float

    @classmethod
    def start(cls, part: Part) -> Running:
        with part.log.open("wb") as log:
            process = subprocess.Popen(part.command(), stdout=log, stderr=subprocess.STDOUT)
        return cls(part, process, time.monotonic())

    def ended(self) -> str | None:
        """How it ended, or None while it runs."""
        seconds = time.monotonic() - self.started
        took = f"after {int(seconds // 60)}:{int(seconds % 60):02}"
        if self.process.poll() is not None:
            return f"{took}: {self._told()}"
        if seconds < LIMIT_SECONDS:
            return None
        self.stop()
        return f"{took}: it hung and was stopped; the end of {self.part.log} says where"

    def stop(self) -> None:
        """As with Ctrl-C: pytest says where it was, and what it started is stopped."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _told(self) -> str:
        if self.process.returncode in (_GOOD, _FAILED):
            return str(count([self.part.report(FIRST)]))
        return f"pytest ended with code {self.process.returncode}"


def run_all() -> int:
    """All parts side by side."""
    BUILD.mkdir(exist_ok=True)
    for part in PARTS:
        shutil.rmtree(part.cache, ignore_errors=True)
        for name in (FIRST, AGAIN):
            part.report(name).unlink(missing_ok=True)
    codes = _codes([Running.start(part) for part in PARTS])
    for part in sorted(PARTS, key=lambda part: codes[part.name] != _GOOD):
        print(f"--- {part.name}:\n{part.log.read_text(errors='replace')}")
    broken = [name for name, code in codes.items() if code not in (_GOOD, _FAILED)]
    if broken:
        print(f"did not run to their end: {', '.join(broken)}", flush=True)
        return 2
    print(count(part.report(FIRST) for part in PARTS).of_all(), flush=True)
    return max(codes.values()) or look(FIRST)


def _codes(at_work: list[Running]) -> dict[str, int]:
    """The exit code of each part."""
    codes: dict[str, int] = {}
    try:
        while at_work:
            time.sleep(_LOOK_SECONDS)
            for running in list(at_work):
                ended = running.ended()
                if ended is not None:
                    at_work.remove(running)
                    codes[running.part.name] = running.process.returncode
                    print(f"{running.part.name} ended {ended}", flush=True)
    finally:
        for running in at_work:
            running.stop()
    return codes


def run_again() -> int:
    """What failed, once more; a part in which nothing failed is left alone."""
    for part in PARTS:
        if (part.cache / "v" / "cache" / "lastfailed").exists():
            again = ("--last-failed", "--last-failed-no-failures", "none")
            code = subprocess.call(part.command(*again, report=AGAIN))
            if code not in (_GOOD, _NOTHING_TO_RUN):
                return code
    return look(FIRST, AGAIN)


def look(*names: str) -> int:
    """Whether all passed that should have; a later report counts more than an earlier one."""
    found = [str(path) for name in names for part in PARTS if (path := part.report(name)).exists()]
    return subprocess.call([sys.executable, "-m", "tools.machinery", "--ran", *found])


def main(arguments: Sequence[str]) -> int:
    os.chdir(BUILD.parent)
    if list(arguments) == ["--again"]:
        return run_again()
    if arguments:
        return subprocess.call([sys.executable, "-m", "pytest", *arguments])
    return run_all()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
