"""`spec.overrides` of a blueprint: what may be overridden, and how far.

Nothing may be overridden that is not named here, but the schedule, which in Stash needs no permission. A bound that
cannot be understood makes the blueprint unusable: a slip in it must not open what it should close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconcilers import retention, runtime
from reconcilers.errors import Refusal
from reconcilers.quantity import amount, seconds
from reconcilers.reasons import Reason

GRACE_SECONDS = 72 * 3600
"""How long a shorter retention waits, unless the blueprint says otherwise."""

_FIELD = "spec.overrides"
_Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The least and the most that is allowed, as numbers and as the blueprint writes them; "" is no bound."""

    least: str
    most: str
    low: float | None
    high: float | None

    def problem(self, value: float) -> str:
        """Which bound a value breaks, "" for none."""
        if self.low is not None and value < self.low:
            return f"less than {self.least}"
        if self.high is not None and value > self.high:
            return f"more than {self.most}"
        return ""


@dataclass(frozen=True, slots=True)
class RetentionBounds:
    allow_shorter: bool = False
    least: Mapping[str, int] = field(default_factory=dict, hash=False)
    most: Mapping[str, int] = field(default_factory=dict, hash=False)
    policies: Mapping[str, _Spec] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class RuntimeBounds:
    resources: Mapping[str, Span] = field(default_factory=dict, hash=False)
    nice: Span | None = None
    ionice: tuple[str, ...] = ()
    priority_classes: tuple[str, ...] = ()
    profiles: Mapping[str, _Spec] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a blueprint permits; None and False are refused."""

    schedule: bool = True
    shortest_interval: Span | None = None
    retention: RetentionBounds | None = None
    grace: int = GRACE_SECONDS
    runtime: RuntimeBounds | None = None
    exclude: bool = False
    history: Span | None = None
    timeout: Span | None = None
    attempts: Span | None = None
    delay: Span | None = None
    paused: bool = False
    arguments: tuple[str, ...] = ()


def compile_bounds(overrides: Any) -> Bounds:
    """The bounds of a blueprint; raises Refusal for the first that cannot be understood."""
    spec = _record(overrides, "", known=_KNOWN)
    schedule = _record(spec.get("schedule"), "schedule", known=("allowed", "minInterval"))
    kept = _record(
        spec.get("retention"),
        "retention",
        known=("allowShorter", "minimum", "maximum", "gracePeriod", "policies"),
    )
    retry = _record(spec.get("retry"), "retry", known=("maxRetry", "minDelay"))
    return Bounds(
        schedule=_flag(schedule, "schedule", "allowed", default=True),
        shortest_interval=_duration_span(schedule, "schedule", "minInterval", ""),
        retention=_retention(kept) if "retention" in spec else None,
        grace=round(_seconds(kept["gracePeriod"], "retention.gracePeriod")) if "gracePeriod" in kept else GRACE_SECONDS,
        runtime=_runtime(spec["runtime"]) if "runtime" in spec else None,
        exclude=_flag(spec, "", "exclude"),
        history=_number_span(spec["backupHistoryLimit"], "backupHistoryLimit")
        if "backupHistoryLimit" in spec
        else None,
        timeout=_duration_span(_record(spec["timeOut"], "timeOut"), "timeOut", "min", "max")
        if "timeOut" in spec
        else None,
        attempts=_span("", str(_whole(retry, "retry", "maxRetry", default=0))) if "retry" in spec else None,
        delay=_duration_span(retry, "retry", "minDelay", ""),
        paused=_flag(spec, "", "paused"),
        arguments=_texts(spec, "", "backupArgs"),
    )


_KNOWN = (
    "schedule",
    "retention",
    "runtime",
    "exclude",
    "backupHistoryLimit",
    "timeOut",
    "retry",
    "paused",
    "backupArgs",
)


def _retention(spec: _Spec) -> RetentionBounds:
    where = "retention"
    listed = _named(spec, where, "policies")
    for name, policy in listed.items():
        if not retention.keeps_something(policy):
            raise _wrong(f"{where}.policies", "keeps nothing", value=name, hint="set one of its numbers")
    return RetentionBounds(
        allow_shorter=_flag(spec, where, "allowShorter"),
        least=_counts(spec, where, "minimum"),
        most=_counts(spec, where, "maximum"),
        policies=listed,
    )


def _counts(spec: _Spec, where: str, name: str) -> dict[str, int]:
    found = _record(spec.get(name), f"{where}.{name}", known=tuple(retention.FIELDS.values()))
    return {short: _whole(found, f"{where}.{name}", long) for short, long in retention.FIELDS.items() if long in found}


def _runtime(given: Any) -> RuntimeBounds:
    where = "runtime"
    spec = _record(given, where, known=("cpu", "memory", "nice", "ionice", "priorityClasses", "profiles"))
    resources = {}
    for name in ("cpu", "memory"):
        if name in spec:
            found = _record(spec[name], f"{where}.{name}", known=("min", "max"))
            low, high = (str(found.get(side, "")) for side in ("min", "max"))
            for text in filter(None, (low, high)):
                if amount(text) is None:
                    raise _wrong(f"{where}.{name}", "is not a quantity", value=text, hint="write it like 500m or 2Gi")
            resources[name] = _ordered(Span(low, high, amount(low), amount(high)), f"{where}.{name}")
    profiles = _named(spec, where, "profiles")
    for name, profile in profiles.items():
        _check_profile(name, profile)
    return RuntimeBounds(
        resources=resources,
        nice=_number_span(spec["nice"], f"{where}.nice") if "nice" in spec else None,
        ionice=_chosen(_texts(spec, where, "ionice"), runtime.IONICE, f"{where}.ionice"),
        priority_classes=_texts(spec, where, "priorityClasses"),
        profiles=profiles,
    )


PROFILE_FIELDS = {
    "pod": ("nodeSelector", "tolerations", "priorityClassName"),
    "container": ("resources", "nice", "ionice"),
}
"""What a profile may set: never who a pod is or what it may do."""


def _check_profile(name: str, profile: _Spec) -> None:
    where = f"runtime.profiles {name}"
    for part, known in PROFILE_FIELDS.items():
        _record(profile.get(part), f"{where}.{part}", known=known)
    resources = _record((profile.get("container") or {}).get("resources"), f"{where}.resources")
    for side in ("requests", "limits"):
        for value in _record(resources.get(side), f"{where}.resources.{side}").values():
            if amount(str(value)) is None:
                raise _wrong(where, "has a resource that is not a quantity", value=str(value), hint="write it like 2Gi")


def _named(spec: _Spec, where: str, name: str) -> dict[str, _Spec]:
    found: dict[str, _Spec] = {}
    for entry in _list(spec.get(name), f"{where}.{name}"):
        record = _record(entry, f"{where}.{name}")
        key = str(record.get("name") or "")
        if not retention.NAME.fullmatch(key) or key in found:
            raise _wrong(
                f"{where}.{name}",
                "is not a name, or is given twice",
                value=key,
                hint="use lower case letters, digits, '-' and '.'",
            )
        found[key] = record
    return found


def _record(value: Any, where: str, *, known: tuple[str, ...] = ()) -> _Spec:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(where, "is not a mapping", hint="see the reference of BackupBlueprint")
    strange = next((name for name in value if known and name not in known), None)
    if strange is not None:
        raise _wrong(where, "has an unknown field", value=str(strange), hint=f"there are {', '.join(known)}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is None or isinstance(value, list):
        return value or []
    raise _wrong(where, "is not a list", hint="see the reference of BackupBlueprint")


def _texts(spec: _Spec, where: str, name: str) -> tuple[str, ...]:
    found = _list(spec.get(name), f"{where}.{name}")
    if not all(isinstance(text, str) and text for text in found):
        raise _wrong(f"{where}.{name}", "is not a list of texts", hint="put quotes around each")
    return tuple(found)


def _chosen(found: tuple[str, ...], known: tuple[str, ...], where: str) -> tuple[str, ...]:
    for text in found:
        if text not in known:
            raise _wrong(where, "is not known", value=text, hint=f"there are {', '.join(known)}")
    return found


def _flag(spec: _Spec, where: str, name: str, *, default: bool = False) -> bool:
    value = spec.get(name, default)
    if isinstance(value, bool):
        return value
    raise _wrong(f"{where}.{name}", "is neither true nor false", value=str(value), hint="write true or false")


def _whole(spec: _Spec, where: str, name: str, *, default: int = 0) -> int:
    value = spec.get(name, default)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong(f"{where}.{name}", "is not a whole number", value=str(value), hint="write a number without quotes")


def _seconds(value: Any, where: str) -> float:
    found = seconds(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong(where, "is not a duration", value=str(value), hint="write it like 15m or 72h")
    return found


def _duration_span(spec: _Spec, where: str, least: str, most: str) -> Span | None:
    low, high = (str(spec[name]) if name and name in spec else "" for name in (least, most))
    if not low and not high:
        return None
    span = Span(
        low,
        high,
        _seconds(low, f"{where}.{least}") if low else None,
        _seconds(high, f"{where}.{most}") if high else None,
    )
    return _ordered(span, where)


def _number_span(value: Any, where: str) -> Span:
    spec = _record(value, where, known=("min", "max"))
    low, high = (str(_whole(spec, where, side)) if side in spec else "" for side in ("min", "max"))
    return _ordered(_span(low, high), where)


def _span(low: str, high: str) -> Span:
    return Span(low, high, int(low) if low else None, int(high) if high else None)


def _ordered(span: Span, where: str) -> Span:
    if span.low is not None and span.high is not None and span.low > span.high:
        raise _wrong(where, f"has a least of {span.least} and a most of {span.most}", hint="exchange them")
    return span


def _wrong(where: str, problem: str, *, hint: str, value: str | None = None) -> Refusal:
    return Refusal(
        Reason.INVALID_BLUEPRINT, f"{_FIELD}.{where.lstrip('.')}" if where else _FIELD, problem, value=value, hint=hint
    )
