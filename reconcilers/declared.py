"""`spec.variables` of a blueprint: the variables that annotations may fill, and where they may stand.

An annotation is written by an unknown author, so a variable that it fills may stand only where no value can do harm:
in the parameters of a task, and, if the blueprint says so, in the path of a location. There it stands for one whole
segment, so that no choice of value makes the locations of two targets meet; and it must have a pattern. It can never
name a bucket, a server, a Secret, a namespace, a task, or anything of the pod.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconcilers.annotations import VARIABLES_PREFIX
from reconcilers.errors import Refusal
from reconcilers.layers import Annotations, Wish
from reconcilers.pattern import Pattern, PatternError, compiled
from reconcilers.reasons import Reason
from reconcilers.template import Leaf, Path

MOST = 32
NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?", re.A)
_RESERVED = "TARGET_"
_MOST_TOLD = 4
_PATHS = ("prefix", "subPath")


@dataclass(frozen=True, slots=True)
class Declared:
    """A variable that a blueprint declares."""

    name: str
    default: str | None
    pattern: Pattern | None
    in_locations: bool
    written: str = ""
    """The pattern as the blueprint writes it."""

    @property
    def annotation(self) -> str:
        return VARIABLES_PREFIX + self.name


def declared_by(spec: Mapping[str, Any]) -> dict[str, Declared]:
    """The variables that a spec declares; raises Refusal for the first that cannot be used."""
    entries = spec.get("variables") or []
    if not isinstance(entries, list) or len(entries) > MOST:
        raise _wrong("", f"is not a list of at most {MOST} variables", hint="see the reference of BackupBlueprint")
    found: dict[str, Declared] = {}
    for entry in entries:
        variable = _declared(entry if isinstance(entry, Mapping) else {})
        if variable.name in found:
            raise _wrong(variable.name, "is declared twice", hint="declare it once")
        found[variable.name] = variable
    return found


def _declared(entry: Mapping[str, Any]) -> Declared:
    name = str(entry.get("name") or "")
    if not NAME.fullmatch(name) or name.startswith(_RESERVED):
        raise _wrong(name, "cannot be the name of a variable", hint=f"use letters, digits and '_', not {_RESERVED}…")
    written = str(entry.get("pattern") or "")
    try:
        pattern = compiled(written) if written else None
    except PatternError as error:
        raise _wrong(name, f"has a pattern that {error}", hint="see the reference of variables") from None
    default = entry.get("default")
    found = Declared(
        name, str(default) if default is not None else None, pattern, bool(entry.get("inLocations")), written
    )
    if found.in_locations and pattern is None:
        raise _wrong(name, "may stand in locations and has no pattern", hint="say which values it may have")
    if pattern is not None and found.default is not None and not pattern.matches(found.default):
        raise _wrong(name, "has a default that is not of its pattern", hint="make one fit the other")
    return found


def misplaced(template: Mapping[str, Any], variables: Mapping[str, Declared]) -> Iterator[Refusal]:
    """What is wrong with where a template uses the declared variables."""
    for path, leaf in _leaves(template):
        for position, part in enumerate(leaf.parts):
            if isinstance(part, str) or part.name not in variables:
                continue
            where = "spec." + ".".join(path)
            in_path = path[0] == "backend" and path[-1] in _PATHS
            if in_path and not variables[part.name].in_locations:
                yield Refusal(
                    Reason.INVALID_TEMPLATE,
                    where,
                    f"${{{part.name}}} comes from an annotation and is not declared for locations",
                    hint="set inLocations of the variable",
                )
            elif in_path and not _is_segment(leaf, position):
                yield Refusal(
                    Reason.INVALID_TEMPLATE,
                    where,
                    f"${{{part.name}}} comes from an annotation and must be a whole segment of a location",
                    hint=f"put a '/' on both sides of ${{{part.name}}}",
                )
            elif not in_path and not _is_parameter(path):
                yield Refusal(
                    Reason.INVALID_TEMPLATE,
                    where,
                    f"${{{part.name}}} comes from an annotation and must not stand here",
                    hint="use it in spec.task.params, or in the prefix or subPath of the backend",
                )


def values(variables: Mapping[str, Declared], wishes: Mapping[str, Wish]) -> dict[str, str]:
    """The values of the declared variables, from annotations or by default; raises Refusal."""
    found = {}
    for name, variable in variables.items():
        wish = wishes.get(name)
        if wish is None:
            if variable.default is not None:
                found[name] = variable.default
            continue
        if variable.pattern is not None and not (len(wish.value) <= 253 and variable.pattern.matches(wish.value)):
            raise Refusal(
                Reason.VARIABLE_REJECTED,
                wish.field,
                f"is not of the pattern {variable.written} that the blueprint demands",
                value=wish.value,
                hint="correct the annotation",
            )
        found[name] = wish.value
    return found


def undeclared(variables: Mapping[str, Declared], annotations: Annotations, *, blueprint: str) -> list[str]:
    """What is told about annotations of a target that fill no variable of the blueprint."""
    names = [key.removeprefix(VARIABLES_PREFIX) for key, _ in annotations if key.startswith(VARIABLES_PREFIX)]
    known = f"it declares {', '.join(variables)}" if variables else "it declares none"
    return [
        f"annotation {VARIABLES_PREFIX}{name[:63]} has no effect: blueprint {blueprint} has no such variable, {known}"
        for name in names
        if name not in variables
    ][:_MOST_TOLD]


def _is_parameter(path: Path) -> bool:
    return path[:2] == ("task", "params") and path[-1] == "value"


def _is_segment(leaf: Leaf, position: int) -> bool:
    before = leaf.parts[position - 1] if position else "/"
    after = leaf.parts[position + 1] if position + 1 < len(leaf.parts) else "/"
    return isinstance(before, str) and before.endswith("/") and isinstance(after, str) and after.startswith("/")


def _leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    if isinstance(tree, Leaf):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _leaves(value, (*path, str(index)))


def _wrong(name: str, problem: str, *, hint: str) -> Refusal:
    return Refusal(Reason.INVALID_TEMPLATE, "spec.variables" + (f" {name[:64]}" if name else ""), problem, hint=hint)
