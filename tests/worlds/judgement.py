"""The verdict on a run: everything that is wrong with it, in words, and how to play it again.

The bounds: within a minute of the last disturbance and the last deed all is as after the calm run; the operator writes
an object at most `SURPLUS` times more often than in the calm run, and sends at most `SENT` requests more in all; then
nobody writes anything for minutes, nor does a new process that finds all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.worlds import oracle
from tests.worlds.disturbances import Frozen
from tests.worlds.world import PROMISE, Run

SURPLUS = {"Repository": 2, "BackupConfiguration": 2, "BackupBlueprint": 2, "Secret": 2}
"""Effective writes of one object that a disturbance may cost."""
SENT = 3
"""Write requests that it may cost in all, those without effect included."""
TOLD = 6
"""Events that it may cost."""
_SHOWN = 6


def judge(run: Run, calm: Run, *, processes: int = 1) -> list[str]:
    """What is wrong, each with where it happened; nothing when all is right."""
    happened = f"{run.scenario.name!r} {list(run.disturbances)}{' with two operators' if processes > 1 else ''}: "
    return [happened + problem for problem in _problems(run, calm, processes)]


def _problems(run: Run, calm: Run, processes: int) -> Iterator[str]:
    yield from oracle.differences(run.state, calm.state)[:_SHOWN]
    yield from oracle.wrongs(run)
    if run.settled_after > PROMISE:
        yield f"it took {run.settled_after:.0f} s until all was well"
    if run.unrest:
        changes = [f"{c.who} {c.verb} {c.resource.kind} {c.key} at {c.at:.1f} s" for c in run.unrest[:_SHOWN]]
        yield f"{len(run.unrest)} writes when all was done: {changes}"
    if run.defects:
        yield f"{run.defects:.0f} reconciles raised what nobody expected"
    if run.met < sum(not isinstance(disturbance, Frozen) for disturbance in run.disturbances):
        yield "the disturbance never took place"
    times = processes if processes > 1 else 1
    allowed = oracle.effective(calm)
    for name, count in oracle.effective(run).items():
        most = times * (allowed[name] + SURPLUS.get(name.partition(" ")[0], 0))
        if count > most:
            yield f"{count} effective writes to {name}, {allowed[name]} in the calm run"
    if oracle.sent(run) > times * (oracle.sent(calm) + SENT):
        yield f"{oracle.sent(run)} writes sent, {oracle.sent(calm)} in the calm run"
    if oracle.told(run) > times * (oracle.told(calm) + TOLD):
        yield f"{oracle.told(run)} Events, {oracle.told(calm)} in the calm run"
