"""The annotation `runtime-settings`: how much memory and processor a backup may use, and how politely it runs.

Everything here is a number within bounds, or a name that the blueprint lists. What decides who a pod is or what it may
do (its ServiceAccount, its security context, its volumes, its commands) has no word in this grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconcilers.grammar import Malformed, split
from reconcilers.quantity import GRAMMARS, amount

IONICE = ("none", "real-time", "best-effort", "idle")
"""Scheduling classes by their numbers."""
EXAMPLE = "memory=256Mi..1Gi,cpu=100m..1,nice=10,ionice=idle"
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.A)
_NICE = re.compile(r"-?[0-9]{1,2}", re.A)
_CLASS = re.compile(r"([a-z-]+|[0-3])(?::([0-7]))?", re.A)
_CLASS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.A)


@dataclass(frozen=True, slots=True)
class Range:
    """What is reserved and what is the most of a resource; None stays as it is."""

    request: str | None
    limit: str | None

    @property
    def canonical(self) -> str:
        return str(self.limit) if self.request == self.limit else f"{self.request or ''}..{self.limit or ''}"


@dataclass(frozen=True, slots=True)
class RuntimeRequest:
    """What an annotation asks for; None and "" are left as they are."""

    profile: str = ""
    resources: Mapping[str, Range] = field(default_factory=dict, hash=False)
    nice: int | None = None
    ionice: tuple[int, int | None] | None = None
    priority_class: str = ""

    @property
    def canonical(self) -> str:
        found = [self.profile] if self.profile else []
        found += [f"{name}={self.resources[name].canonical}" for name in sorted(self.resources)]
        if self.nice is not None:
            found.append(f"nice={self.nice}")
        if self.ionice is not None:
            kind, level = self.ionice
            found.append(f"ionice={IONICE[kind]}" + (f":{level}" if level is not None else ""))
        if self.priority_class:
            found.append(f"priority-class={self.priority_class}")
        return ",".join(found)


def parse(text: str) -> RuntimeRequest:
    """Read the annotation; raises Malformed."""
    said: dict[str, str] = {}
    for item in split(text):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            name, value = "profile", item
        if name in said:
            raise Malformed(f"says {name} twice", hint="say it once")
        if name not in ("profile", *GRAMMARS, "nice", "ionice", "priority-class"):
            raise Malformed(
                f"has {item[:80]!r}; there are a profile's name, memory, cpu, nice, ionice and priority-class",
                hint=f"write {EXAMPLE}, or name a profile of the blueprint",
            )
        said[name] = value
    if "profile" in said and not NAME.fullmatch(said["profile"]):
        raise Malformed(f"has {said['profile'][:80]!r}, which is no profile's name", hint=f"write {EXAMPLE}")
    priority = said.get("priority-class", "")
    if "priority-class" in said and not _CLASS_NAME.fullmatch(priority):
        raise Malformed(
            f"has the priority class {priority[:80]!r}", hint="name a PriorityClass that the blueprint lists"
        )
    return RuntimeRequest(
        profile=said.get("profile", ""),
        resources={name: _range(name, said[name]) for name in GRAMMARS if name in said},
        nice=_nice(said["nice"]) if "nice" in said else None,
        ionice=_ionice(said["ionice"]) if "ionice" in said else None,
        priority_class=priority,
    )


def _range(name: str, text: str) -> Range:
    lower, dots, upper = (part.strip() for part in text.partition(".."))
    if not dots:
        upper = lower
    grammar, words = GRAMMARS[name]
    for part in (lower, upper):
        if part and not (grammar.fullmatch(part) and amount(part)):
            raise Malformed(f"has {name}={text[:80]!r}; {name} is {words}", hint=f"write {EXAMPLE}")
    if not lower and not upper:
        raise Malformed(f"has {name} without a value", hint=f"write {EXAMPLE}")
    if lower and upper and _amount(lower) > _amount(upper):
        raise Malformed(f"has {name}={text[:80]}, which reserves more than it allows", hint="write the smaller first")
    return Range(lower or None, upper or None)


def _amount(text: str) -> Any:
    return amount(text) or 0


def _nice(text: str) -> int:
    if not _NICE.fullmatch(text) or not -20 <= int(text) <= 19:
        raise Malformed(f"has nice={text[:80]!r}", hint="niceness goes from -20 (first) to 19 (last)")
    return int(text)


def _ionice(text: str) -> tuple[int, int | None]:
    found = _CLASS.fullmatch(text)
    kind = found[1] if found else ""
    if kind not in (*IONICE, "0", "1", "2", "3"):
        raise Malformed(f"has ionice={text[:80]!r}", hint="write idle, or best-effort:LEVEL with a level from 0 to 7")
    number = int(kind) if kind.isdigit() else IONICE.index(kind)
    level = int(found[2]) if found and found[2] else None
    if level is not None and IONICE[number] in ("none", "idle"):
        raise Malformed(f"has ionice={text[:80]!r}; {IONICE[number]} has no levels", hint=f"write {IONICE[number]}")
    return number, level
