"""Every single disturbance of a script, one run each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.worlds.disturbances import AFTER, BEFORE, Crash, Disturbance, Frozen, Late, Lost, Refusal
from tests.worlds.world import Run

_INFORMERS = 10
_WITH_START = "delete target"
REFUSALS: tuple[tuple[int | str, str], ...] = (
    (409, BEFORE),
    (429, BEFORE),
    (500, BEFORE),
    (500, AFTER),
    ("timeout", BEFORE),
    ("timeout", AFTER),
    ("reset", BEFORE),
    ("reset", AFTER),
    ("late", BEFORE),
)


def crashes(calm: Run) -> Iterator[Disturbance]:
    """The process dies before and after each request."""
    for number in range(1, len(calm.requests) + 1):
        for when in (BEFORE, AFTER):
            yield Crash(number, when)


def refusals(calm: Run) -> Iterator[Disturbance]:
    """Each request fails once, in every way."""
    for number, what in enumerate(calm.requests, start=1):
        for how, when in REFUSALS:
            if how == "late" and (calm.scenario.contested or what.startswith(("GET", "WATCH"))):
                continue
            if what.startswith("WATCH") and how not in (429, 500, "timeout", "reset"):
                continue
            yield Refusal(number, how, when)


def losses(calm: Run) -> Iterator[Disturbance]:
    """Each event is lost once, in every way that a connection knows, or late."""
    for number in range(1, len(calm.events) + 1):
        for how in ("cut", "silence", "gone"):
            yield Lost(number, how)
        for seconds in (4.0, 65.0):
            yield Late(number, seconds)


def freezes(calm: Run) -> Iterator[Disturbance]:
    """The operator's view stands still at each version there was: all of it, or one resource."""
    plurals = ("backupblueprints", "repositories", "backupconfigurations", "deployments", "persistentvolumeclaims")
    for revision in range(calm.first_revision, calm.last_revision):
        for seconds in (12.0, 80.0):
            yield Frozen(revision, seconds)
        for plural in plurals:
            yield Frozen(revision, 12.0, (plural,))


def unlike_others(disturbances: Iterable[Disturbance], calm: Run) -> Iterator[Disturbance]:
    """Without those of the first reading of the caches, which is the same in every world: one of them has all."""
    first = sum(what.startswith("WATCH") for what in calm.requests[:_INFORMERS])
    for disturbance in disturbances:
        if calm.scenario.name == _WITH_START or not (
            isinstance(disturbance, Crash | Refusal) and disturbance.request <= first
        ):
            yield disturbance


SWEEPS = {"crashes": crashes, "refusals": refusals, "losses": losses, "freezes": freezes}
