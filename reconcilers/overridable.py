"""What a target, or the namespace it is in, may ask to have otherwise than the blueprint says: the registry.

Each entry is one annotation: where it may stand, its grammar in words, the field of `spec.overrides` that permits it,
and the pure parser that reads it. The reference page and the JSON Schema are made from this table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconcilers import retention, runtime
from reconcilers.annotations import PREFIX, SCHEDULE, Description
from reconcilers.grammar import Malformed, check_text, listed, number, split, truth
from reconcilers.kinds import Family
from reconcilers.quantity import seconds

RETENTION = PREFIX + "retention-policy"
RUNTIME = PREFIX + "runtime-settings"
EXCLUDE = PREFIX + "exclude"
HISTORY = PREFIX + "backup-history-limit"
TIMEOUT = PREFIX + "timeout"
RETRY = PREFIX + "retry"
PAUSED = PREFIX + "paused"
ARGUMENTS = PREFIX + "backup-args"

_LONGEST_PATTERN = 1024
_LONGEST_ARGUMENT = 1024
_ALL = frozenset(Family)
_FILES = frozenset({Family.WORKLOAD, Family.VOLUME})
_ATTEMPTS = re.compile(r"[0-9]{1,4}", re.A)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed backup is tried again, and after which time; None leaves the time as it is."""

    most: int
    delay: str | None = None

    @property
    def canonical(self) -> str:
        return f"{self.most}" + (f",delay={self.delay}" if self.delay is not None else "")


def exclusions(text: str) -> tuple[str, ...]:
    """Patterns of files to leave out; raises Malformed."""
    patterns = _listed(text)
    for pattern in patterns:
        if len(pattern) > _LONGEST_PATTERN or pattern.startswith("-"):
            raise Malformed(
                f"has the pattern {pattern[:80]!r}",
                hint=f"a pattern has at most {_LONGEST_PATTERN} characters and does not begin with '-'",
            )
    return patterns


def arguments(text: str) -> tuple[str, ...]:
    """Arguments for restic; raises Malformed. Which there may be is for the blueprint to say."""
    found = _listed(text)
    long = next((argument for argument in found if len(argument) > _LONGEST_ARGUMENT), None)
    if long is not None:
        raise Malformed(f"has an argument of {len(long)} characters", hint="name arguments that the blueprint lists")
    return found


def duration(text: str) -> str:
    """A time limit; raises Malformed."""
    found = check_text(text).strip()
    if not seconds(found) or (seconds(found) or 0) < 1:
        raise Malformed("is not a duration of a second or more", hint="write a duration such as 30m, 2h or 1h30m")
    return found


def retry(text: str) -> Retry:
    """The number of further attempts, and perhaps the time between them; raises Malformed."""
    said: dict[str, str] = {}
    for item in split(text):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            name, value = "attempts", name
        if name not in ("attempts", "delay") or name in said:
            raise Malformed(f"has {item[:80]!r} beside the rest", hint="write 3, or 3,delay=10m")
        said[name] = value
    if not _ATTEMPTS.fullmatch(said.get("attempts", "")) or int(said["attempts"]) > 1000:
        raise Malformed("has no number of attempts from 0 to 1000", hint="write 3, or 3,delay=10m")
    delay = said.get("delay")
    if delay is not None and seconds(delay) is None:
        raise Malformed(f"has delay={delay[:80]!r}, which is no duration", hint="write 3,delay=10m")
    return Retry(int(said["attempts"]), delay)


def _listed(text: str) -> tuple[str, ...]:
    found = listed(text)
    if any(check_text(item).strip() != item for item in found):
        raise Malformed("has an item with blanks around it", hint="remove the blanks")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Overridable:
    """An annotation that overrides: its description, the permission it needs, its parser."""

    description: Description
    permission: str
    """The field of `spec.overrides` that permits it; without that field it is refused (`schedule` excepted)."""
    parse: Callable[[str], Any]
    sets: str
    """The field of a BackupConfiguration that it sets, or sets parts of."""
    pattern: str = r"^[\s\S]*\S[\s\S]*$"
    """A regular expression of ECMA 262 that every accepted value matches, for editors."""

    @property
    def key(self) -> str:
        return self.description.key


