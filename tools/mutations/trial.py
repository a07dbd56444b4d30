"""Trying a mutation: a copy of the tree, the edit, the tests, and the copy as it was before.

Contract: nothing outside of the temporary directory is changed. A mutation is killed when its tests fail, and only
then: tests that cannot even be collected say nothing, and neither does a run that hangs. Before the first trial all
tests that are used run without any edit; if one fails then, no verdict would mean anything.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Final

from tools.mutations.mutation import Mutation, Stale
from tools.mutations.nursery import Nursery

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = (
    "informers",
    "reconcilers",
    "controller",
    "autobackup",
    "tests",
    "tools",
    "setup.cfg",
    "pyproject.toml",
)
SECONDS: Final = 180.0
_PASSED, _FAILED = 0, 1


class Verdict(StrEnum):
    KILLED = "killed"
    SURVIVED = "SURVIVED"
    STALE = "STALE"
    BROKEN = "BROKEN"
    HUNG = "HUNG"
    KEPT = "kept out"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutation; `detail` is for those that did not end well."""

    mutation: Mutation
    verdict: Verdict
    seconds: float
    detail: str = ""

    @property
    def good(self) -> bool:
        return self.verdict in (Verdict.KILLED, Verdict.KEPT)


class Unsound(Exception):
    """The tests fail without any mutation."""


def try_all(mutations: Sequence[Mutation], *, jobs: int) -> Iterator[Result]:
    """Try each of them, several at a time, each in a tree of its own; results in the order of the mutations."""
    with _trees(jobs) as trees, ExitStack() as stack:
        tests = sorted({test for mutation in mutations for test in mutation.tests})
        places: SimpleQueue[_Place] = SimpleQueue()
        for number, tree in enumerate(trees):
            if number:
                # The compiled tests of the first run serve the others as well.
                shutil.copytree(trees[0], tree, dirs_exist_ok=True)
            nursery = stack.enter_context(Nursery(tree))
            if not number:
                sound = nursery.run(tests, mutated=False, seconds=10 * SECONDS)
                if sound.code != _PASSED:
                    raise Unsound(f"without any mutation:\n{sound.output}")
            places.put(_Place(tree, nursery))

        def attempt(mutation: Mutation) -> Result:
            place = places.get()
            try:
                return _try_one(mutation, place)
            finally:
                places.put(place)

        with ThreadPoolExecutor(len(trees)) as pool:
            yield from pool.map(attempt, mutations)


@dataclass(frozen=True, slots=True)
class _Place:
    tree: Path
    nursery: Nursery


def _try_one(mutation: Mutation, place: _Place) -> Result:
    started = perf_counter()
    if mutation.structural:
        return Result(mutation, Verdict.KEPT, 0.0)  # its tests passed without it, in the run that came before
    try:
        with _applied(mutation, place.tree):
            done = place.nursery.run(mutation.tests, mutated=True, seconds=SECONDS)
    except Stale as stale:
        return Result(mutation, Verdict.STALE, 0.0, str(stale))
    verdicts = {_PASSED: Verdict.SURVIVED, _FAILED: Verdict.KILLED, None: Verdict.HUNG}
    verdict = verdicts.get(done.code, Verdict.BROKEN)
    return Result(mutation, verdict, perf_counter() - started, "" if verdict is Verdict.KILLED else done.output)


@contextmanager
def _trees(count: int) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="mutations-") as directory:
        trees = [Path(directory) / str(number) for number in range(max(1, count))]
        trees[0].mkdir()
        leave = shutil.ignore_patterns("__pycache__", "*.pyc")
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, trees[0] / name, ignore=leave)
            else:
                shutil.copy2(source, trees[0] / name)
        yield trees


@contextmanager
def _applied(mutation: Mutation, tree: Path) -> Iterator[None]:
    before = {edit.path: (tree / edit.path).read_bytes() for edit in mutation.edits if (tree / edit.path).is_file()}
    times = {path: (tree / path).stat() for path in before}
    try:
        for edit in mutation.edits:
            if edit.path not in before:
                raise Stale(f"{edit.path}: there is no such file")
            edit.apply(tree)
        yield
    finally:
        for path, content in before.items():
            (tree / path).write_bytes(content)
            os.utime(tree / path, ns=(times[path].st_atime_ns, times[path].st_mtime_ns))
