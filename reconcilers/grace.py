"""A retention that keeps less takes effect after a while, so that a slip or a theft can be noticed before data goes.

The policy in force stays until the grace period of the blueprint has passed since the shorter one was first asked for.
When that was is written down on the BackupConfiguration, together with what was asked for: a restart, or another
leader, goes on from there, and while nothing changes nothing is written. A wish that keeps at least as much as the one
that is waiting goes on with its time; one that keeps less begins anew, so that nobody waits out a harmless wish and
then exchanges it.

This is about what annotations decide: the taking away of an annotation that kept more is a shortening as well. An edit
of the blueprint alone takes effect at once, as any edit of it does.

Pure: the present time is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from reconcilers import origins as provenance
from reconcilers import retention
from reconcilers.layers import Layer

Policy = Mapping[str, Any]
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Pending:
    """A shorter retention that waits: since when (seconds of Unix time), and what it is."""

    since: int
    policy: Policy = field(hash=False)

    def record(self) -> str:
        """The text of the annotation."""
        wanted = {name: value for name, value in self.policy.items() if name.startswith("keep")}
        return json.dumps({"since": when(self.since), "policy": wanted}, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class InForce:
    """The retention that counts now, who decided it, and what waits."""

    policy: Policy = field(hash=False)
    origins: Mapping[str, Layer] = field(hash=False)
    pending: Pending | None = None
    until: int = 0

    def told(self) -> str:
        """What people are told about the wait, "" when nothing waits."""
        if self.pending is None:
            return ""
        return (
            f"{retention.canonical(self.pending.policy)} keeps less than {retention.canonical(self.policy)}, which "
            f"stays in force until {when(self.until)}; to keep it, take the change back before"
        )


def settle(
    wanted: Policy,
    origins: Mapping[str, Layer],
    *,
    blueprint: Policy,
    held: str,
    held_origins: str,
    waiting: str,
    now: float,
    grace: int,
) -> InForce:
    """What counts now.

    `wanted` and its `origins` are what layers ask for, `blueprint` is the policy of the blueprint. `held`,
    `held_origins` and `waiting` are what is written on the live object: its policy, who decided it, what waits; ""
    where there is none.
    """
    decided = provenance.about_retention(provenance.recall(held_origins))
    kept = (_policy(held) if decided else None) or blueprint
    mine = provenance.about_retention(origins)
    if retention.covers(wanted, kept):
        return InForce(wanted, mine)
    before = recall(waiting)
    known = before is not None and retention.covers(wanted, before.policy)
    since = min(before.since, int(now)) if before is not None and known else int(now)
    if since + grace <= now:
        return InForce(wanted, mine)
    return InForce(kept, decided, Pending(since, wanted), since + grace)


def when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(_TIME)


@lru_cache(maxsize=1024)
def recall(text: str) -> Pending | None:
    """What waits, out of the annotation; None when the text is not one of ours."""
    try:
        loaded = json.loads(text)
        since = datetime.strptime(loaded["since"], _TIME).replace(tzinfo=UTC)
        policy = loaded["policy"]
        return Pending(int(since.timestamp()), policy) if isinstance(policy, dict) else None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


@lru_cache(maxsize=4096)
def _policy(text: str) -> Policy | None:
    try:
        loaded = json.loads(text)
    except ValueError:
        return None
    return loaded if isinstance(loaded, dict) else None
