"""What a run will do, how long each part of it takes, and how many turns fit into the minutes there are.

A stage is what shares servers and objects; a part is one measure of it at one size. Stages run one after the other,
the largest size last, as it is known by then who can bear it. Within a stage every part takes its first turn, then
every part its second, so that what has to be broken off has all of its cells. The seconds are those of two cores with
nothing else to do; a run learns how much slower its machine is and says what is left accordingly. Short of time, turns
are given up, and never a cell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.compare.options import Options

LEAST = 3
"""Turns that a median needs."""

CACHES, CONTROLLERS, COUNTS = "caches", "controllers", "counts"


@dataclass(frozen=True, slots=True)
class Part:
    """`seconds` a turn of everybody takes; a turn in which only the quick take part, `quick`."""

    group: str
    size: int
    turns: int
    seconds: float
    quick: float = 0.0
    slow_turns: int = 0

    @property
    def name(self) -> str:
        return f"{self.group} {self.size}"

    def everybody(self, turn: int) -> bool:
        """Who is slow takes part in the last turns: what is compared with a goal is there before."""
        return turn >= self.turns - self.slow_turns

    def took(self, turn: int) -> float:
        """What this turn is expected to take."""
        return self.seconds if self.everybody(turn) or not self.slow_turns else self.quick

    def left(self, done: int) -> float:
        return sum(self.took(turn) for turn in range(done, self.turns))


@dataclass(frozen=True, slots=True)
class Stage:
    """`setup` is what its servers, objects and first configuration take; `size` is that of the fleet."""

    kind: str
    size: int
    setup: float
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        return f"{self.kind} {self.size}"

    def left(self, done: Mapping[str, int]) -> float:
        """Seconds that remain, none if nothing does."""
        seconds = sum(part.left(done.get(part.name, 0)) for part in self.parts)
        return self.setup + seconds if seconds else 0.0


def planned(options: Options) -> list[Stage]:
    """Everything that was asked for, with the turns that were asked for."""
    small = [size for size in options.sizes if not options.large(size)]
    stages = [_caches(options, size) for size in small]
    stages += [_controllers(options, size) for size in small]
    stages += [_counts(options)]
    stages += [_caches(options, size) for size in options.sizes if options.large(size)]
    chosen = [
        replace(stage, parts=tuple(part for part in stage.parts if _is_wanted(options, part))) for stage in stages
    ]
    return [stage for stage in chosen if stage.parts]


def _is_wanted(options: Options, part: Part) -> bool:
    """Where there are fewer objects than events, whoever reads on after a burst reads the collection, and no events."""
    return part.group in options.only and not (part.group == "events" and part.size < options.events)


def fitted(stages: Sequence[Stage], seconds: float, done: Mapping[str, int]) -> list[Stage]:
    """The same with as many turns as fit, and never fewer than a median needs; as the last resort, who is slow runs
    once: no goal is about them."""
    most = max((part.turns for stage in stages for part in stage.parts), default=0)
    for turns in range(most, min(most, LEAST) - 1, -1):
        fit = [_with_turns(stage, turns) for stage in stages]
        if sum(stage.left(done) for stage in fit) <= seconds:
            return fit
    return [_with_turns(stage, min(most, LEAST), slow=1) for stage in stages]


def _with_turns(stage: Stage, turns: int, slow: int = LEAST) -> Stage:
    parts = (replace(part, turns=min(part.turns, turns), slow_turns=min(part.slow_turns, slow)) for part in stage.parts)
    return replace(stage, parts=tuple(parts))


def described(stages: Sequence[Stage], done: Mapping[str, int], pace: float = 1.0) -> Iterator[str]:
    """For people, before it begins."""
    total = sum(stage.left(done) for stage in stages) * pace
    yield f"the plan, {total / 60:.0f} minutes on two quiet cores:"
    for stage in stages:
        if not stage.left(done):
            continue
        parts = [
            f"{part.group} {part.turns - done.get(part.name, 0)} x {part.seconds:.0f} s"
            for part in stage.parts
            if part.turns > done.get(part.name, 0)
        ]
        yield f"  {stage.left(done) * pace / 60:4.1f} min  {stage.name}: {', '.join(parts)}"


def expected(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """What a table has to show, measured or not."""
    return [{"group": part.group, "size": part.size} for stage in stages for part in stage.parts]


def _caches(options: Options, size: int) -> Stage:
    thousands, large = size / 1000, options.large(size)
    floors = _go(options, 0.4 + 0.17 * thousands)
    quick = 1.0 + 0.13 * thousands + _go(options, 0.6 + 0.14 * thousands)
    slow = _go(options, 0.3 + 0.7 * thousands) + _python(options, 4 + 2.6 * thousands)
    slow_turns = 1 if large else min(LEAST, options.turns)
    written = options.events / 1000
    burst = 1 + 1.1 * written + _go(options, 0.6 * written)
    all_burst = burst + quick + (0 if large else slow + _go(options, 0.6 * written) + _python(options, 2.2 * written))
    parts = (
        Part(
            "cold-sync",
            size,
            turns=min(LEAST, options.turns) if large else options.turns,
            seconds=floors + quick + slow + _memory(options),
            quick=floors + quick + _memory(options) / 2,
            slow_turns=slow_turns,
        ),
        Part(
            "events",
            size,
            turns=min(LEAST, options.turns),
            seconds=all_burst,
            quick=burst + quick,
            slow_turns=slow_turns,
        ),
        Part("footprint", size, turns=min(LEAST, options.turns), seconds=_sides(options) * (3 + 0.09 * thousands)),
    )
    return Stage(CACHES, size, setup=9 + 0.5 * thousands + 0.01 * min(1000, size / 10), parts=parts)


def _controllers(options: Options, size: int) -> Stage:
    thousands, sides = size / 1000, _sides(options)
    few = min(LEAST, options.turns)
    parts = (
        Part("restart", size, turns=options.turns, seconds=sides * (3 + 0.8 * thousands)),
        Part("latency", size, turns=options.turns, seconds=1 + sides * 0.06 * options.trials),
        Part("rollout", size, turns=few, seconds=sides * (3 + 4.5 * thousands)),
        Part("busy", size, turns=few, seconds=sides * (4 + 5 * thousands)),
        Part("recovery", size, turns=few, seconds=sides * (15 + 1.0 * thousands)),
    )
    configured = 1 if options.copied(size) else sides
    setup = sides * (12 + 1.5 * thousands) + configured * 12 * thousands
    return Stage(CONTROLLERS, size, setup=setup, parts=parts)


def _counts(options: Options) -> Stage:
    """Idle comes first, because the others happen while nothing happens there."""
    small = [size for size in options.sizes if not options.large(size)]
    besides = [
        Part("cost", options.trials, turns=1, seconds=15 + 0.2 * options.trials),
        *(Part("per-target", size, turns=1, seconds=20 + 3.0 * size / 1000) for size in small),
        Part("decoding", 1, turns=1, seconds=110),
    ]
    wanted = sum(part.seconds for part in besides if part.group in options.only)
    idle = Part("idle", options.idle_targets, turns=1, seconds=max(10.0, options.idle - wanted))
    return Stage(COUNTS, options.idle_targets, setup=25, parts=(idle, *besides))


def _go(options: Options, seconds: float) -> float:
    return seconds if "go" in options.peers else 0.0


def _python(options: Options, seconds: float) -> float:
    return seconds if "python" in options.peers else 0.0


def _memory(options: Options) -> float:
    return 0.8 * sum(1 for _ in _kinds(options.peers))


def _kinds(peers: Collection[str]) -> Iterable[str]:
    counted = {"ours": 2, "go": 4, "python": 3}
    return [kind for kind, number in counted.items() if kind in {"ours", *peers} for _ in range(number)]


def _sides(options: Options) -> int:
    return 2 if "go" in options.peers else 1
