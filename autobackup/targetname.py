"""How a user names a target: kind/name, as kubectl takes it and as `kubectl get -o name` prints it.

Contract: any case of the kind, its plural or its short name, alone or with its group or version and group
(`deployment.apps/shop`, `deployments.v1.apps/shop`). What cannot be read is a `UsageError` that names the nearest kind.
"""

from __future__ import annotations

import difflib
from typing import Final

from autobackup.exits import UsageError
from informers.resource import Resource
from reconcilers.kinds import REPOSITORY, TARGETS

_RESOURCES: Final = {**{kind: known.resource for kind, known in TARGETS.items()}, REPOSITORY.kind: REPOSITORY}
_SHORT: Final = {**{kind: known.short for kind, known in TARGETS.items()}, REPOSITORY.kind: "repo"}


def read(text: str, *, repositories: bool = False) -> tuple[str, str]:
    """Kind and name of what the user wrote; with `repositories`, a Repository may be named as well."""
    kinds = [*TARGETS, *([REPOSITORY.kind] if repositories else [])]
    aliases = {alias: kind for kind in kinds for alias in _aliases(kind)}
    word, slash, name = text.partition("/")
    kind = aliases.get(word.lower())
    if kind and name and "/" not in name:
        return kind, name
    if kind is None:
        near = difflib.get_close_matches(word.lower(), aliases, n=1)
        way_out = f"did you mean {near[0]}/{name or 'name'}?" if slash and near else f"kinds are {_listed(kinds)}"
    else:
        way_out = f"for example {word}/shop"
    raise UsageError(f"{text[:80]!r} is no target; write kind/name: {way_out}")


def kind_of(word: str) -> str:
    """The kind of a target that a word means; the word itself, if it means none."""
    return next((kind for kind in TARGETS if word.lower() in _aliases(kind)), word)


def _aliases(kind: str) -> list[str]:
    resource: Resource = _RESOURCES[kind]
    words = (kind.lower(), resource.plural, _SHORT[kind])
    groups = ("", f".{resource.group}", f".{resource.version}.{resource.group}") if resource.group else ("",)
    return [word + group for word in words for group in groups]


def _listed(kinds: list[str]) -> str:
    return ", ".join(kind.lower() for kind in kinds)
