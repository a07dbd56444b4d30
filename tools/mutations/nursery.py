"""A process that has loaded once what every run of tests needs, and forks for each of them.

Contract: `Nursery` runs tests in a tree, one run at a time, each in a process of its own that has seen nothing of the
tree before: what is loaded beforehand are libraries alone. Three quarters of what a short run costs is loading those.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

_LIBRARIES: Final = (
    "pytest",
    "hypothesis.strategies",
    "hypothesis.stateful",
    "aiohttp",
    "structlog",
    "prometheus_client",
    "cachetools",
    "yaml",
)
_OPTIONS: Final = ("-q", "-x", "--no-header", "-p", "no:cacheprovider")
_LOOK_SECONDS: Final = 0.02
_FAILED: Final = 1
_DEFECT: Final = 70


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended: pytest's exit code, None when it did not end in time, and what it said."""

    code: int | None
    output: str


class Nursery:
    """One process, for one tree. A context manager."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._process: subprocess.Popen[str] | None = None

    def run(self, tests: Sequence[str], *, mutated: bool, seconds: float) -> Run:
        """Run these tests until one fails."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"tests": list(tests), "mutated": mutated, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Run(answer["code"], answer["output"])

    def __enter__(self) -> Nursery:
        # Run as a file and not as a module: nothing of the project may be loaded, of this tree or of another.
        command = [sys.executable, __file__]
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, cwd=self._tree, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()


def _serve() -> None:
    sys.path[0] = os.getcwd()
    for library in _LIBRARIES:
        __import__(library)
    for line in sys.stdin:
        wanted = json.loads(line)
        output = Path("output.txt")
        child = os.fork()
        if child == 0:
            _become_a_run(wanted["tests"], mutated=wanted["mutated"], output=output)
        code = _wait(child, wanted["seconds"])
        sys.stdout.write(json.dumps({"code": code, "output": output.read_text(errors="replace")[-5000:]}) + "\n")
        sys.stdout.flush()


def _become_a_run(tests: Sequence[str], *, mutated: bool, output: Path) -> None:
    import pytest  # noqa: PLC0415 - loaded by now

    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # Of the plugins that are loaded already pytest says that it cannot look into their assertions. It need not.
    options = [*_OPTIONS, "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    if mutated:
        options.append("--tb=no")  # which would be looked at by nobody, and costs more than many a test
        sys.dont_write_bytecode = True  # a mutated file has the size of the real one at times
    end = _End()
    code = _DEFECT
    try:
        code = int(pytest.main([*options, *tests], plugins=[end]))
    except BaseException:
        # What a failed test leaves unclosed may end pytest itself, after its verdict.
        code = _FAILED if end.code == _FAILED else _DEFECT
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _End:
    """A plugin that keeps the verdict."""

    code = _DEFECT

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self.code = int(exitstatus)


def _wait(child: int, seconds: float) -> int | None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_LOOK_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


if __name__ == "__main__":
    _serve()
