"""One run of one script: processes, people, disturbances, and what came of it all."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.support.fakeapply import PEOPLE, ApplyServer, Change
from tests.support.virtualtime import run_virtual
from tests.worlds.disturbances import Disturbance
from tests.worlds.oracle import State, state_of
from tests.worlds.people import SERVED, Step, start
from tests.worlds.process import Process, quiet
from tests.worlds.wire import Script

PROMISE = 60.0
"""Within so many seconds of the last disturbance and the last deed, all is as it should be."""
LONGEST = 420.0
"""So long at most: what waits for somebody is looked at again within five minutes."""
STEADY = 150.0
"""So long nobody writes anything afterwards."""
RESTARTED = 30.0
"""So long a new process is watched, which has nothing to do."""
PATIENCE = 180.0
"""So long a step waits for its condition."""
Complaints = Callable[[ApplyServer], list[str]]
"""What is not yet as it should be."""
_LOOK = 0.5
_REACTION = 4.0
"""So long at least after anything happened: before somebody reacts, the world may look as if it were settled."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script. `before` is there when the first process starts."""

    name: str
    steps: tuple[Step, ...]
    before: tuple[Callable[[ApplyServer], None], ...] = ()
    contested: bool = False
    """Whether who comes first gets what others want: then a write that arrives late may rightly decide it anew."""


@dataclass(slots=True)
class Run:
    """What came of a run."""

    scenario: Scenario
    disturbances: tuple[Disturbance, ...]
    script: Script
    server: ApplyServer
    first_revision: int = 0
    last_revision: int = 0
    """The versions between which all of it happened."""
    settled_after: float = 0.0
    """Seconds from the end of everything that happened to the state that was expected, or to the last write."""
    state: State = field(default_factory=dict)
    writes: list[Change] = field(default_factory=list)
    """By the operator, effective or not."""
    unrest: list[Change] = field(default_factory=list)
    """What was written when nothing was left to do."""
    defects: float = 0.0
    complaints: list[str] = field(default_factory=list)
    """What `until` had to say in the end."""
    met: int = 0
    """Disturbances that took place."""
    requests: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    """What was sent and seen until the world was settled."""


def play(
    scenario: Scenario,
    *disturbances: Disturbance,
    expected: State | None = None,
    until: Complaints | None = None,
    processes: int = 1,
    seed: int = 0,
) -> Run:
    """Run a script. It is over as soon as the world is as `expected`, or `until` has no complaints about it; without
    either, when all that can still happen has happened."""
    if expected is not None:
        until = functools.partial(_unlike, expected)
    with quiet():
        return run_virtual(_play(scenario, disturbances, until=until, processes=processes, seed=seed))


def _unlike(expected: State, server: ApplyServer) -> list[str]:
    return [] if state_of(server) == expected else ["unlike"]


async def _play(
    scenario: Scenario, disturbances: Sequence[Disturbance], *, until: Complaints | None, processes: int, seed: int
) -> Run:
    server = ApplyServer(*SERVED)
    start(server)
    for act in scenario.before:
        act(server)
    script = Script(disturbances)
    run = Run(scenario, tuple(disturbances), script, server, first_revision=server.revision)
    world = _World(server, script, seed=seed)
    for _ in range(processes):
        world.begin()
    guard = asyncio.create_task(world.guard())
    try:
        for step in scenario.steps:
            await asyncio.sleep(step.after)
            await _hold(lambda step=step: step.once(server), PATIENCE)
            step.act(server)
        ended = _now()
        await _settle(run, ended, until)
        run.state = state_of(server)
        run.complaints = until(server) if until else []
        run.met = script.met
        run.last_revision = server.revision
        await world.rest(run, STEADY)
    finally:
        guard.cancel()
        await asyncio.wait([guard])
    if guard.done() and not guard.cancelled():
        guard.result()
    await world.end(run)
    resting = asyncio.create_task(world.rest(run, RESTARTED))
    await asyncio.sleep(0)
    world.begin()
    await resting
    await world.end(run)
    run.writes = [change for change in server.journal if change.who.startswith("operator")]
    return run


class _World:
    def __init__(self, server: ApplyServer, script: Script, *, seed: int) -> None:
        self._server = server
        self._script = script
        self._seed = seed
        self._born = 0
        self._alive: list[Process] = []
        self._dead: list[Process] = []

    def begin(self) -> None:
        self._born += 1
        seed = self._seed * 1000 + self._born
        self._alive.append(Process(self._server, self._script, who=f"operator-{self._born}", seed=seed))

    async def guard(self) -> None:
        """Bury the dead and start another in each one's place."""
        while True:
            await self._script.crashed.wait()
            self._script.crashed.clear()
            for process in [process for process in self._alive if process.dead]:
                await self._bury(process)
                self._script.extend(_now() + self._script.downtime)
                await asyncio.sleep(self._script.downtime)
                self.begin()

    async def rest(self, run: Run, seconds: float) -> None:
        """Let time pass in which nothing should be written.

        A process that begins meanwhile may tell of a blueprint that does not exist: there is no status to remember that
        people were told of it before.
        """
        seen, old = len(self._server.journal), {process.who for process in self._alive}
        await asyncio.sleep(seconds)
        written = self._server.journal[seen:]
        run.unrest += [change for change in written if change.resource.kind != "Event" or change.who in old]

    async def end(self, run: Run) -> None:
        for process in list(self._alive):
            await self._bury(process)
        run.defects = sum(process.defects for process in self._dead)

    async def _bury(self, process: Process) -> None:
        await process.kill()
        self._alive.remove(process)
        self._dead.append(process)


async def _settle(run: Run, ended: float, until: Complaints | None) -> None:
    """Until nobody complains, and people have been told; or until all that can still happen has happened."""
    server = run.server
    if until is None:
        await asyncio.sleep(10.0)
        run.requests, run.events = tuple(run.script.requests), tuple(run.script.events)
        await asyncio.sleep(LONGEST - 10.0)
        writes = [change.at for change in server.journal if change.who != PEOPLE]
        run.settled_after = max(0.0, max(writes, default=0.0) - ended)
        return
    await asyncio.sleep(_REACTION)
    seen = -1
    while _now() <= (begun := max(ended, run.script.last_at)) + LONGEST:
        if _now() >= begun + _REACTION and len(server.journal) != seen:
            seen = len(server.journal)
            if not until(server):
                break
        await asyncio.sleep(_LOOK)
    run.settled_after = max(0.0, _now() - begun)
    run.requests, run.events = tuple(run.script.requests), tuple(run.script.events)
    # Events and the last status may still be on their way.
    await asyncio.sleep(_REACTION)


async def _hold(condition: Callable[[], bool], seconds: float) -> None:
    until = _now() + seconds
    while not condition() and _now() < until:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(_LOOK)


def _now() -> float:
    return asyncio.get_running_loop().time()
