"""Retention policies: the grammar of the annotation, and which of two policies keeps more.

restic keeps a snapshot when one rule is enough to keep it, and each rule keeps more the higher its number. So a policy
whose every number is at least as high, and that names at least the same tags, keeps at least the same snapshots: that
is what `covers` means. Two policies of which neither covers the other count as shorter both ways.

Source: restic, `internal/restic/snapshot_policy.go` (ApplyPolicy).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconcilers.grammar import Malformed
from reconcilers.grammar import split as items_of

COUNTS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
FIELDS = {name: f"keep{name.capitalize()}" for name in COUNTS}
TAGS = "keepTags"
MOST = 100_000
MOST_TAGS = 16
EXAMPLE = "last=7,daily=14,weekly=8,monthly=12,yearly=3,tags=a;b"

_NUMBER = re.compile(r"[0-9]{1,6}", re.A)
_TAG = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:/-]{0,62})", re.A)
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.A)
"""The name of a policy that a blueprint lists."""


@dataclass(frozen=True, slots=True)
class RetentionRequest:
    """What an annotation asks for: numbers and tags that replace those of the blueprint, or a listed policy."""

    counts: tuple[tuple[str, int], ...] = ()
    tags: tuple[str, ...] = ()
    policy: str = ""

    @property
    def canonical(self) -> str:
        parts = [f"{name}={number}" for name, number in self.counts]
        return self.policy or ",".join([*parts, *([f"tags={';'.join(self.tags)}"] if self.tags else [])])


def parse(text: str) -> RetentionRequest:
    """Read the annotation; raises Malformed."""
    if "=" not in text:
        if not NAME.fullmatch(text.strip()):
            raise Malformed("is neither numbers to keep nor the name of a policy", hint=f"write {EXAMPLE}")
        return RetentionRequest(policy=text.strip())
    counts: dict[str, int] = {}
    tags: tuple[str, ...] = ()
    seen = set()
    for item in items_of(text):
        name, _, value = (part.strip() for part in item.partition("="))
        if name in seen:
            raise Malformed(f"says {name} twice", hint="say it once")
        seen.add(name)
        if name == "tags":
            tags = _tags(value)
        elif name not in FIELDS:
            raise Malformed(f"has {item!r}, which is none of {', '.join((*COUNTS, 'tags'))}", hint=f"write {EXAMPLE}")
        elif not _NUMBER.fullmatch(value) or int(value) > MOST:
            raise Malformed(f"has {item!r}, not a number from 0 to {MOST}", hint=f"write {EXAMPLE}")
        else:
            counts[name] = int(value)
    return RetentionRequest(tuple((name, counts[name]) for name in COUNTS if name in counts), tags)


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(tag.strip() for tag in text.split(";")))
    if len(tags) > MOST_TAGS:
        raise Malformed(f"has {len(tags)} tags, more than {MOST_TAGS}", hint="name fewer")
    bad = next((tag for tag in tags if not _TAG.fullmatch(tag)), None)
    if bad is not None:
        raise Malformed(
            f"has the tag {bad[:80]!r}", hint="a tag has letters, digits, '.', '_', ':', '/' and '-'; separate with ';'"
        )
    return tags


def merge(request: RetentionRequest, policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy with the numbers of the request; a number that is not named stays, tags are added to those there."""
    merged = {**policy, **{FIELDS[name]: number for name, number in request.counts}}
    if request.tags:
        merged[TAGS] = list(dict.fromkeys([*(policy.get(TAGS) or ()), *request.tags]))
    merged["name"] = _name(merged) or str(policy.get("name") or "custom")
    return merged


def _name(policy: Mapping[str, Any]) -> str:
    return "-".join(f"{name}-{policy[field]}" for name, field in FIELDS.items() if policy.get(field))


def count(policy: Mapping[str, Any], name: str) -> int:
    """How many a policy keeps by the rule `name`."""
    value = policy.get(FIELDS[name])
    return value if isinstance(value, int) else 0


def keeps_something(policy: Mapping[str, Any]) -> bool:
    return any(count(policy, name) for name in COUNTS) or bool(policy.get(TAGS))


def lacking(policy: Mapping[str, Any], than: Mapping[str, Any]) -> str:
    """The first rule by which `policy` keeps less `than` another, as `daily=3 (14)`; "" when it covers the other."""
    for name in COUNTS:
        if count(policy, name) < count(than, name):
            return f"{name}={count(policy, name)}, and less than {count(than, name)}"
    missing = sorted(set(than.get(TAGS) or ()) - set(policy.get(TAGS) or ()))
    return f"no tag {missing[0]!r}, which is kept" if missing else ""


def covers(policy: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether `policy` keeps at least every snapshot that `other` keeps."""
    return not lacking(policy, other)


def canonical(policy: Mapping[str, Any]) -> str:
    """What a policy keeps, in the grammar of the annotation."""
    tags = tuple(str(tag) for tag in policy.get(TAGS) or ())
    counts = tuple((name, count(policy, name)) for name in COUNTS if count(policy, name))
    return RetentionRequest(counts, tags).canonical
