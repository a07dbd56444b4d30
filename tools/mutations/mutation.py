"""A defect: what it is, how it would look in our code, and which tests are to notice it.

Contract: an edit replaces a text that occurs exactly once in its file. When the code has moved on so that it does not,
`Stale` says so: a mutation is mended together with the code that it is about, it does not fade away.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


class Stale(Exception):
    """The text that an edit replaces is not there, or not just once, or what comes out is no Python."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `old` by `new` in the file at `path`."""

    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        file = root / self.path
        text = file.read_text(encoding="utf-8")
        found = text.count(self.old)
        if found != 1:
            raise Stale(f"{self.path}: expected once and found {found} times:\n{self.old}")
        text = text.replace(self.old, self.new)
        try:
            ast.parse(text)
        except SyntaxError as error:
            raise Stale(f"{self.path}: no Python after the edit: {error}") from error
        file.write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Mutation:
    """`id` is that of the defect, with a letter when it takes several forms. No edits: the defect cannot be expressed
    in our design, and `tests` are what keeps the design so."""

    id: str
    defect: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    @property
    def structural(self) -> bool:
        return not self.edits


def mutation(identity: str, defect: str, *edits: tuple[str, str, str], tests: tuple[str, ...]) -> Mutation:
    """A shorter way to write one down."""
    return Mutation(identity, defect, tuple(Edit(*edit) for edit in edits), tests)
