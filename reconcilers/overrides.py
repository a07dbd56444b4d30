"""Applying what annotations ask for to the settings of a BackupConfiguration, within the bounds of the blueprint.

Each override is a function from the settings so far and a typed request to the settings that replace them; none can
reach a field that it is not about. What is not permitted, or goes too far, is refused: never cut to what would do,
because somebody who asked for thirty days and silently got seven finds out on the day of the disaster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconcilers import overridable as o
from reconcilers import retention, slots
from reconcilers import schedule as schedules
from reconcilers.annotations import SCHEDULE
from reconcilers.bounds import Bounds, RetentionBounds, RuntimeBounds, Span
from reconcilers.errors import Refusal, clip
from reconcilers.grammar import Malformed
from reconcilers.interval import shortest_interval
from reconcilers.kinds import TARGETS
from reconcilers.layers import Layer, Wish
from reconcilers.quantity import amount, seconds, spell
from reconcilers.reasons import Reason
from reconcilers.retention import RetentionRequest
from reconcilers.runtime import IONICE, RuntimeRequest

_Settings = dict[str, Any]
_MOST_NAMED = 8


@dataclass(slots=True)
class _Bench:
    """One override being applied: the wish, what permits it, and the settings so far."""

    wish: Wish
    bounds: Bounds
    blueprint: str
    settings: _Settings
    identity: str
    changed: list[str] = field(default_factory=list)
    _mine: set[int] = field(default_factory=set)

    def put(self, value: Any, *path: str) -> None:
        """Set one field; the maps on the way are copied once, because they may be shared."""
        at: _Settings = self.settings
        for name in path[:-1]:
            inner: Any = at.get(name)
            if id(inner) not in self._mine:
                at[name] = inner = dict(inner) if isinstance(inner, dict) else {}
                self._mine.add(id(inner))
            at = inner
        at[path[-1]] = value
        self.changed.append(".".join(path))

    def get(self, *path: str) -> Any:
        at: Any = self.settings
        for name in path:
            at = at.get(name) if isinstance(at, dict) else None
        return at

    def not_permitted(self, what: str, permission: str, *, instead: Sequence[str] = ()) -> Refusal:
        listed = ", ".join(instead[:_MOST_NAMED]) + (", …" if len(instead) > _MOST_NAMED else "")
        return Refusal(
            Reason.OVERRIDE_NOT_PERMITTED,
            self.wish.field,
            f"blueprint {self.blueprint} does not permit {what}"
            + (f"; it lists {listed}" if instead else f" (spec.overrides.{permission})"),
            value=self.wish.value,
            hint="remove the annotation, or ask who keeps the blueprint",
        )

    def out_of_bounds(self, what: str, bound: str, permission: str) -> Refusal:
        return Refusal(
            Reason.OVERRIDE_OUT_OF_BOUNDS,
            self.wish.field,
            f"{what}, {bound} (blueprint {self.blueprint}, spec.overrides.{permission})",
            value=self.wish.value,
            hint="stay within the bound; what was applied before stays in force",
        )


def override(
    settings: _Settings,
    wishes: Mapping[str, Wish],
    *,
    bounds: Bounds,
    blueprint: str,
    kind: str,
    identity: str,
) -> dict[str, Layer]:
    """Apply every wish to `settings`; returns the layer of each field that was changed. Raises Refusal.

    `identity` is what a slot of a schedule is chosen by.
    """
    origins: dict[str, Layer] = {}
    for key, apply in _APPLY.items():
        wish = wishes.get(key)
        if wish is None or TARGETS[kind].family not in o.OVERRIDABLE[key].description.families:
            continue
        bench = _Bench(wish, bounds, blueprint, settings, identity)
        try:
            request = o.OVERRIDABLE[key].parse(wish.value)
        except Malformed as error:
            raise Refusal(
                Reason.INVALID_ANNOTATION, wish.field, error.problem, value=wish.value, hint=error.hint
            ) from None
        apply(bench, request)
        origins.update(dict.fromkeys(bench.changed, wish.layer))
    return origins


def _schedule(bench: _Bench, text: str) -> None:
    if not bench.bounds.schedule:
        raise bench.not_permitted("a schedule of its own", "schedule.allowed")
    filled = slots.fill(schedules.check(text, field=bench.wish.field), bench.identity)
    bound = bench.bounds.shortest_interval
    if bound is not None:
        found = shortest_interval(filled)
        if bound.problem(found):
            raise bench.out_of_bounds(
                f"runs every {spell(found)} at times",
                f"and the shortest interval is {bound.least}",
                "schedule.minInterval",
            )
    bench.put(filled, "schedule")


def _retention(bench: _Bench, request: RetentionRequest) -> None:
    bounds = bench.bounds.retention
    if bounds is None:
        raise bench.not_permitted("a retention of its own", "retention")
    before = bench.get("retentionPolicy") or {}
    if request.policy:
        listed = bounds.policies.get(request.policy)
        if listed is None:
            what = f"the policy {request.policy[:80]}"
            if request.policy in retention.COUNTS:
                what += f" (a number to keep is written {request.policy}=7)"
            raise bench.not_permitted(what, "retention.policies", instead=tuple(bounds.policies))
        bench.settings["retentionPolicy"] = dict(listed)
        bench.changed.append("retentionPolicy")
        return
    merged = retention.merge(request, before)
    _check_retention(bench, request, bounds, before=before, merged=merged)
    bench.settings["retentionPolicy"] = merged
    bench.changed += [f"retentionPolicy.{retention.FIELDS[name]}" for name, _ in request.counts]
    bench.changed += [f"retentionPolicy.{retention.TAGS}"] if request.tags else []


def _check_retention(
    bench: _Bench,
    request: RetentionRequest,
    bounds: RetentionBounds,
    *,
    before: Mapping[str, Any],
    merged: Mapping[str, Any],
) -> None:
    if not retention.keeps_something(merged):
        raise bench.out_of_bounds("keeps nothing", "and every snapshot would be removed", "retention")
    for name, number in request.counts:
        least, most = bounds.least.get(name), bounds.most.get(name)
        if least is not None and number < least:
            raise bench.out_of_bounds(
                f"keeps {name}={number}", f"and the least is {least}", f"retention.minimum.{retention.FIELDS[name]}"
            )
        if most is not None and number > most:
            raise bench.out_of_bounds(
                f"keeps {name}={number}", f"and the most is {most}", f"retention.maximum.{retention.FIELDS[name]}"
            )
    lacking = "" if bounds.allow_shorter else retention.lacking(merged, before)
    if lacking:
        raise bench.out_of_bounds(
            f"keeps {lacking} of the blueprint", "and retention may only be lengthened", "retention.allowShorter"
        )


def _runtime(bench: _Bench, request: RuntimeRequest) -> None:
    bounds = bench.bounds.runtime
    if bounds is None:
        raise bench.not_permitted("runtime settings of its own", "runtime")
    if request.profile:
        _profile(bench, request.profile, bounds)
    for name, wanted in request.resources.items():
        span = bounds.resources.get(name)
        if span is None:
            raise bench.not_permitted(f"to set {name}", f"runtime.{name}")
        for side, text in (("requests", wanted.request), ("limits", wanted.limit)):
            if text is not None:
                _require(bench, span, amount(text) or 0, f"{name} of {text}", f"runtime.{name}")
                bench.put(text, "runtimeSettings", "container", "resources", side, name)
        _check_request(bench, name)
    if request.nice is not None:
        if bounds.nice is None:
            raise bench.not_permitted("to set nice", "runtime.nice")
        _require(bench, bounds.nice, request.nice, f"nice={request.nice}", "runtime.nice")
        bench.put({"adjustment": request.nice}, "runtimeSettings", "container", "nice")
    if request.ionice is not None:
        kind, level = request.ionice
        if IONICE[kind] not in bounds.ionice:
            raise bench.not_permitted(f"ionice={IONICE[kind]}", "runtime.ionice", instead=bounds.ionice)
        chosen = {"class": kind, **({} if level is None else {"classData": level})}
        bench.put(chosen, "runtimeSettings", "container", "ionice")
    if request.priority_class:
        if request.priority_class not in bounds.priority_classes:
            raise bench.not_permitted(
                f"priority-class={request.priority_class[:80]}",
                "runtime.priorityClasses",
                instead=bounds.priority_classes,
            )
        _set_priority(bench, request.priority_class)


def _profile(bench: _Bench, name: str, bounds: RuntimeBounds) -> None:
    profile = bounds.profiles.get(name)
    if profile is None:
        raise bench.not_permitted(f"the profile {name[:80]}", "runtime.profiles", instead=tuple(bounds.profiles))
    pod, container = profile.get("pod") or {}, profile.get("container") or {}
    for part in ("nodeSelector", "tolerations"):
        if part in pod:
            bench.put(pod[part], "runtimeSettings", "pod", part)
    if pod.get("priorityClassName"):
        _set_priority(bench, pod["priorityClassName"])
    for side in ("requests", "limits"):
        for resource, value in ((container.get("resources") or {}).get(side) or {}).items():
            bench.put(value, "runtimeSettings", "container", "resources", side, resource)
    for part in ("nice", "ionice"):
        if part in container:
            bench.put(container[part], "runtimeSettings", "container", part)
    for resource in (container.get("resources") or {}).get("requests") or {}:
        _check_request(bench, resource)


def _set_priority(bench: _Bench, name: str) -> None:
    """A number beside the class would be that of another class, and the pod would be refused."""
    bench.put(name, "runtimeSettings", "pod", "priorityClassName")
    bench.settings["runtimeSettings"]["pod"].pop("priority", None)


def _check_request(bench: _Bench, name: str) -> None:
    """What is reserved must not be more than what is allowed, wherever each of the two comes from."""
    resources = "runtimeSettings", "container", "resources"
    request, limit = (bench.get(*resources, side, name) for side in ("requests", "limits"))
    reserved, allowed = amount(str(request)), amount(str(limit))
    if reserved is not None and allowed is not None and reserved > allowed:
        raise Refusal(
            Reason.OVERRIDE_OUT_OF_BOUNDS,
            bench.wish.field,
            f"{name} would have a request of {request} and a limit of {limit}, with what blueprint {bench.blueprint} "
            "says",
            value=bench.wish.value,
            hint=f"give both, as {name}=REQUEST..LIMIT",
        )


def _require(bench: _Bench, span: Span, value: Any, what: str, permission: str) -> None:
    broken = span.problem(value)
    if broken:
        raise bench.out_of_bounds(f"asks for {what}", f"which is {broken}", permission)


def _exclude(bench: _Bench, patterns: tuple[str, ...]) -> None:
    if not bench.bounds.exclude:
        raise bench.not_permitted("to leave files out", "exclude")
    bench.put(list(patterns), "target", "exclude")


def _history(bench: _Bench, number: int) -> None:
    if bench.bounds.history is None:
        raise bench.not_permitted("a history limit of its own", "backupHistoryLimit")
    _require(bench, bench.bounds.history, number, f"{number} BackupSessions", "backupHistoryLimit")
    bench.put(number, "backupHistoryLimit")


def _timeout(bench: _Bench, text: str) -> None:
    if bench.bounds.timeout is None:
        raise bench.not_permitted("a time limit of its own", "timeOut")
    _require(bench, bench.bounds.timeout, seconds(text) or 0, text, "timeOut")
    bench.put(text, "timeOut")


def _retry(bench: _Bench, request: o.Retry) -> None:
    if bench.bounds.attempts is None:
        raise bench.not_permitted("retries of its own", "retry")
    _require(bench, bench.bounds.attempts, request.most, f"{request.most} retries", "retry.maxRetry")
    if request.delay is not None:
        if bench.bounds.delay is not None:
            _require(bench, bench.bounds.delay, seconds(request.delay) or 0, f"delay={request.delay}", "retry.minDelay")
        bench.put(request.delay, "retryConfig", "delay")
    bench.put(request.most, "retryConfig", "maxRetry")


def _paused(bench: _Bench, paused: bool) -> None:
    if not bench.bounds.paused:
        raise bench.not_permitted("to pause backups", "paused")
    bench.put(paused, "paused")


def _arguments(bench: _Bench, wanted: tuple[str, ...]) -> None:
    listed = bench.bounds.arguments
    if not listed:
        raise bench.not_permitted("arguments for restic", "backupArgs")
    for argument in wanted:
        if argument not in listed:
            shown = tuple(clip(each, 80) for each in listed)
            raise bench.not_permitted(f"the argument {clip(argument, 80)!r}", "backupArgs", instead=shown)
    bench.put(list(wanted), "target", "args")


_APPLY: dict[str, Callable[[_Bench, Any], None]] = {
    SCHEDULE: _schedule,
    o.RETENTION: _retention,
    o.RUNTIME: _runtime,
    o.EXCLUDE: _exclude,
    o.HISTORY: _history,
    o.TIMEOUT: _timeout,
    o.RETRY: _retry,
    o.PAUSED: _paused,
    o.ARGUMENTS: _arguments,
}
