"""What a run has so far, in one file that is written anew after each turn: it can be continued, shown, published.

A turn counts when it has ended. Of a part that failed all is forgotten before it is tried again, so that the samples
of two contestants always come from the same turns.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.compare.cells import Cells
from bench.compare.gaps import Gap, Gaps
from bench.compare.measures import MEASURES
from bench.compare.plan import Part
from bench.contender import ROOT
from bench.peers import versions

_MEASURED = (".", ":!docs", ":!bench/compare/published.json")
"""Publishing changes the others."""
_SERVERS = ("kube-apiserver", "etcd")


class AnotherCommit(Exception):
    """The file is of another state of the code: one table is of one."""


class Ledger:
    """Cells and gaps, the turns that are done, how long they took, and how busy others kept the machine meanwhile."""

    def __init__(self, path: Path, document: Mapping[str, Any] | None = None) -> None:
        found = document or {}
        self._path = path
        self._commit = found.get("commit", commit())
        self._began = found.get("began", _now())
        self._others = {name: (taken["others"], taken["seconds"]) for name, taken in found.get("parts", {}).items()}
        self.turns = {name: taken["turns"] for name, taken in found.get("parts", {}).items()}
        self.cells = Cells.of_json(found.get("cells", []))
        self.gaps = Gaps.of_json(found.get("gaps", []))
        self.expected: Sequence[Mapping[str, Any]] = found.get("expected", [])
        self.servers: dict[str, str] = {
            name: version for name, version in found.get("machine", {}).items() if name in _SERVERS
        }

    @classmethod
    def opened(cls, path: Path, *, resume: bool) -> Ledger:
        """A new one, or the one that is there; that one must be of the code as it is now."""
        if not resume or not path.exists():
            return cls(path)
        document = json.loads(path.read_text())
        if document["commit"] != commit():
            raise AnotherCommit(f"{path} was measured at {document['commit']}, and this is {commit()}: begin a new run")
        return cls(path, document)

    def begin(self, part: Part) -> None:
        """Before a part goes on; what failed in it begins again."""
        if not self.gaps.failed(part.group, part.size):
            return
        self.gaps.forget(part.group, part.size)
        self.cells.forget({measure.name for measure in MEASURES.values() if measure.group == part.group}, part.size)
        self.turns.pop(part.name, None)
        self._others.pop(part.name, None)

    def ended(self, part: Part, *, seconds: float, others: float) -> None:
        """One more turn of it; `others` is the share of the machine that was not ours."""
        self.turns[part.name] = self.turns.get(part.name, 0) + 1
        share, before = self._others.get(part.name, (0.0, 0.0))
        both = before + seconds
        self._others[part.name] = ((share * before + min(1.0, others) * seconds) / both if both else 0.0, both)

    def missed(self, part: Part, why: str, contestant: str = "", *, failed: bool = True) -> None:
        self.gaps.add(Gap(part.group, part.size, contestant, why, failed))

    def as_json(self) -> dict[str, Any]:
        described = machine.describe(self.servers)
        del described["cpu"]  # results are published: cores and memory say enough
        parts = {
            name: {"turns": self.turns.get(name, 0), "seconds": round(seconds, 1), "others": round(share, 3)}
            for name, (share, seconds) in self._others.items()
        }
        return {
            "commit": self._commit,
            "began": self._began,
            "ended": _now(),
            "machine": described | versions(),
            "parts": parts,
            "expected": list(self.expected),
            "gaps": self.gaps.as_json(),
            "cells": self.cells.as_json(),
        }

    def save(self) -> None:
        """All of it or the one before: never half of it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self.as_json(), indent=1) + "\n")
        os.replace(fresh, self._path)


def commit() -> str:
    """Of the code that is measured, and whether it was changed since."""
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *_MEASURED)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{found} with changes" if changed else found


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