OVERRIDABLE: dict[str, Overridable] = {
    entry.key: entry
    for entry in (
        Overridable(
            Description(
                SCHEDULE,
                "five cron fields with H for a slot of its own, @hourly, @daily, …, @every 6h",
                _ALL,
                "Replaces the schedule of the blueprint.",
                "H 2 * * *",
            ),
            "schedule",
            str,  # as it is: `reconcilers.schedule` reads it
            "schedule",
            r"^\s*(@\S+(\s+\S+)?|\S+(\s+\S+){4})\s*$",
        ),
        Overridable(
            Description(
                RETENTION,
                "last=N,hourly=N,daily=N,weekly=N,monthly=N,yearly=N,tags=a;b in any selection, or the name of a "
                "policy that the blueprint lists",
                _ALL,
                "Numbers of snapshots to keep, in place of those of the blueprint; a number that is not named stays, "
                "tags are added. A name replaces the policy as a whole.",
                retention.EXAMPLE,
            ),
            "retention",
            retention.parse,
            "retentionPolicy",
            r"^\s*([a-z0-9][a-z0-9.-]*|\s*(last|hourly|daily|weekly|monthly|yearly|tags)\s*=[^,]+"
            r"(,\s*(last|hourly|daily|weekly|monthly|yearly|tags)\s*=[^,]+)*)\s*$",
        ),
        Overridable(
            Description(
                RUNTIME,
                "memory=REQUEST..LIMIT, cpu=REQUEST..LIMIT, nice=N, ionice=CLASS[:LEVEL], priority-class=NAME in any "
                "selection, or after the name of a profile that the blueprint lists",
                _ALL,
                "What the pod of a backup may use. One value stands for request and limit; either side of '..' may be "
                "left out. Node selector and tolerations come with a profile.",
                runtime.EXAMPLE,
            ),
            "runtime",
            runtime.parse,
            "runtimeSettings",
            r"^\s*[^,=]+(\s*=[^,]+)?(,\s*(memory|cpu|nice|ionice|priority-class)\s*=[^,]+)*\s*$",
        ),
        Overridable(
            Description(
                EXCLUDE,
                "pattern[,pattern…] or a JSON list of strings",
                _FILES,
                "Files that are left out of the backup, as patterns of restic.",
                "*.tmp,/srv/data/cache",
            ),
            "exclude",
            exclusions,
            "target.exclude",
        ),
        Overridable(
            Description(HISTORY, "number", _ALL, "Number of finished BackupSessions to keep.", "5"),
            "backupHistoryLimit",
            lambda text: number(text, what="a number of BackupSessions"),
            "backupHistoryLimit",
            r"^\s*[0-9]{1,9}\s*$",
        ),
        Overridable(
            Description(TIMEOUT, "duration", _ALL, "Longest time that a backup may take.", "2h"),
            "timeOut",
            duration,
            "timeOut",
            r"^\s*([0-9]+([.][0-9]*)?(ns|us|µs|μs|ms|s|m|h))+\s*$",
        ),
        Overridable(
            Description(
                RETRY,
                "number[,delay=duration]",
                _ALL,
                "How often a failed backup is tried again, and after which time.",
                "3,delay=10m",
            ),
            "retry",
            retry,
            "retryConfig",
            r"^\s*[0-9]{1,4}\s*(,\s*delay\s*=\s*\S+\s*)?$",
        ),
        Overridable(
            Description(
                PAUSED,
                "true or false",
                _ALL,
                "Takes no scheduled backups while it is true. What was backed up stays.",
                "true",
            ),
            "paused",
            truth,
            "paused",
            r"^\s*(true|false)\s*$",
        ),
        Overridable(
            Description(
                ARGUMENTS,
                "argument[,argument…] or a JSON list of strings",
                _FILES,
                "Arguments for restic, each exactly one that the blueprint lists.",
                "--exclude-caches,--one-file-system",
            ),
            "backupArgs",
            arguments,
            "target.args",
        ),
    )
}
"""Every annotation that overrides, by its key, in the order in which they are applied."""
