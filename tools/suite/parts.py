"""Which tests run together, and how pytest is told.

Invariants: every test is in exactly one part (`tests/machinery/test_suite.py` compares what pytest collects): the first
that names it. Whoever adds a test or a folder has nothing to do: what no part names belongs to the last one. What needs
the machine as a whole (namespaces and cgroups of a node, the storage of images) is all in one part, so that no two of
its tests meet. The rest is cut so that parts take about as long: on two cores that compute most of the time, a part
that waited all by itself at the end would be time lost.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
FIRST, AGAIN = "tests", "again"


@dataclass(frozen=True, slots=True)
class Part:
    """A share of the tests: those with these marks, below these paths or anywhere, that no earlier part has."""

    name: str
    marks: str = "cluster"
    paths: tuple[str, ...] = ()

    def selection(self) -> list[str]:
        """How pytest is told which tests these are."""
        earlier = itertools.takewhile(lambda part: part is not self, PARTS)
        taken = [path for part in earlier for path in part.paths]
        return ["-m", self.marks, *(f"--ignore={path}" for path in taken), *self.paths]

    def command(self, *arguments: str, report: str = FIRST) -> list[str]:
        """How pytest runs it. Caches are apart, since each run rewrites the list of what failed."""
        places = ("-o", f"cache_dir={self.cache}", f"--junit-xml={self.report(report)}")
        return [sys.executable, "-m", "pytest", *places, *arguments, *self.selection()]

    @property
    def cache(self) -> Path:
        return BUILD / f"cache-{self.name}"

    @property
    def log(self) -> Path:
        return BUILD / f"tests-{self.name}.log"

    def report(self, name: str) -> Path:
        return BUILD / f"{name}-{self.name}.xml"


def _named(pattern: str) -> tuple[str, ...]:
    return tuple(sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern)))


PARTS = (
    Part("apart", marks="not cluster"),
    Part("node", paths=("tests/e2e", "tests/cluster", "tests/image")),
    Part("faults", paths=(*_named("tests/autobackup/test_faults*.py"), "tests/election")),
    Part("operator", paths=("tests/autobackup", "tests/manifests")),
    Part("rest"),
)
