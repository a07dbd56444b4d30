"""`${VARIABLE}` substitution in the string leaves of a parsed template.

The template is a tree, and so is the result: values are put into strings, never into text that is parsed again, so no
value can add a field, close a quote or start a second substitution. Each leaf is substituted once.

Grammar of a leaf: `${NAME}` is the value; `${NAME:-default}` is the default when NAME has no value; `$${` stands for a
literal `${`; a `$` before anything else stands for itself. An unclosed `${`, an operator that is not `:-` and a
variable within a default are errors of the template's author, reported before any target is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconcilers.errors import show

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Path = tuple[str, ...]
Substitute = Callable[[Path, "Reference"], str]


class TemplateError(ValueError):
    """A leaf that is not a template: what is wrong and at which character, and where the leaf is."""

    def __init__(self, problem: str, path: Path = ()) -> None:
        self.problem = problem
        self.path = path
        super().__init__(f"{'.'.join(path)}: {problem}" if path else problem)


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${...}` of a leaf."""

    name: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A parsed string: literals and references in order."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(part for part in self.parts if isinstance(part, Reference))

    @property
    def literal(self) -> str | None:
        """The text of a leaf without references, None otherwise."""
        return None if self.references else "".join(str(part) for part in self.parts)


def parse(text: str) -> Leaf:
    """Split a string into literals and references; raises TemplateError."""
    parts: list[str | Reference] = []
    literal: list[str] = []
    at = 0
    while at < len(text):
        opening = text.find("${", at)
        if opening < 0:
            literal.append(text[at:])
            break
        if opening > at and text[opening - 1] == "$":
            literal.append(text[at : opening - 1] + "${")
            at = opening + 2
            continue
        literal.append(text[at:opening])
        closing = text.find("}", opening)
        if closing < 0:
            raise TemplateError(f"'${{' at character {opening + 1} is never closed")
        if "".join(literal):
            parts.append("".join(literal))
        literal.clear()
        parts.append(_reference(text[opening + 2 : closing], opening + 1))
        at = closing + 1
    if "".join(literal):
        parts.append("".join(literal))
    return Leaf(tuple(parts))


def _reference(inside: str, position: int) -> Reference:
    match = _NAME.match(inside)
    name = match.group() if match else ""
    rest = inside[len(name) :]
    written = f"{show('${' + inside + '}')} at character {position}"
    if not name:
        raise TemplateError(f"{written} names no variable")
    if not rest:
        return Reference(name)
    if not rest.startswith(":-"):
        raise TemplateError(f"{written}: only ${{NAME}} and ${{NAME:-default}} are understood")
    if "${" in rest:
        raise TemplateError(f"{written}: a default is plain text and cannot hold another variable")
    return Reference(name, rest[2:])


def compile_tree(tree: Any, *, verbatim: Callable[[Path], bool], path: Path = ()) -> Any:
    """The tree with each string leaf parsed; subtrees for which `verbatim` holds are left as they are.

    Raises TemplateError with the path of the leaf.
    """
    if verbatim(path):
        return tree
    if isinstance(tree, Mapping):
        return {k: compile_tree(v, verbatim=verbatim, path=(*path, str(k))) for k, v in tree.items()}
    if isinstance(tree, list):
        return [compile_tree(v, verbatim=verbatim, path=(*path, str(i))) for i, v in enumerate(tree)]
    if isinstance(tree, str):
        try:
            leaf = parse(tree)
        except TemplateError as error:
            raise TemplateError(error.problem, path) from None
        return leaf if leaf.references else (leaf.literal or "")
    return tree


def references(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Reference]]:
    """Every reference of a compiled tree with the path of its leaf."""
    if isinstance(tree, Leaf):
        for reference in tree.references:
            yield path, reference
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from references(value, (*path, str(key)))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from references(value, (*path, str(index)))


def render(tree: Any, substitute: Substitute, path: Path = ()) -> Any:
    """A new tree of the same shape with every reference replaced by what `substitute` returns for it."""
    # Most leaves are plain text; what `compile_tree` made consists of exactly these types.
    if isinstance(tree, str):
        return tree
    if isinstance(tree, dict):
        return {key: render(value, substitute, (*path, str(key))) for key, value in tree.items()}
    if isinstance(tree, Leaf):
        return "".join(part if isinstance(part, str) else substitute(path, part) for part in tree.parts)
    if isinstance(tree, list):
        return [render(value, substitute, (*path, str(index))) for index, value in enumerate(tree)]
    return tree
