"""The weakest layer: what the operator's configuration gives where a blueprint says nothing.

Defaults are written in the grammars of the annotations, by whoever runs the operator, so they need no permission and
have no bounds. They fill what is empty and replace nothing: a resource of which a blueprint sets the request or the
limit is left alone as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconcilers import overridable as o
from reconcilers import schedule as schedules
from reconcilers import slots
from reconcilers.annotations import PREFIX, SCHEDULE
from reconcilers.errors import Refusal
from reconcilers.grammar import Malformed
from reconcilers.layers import Layer
from reconcilers.runtime import RuntimeRequest

NAMES = tuple(key.removeprefix(PREFIX) for key in (SCHEDULE, o.RUNTIME, o.HISTORY, o.TIMEOUT, o.RETRY))
"""The annotations that a default may stand for, without their prefix."""

_CONTAINER = "runtimeSettings", "container"


@dataclass(frozen=True, slots=True)
class Default:
    """A default: the annotation that it stands for, and its value as read."""

    key: str
    value: Any


def parse(texts: Iterable[str]) -> tuple[Default, ...]:
    """Defaults written as `name=value`; raises Malformed."""
    found: dict[str, Default] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if name not in NAMES or not equals or name in found:
            raise Malformed(f"{text[:80]!r} is no default, or is there twice", hint=f"names are {', '.join(NAMES)}")
        key = PREFIX + name
        read = o.OVERRIDABLE[key].parse(_schedule(value) if key == SCHEDULE else value)
        if isinstance(read, RuntimeRequest) and (read.profile or read.priority_class):
            raise Malformed(
                f"{text[:80]!r} names what only a blueprint can list", hint="set memory, cpu, nice or ionice"
            )
        found[name] = Default(key, read)
    return tuple(found.values())


def _schedule(text: str) -> str:
    try:
        return schedules.check(text, field=SCHEDULE)
    except Refusal as refusal:
        raise Malformed(str(refusal), hint="write five cron fields") from None


def fill(settings: dict[str, Any], defaults: Iterable[Default], *, identity: str) -> dict[str, Layer]:
    """Put each default where `settings` have nothing; returns the fields that were filled."""
    filled: list[str] = []
    for default in defaults:
        match default.value:
            case RuntimeRequest() as wanted:
                filled += _runtime(settings, wanted)
            case o.Retry() as wanted if "retryConfig" not in settings:
                settings["retryConfig"] = {"maxRetry": wanted.most, **({"delay": wanted.delay} if wanted.delay else {})}
                filled += [f"retryConfig.{name}" for name in settings["retryConfig"]]
            case value if (field := o.OVERRIDABLE[default.key].sets) not in settings:
                settings[field] = slots.fill(value, identity) if default.key == SCHEDULE else value
                filled.append(field)
    return dict.fromkeys(filled, Layer.OPERATOR)


def _runtime(settings: dict[str, Any], wanted: RuntimeRequest) -> list[str]:
    runtime = _copied(settings, _CONTAINER[0])
    container = _copied(runtime, _CONTAINER[1])
    resources = _copied(container, "resources")
    filled = []
    for name, range_ in wanted.resources.items():
        sides = {"requests": range_.request, "limits": range_.limit}
        if any(name in (resources.get(side) or {}) for side in sides):
            continue
        for side, value in sides.items():
            if value is not None:
                resources[side] = {**(resources.get(side) or {}), name: value}
                filled.append(".".join((*_CONTAINER, "resources", side, name)))
    if resources:
        container["resources"] = resources
    if wanted.nice is not None and "nice" not in container:
        container["nice"] = {"adjustment": wanted.nice}
        filled.append(".".join((*_CONTAINER, "nice")))
    if wanted.ionice is not None and "ionice" not in container:
        kind, level = wanted.ionice
        container["ionice"] = {"class": kind, **({} if level is None else {"classData": level})}
        filled.append(".".join((*_CONTAINER, "ionice")))
    if filled:
        settings[_CONTAINER[0]] = {**runtime, _CONTAINER[1]: container}
    return filled


def _copied(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = holder.get(name)
    return dict(found) if isinstance(found, dict) else {}
