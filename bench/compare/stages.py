"""A stage as it runs: its servers and objects, and one turn of each of its parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from bench.compare.cells import Cells
from bench.compare.contestants import Contestant, Field
from bench.compare.controllers import Side
from bench.compare.conversation import MOST_MEMORY, PATIENCE, TooMuch
from bench.compare.crew import Crew
from bench.compare.gaps import reason
from bench.compare.ledger import Ledger
from bench.compare.measures.caches import COLD_SYNC, PEAK, Caches
from bench.compare.measures.decoding import decoding
from bench.compare.measures.life import Idle, Recovery, cost, footprint, restart
from bench.compare.measures.targets import FIRST, LATENCY_P99, Targets
from bench.compare.options import Options
from bench.compare.plan import CACHES, CONTROLLERS, Part, Stage
from bench.fleet import Fleet
from bench.progress import Progress
from bench.scene import Scene
from tools.controlplane import ControlPlane

_ETCD_QUOTA = str(8 << 30)
_FEW = 1_000
_NO_ROOM = "all caches of this size at once do not fit into memory"


class Playing(ABC):
    """`with Playing(...)` has the stage ready, and leaving clears it away."""

    def __init__(self, stage: Stage, *, options: Options, field: Field, ledger: Ledger, progress: Progress) -> None:
        self.stage = stage
        self.options = options
        self.field = field
        self.ledger = ledger
        self.progress = progress
        self._stack = ExitStack()
        self._crews: list[Crew] = []

    def __enter__(self) -> Playing:
        with ExitStack() as unless_ready:
            unless_ready.push(self._stack)
            self.open()
            unless_ready.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @abstractmethod
    def open(self) -> None:
        """Servers, objects, and whatever else the parts share."""

    @abstractmethod
    def take(self, part: Part, turn: int, taken: Cells) -> None:
        """One turn. Samples are added as they come."""

    def mend(self) -> None:
        """A part raised: have everything in order for the next."""
        for crew in self._crews:
            crew.dismiss()

    def scene(self, fleet: Fleet, stack: ExitStack | None = None, *, empty: bool = False) -> Scene:
        """For as long as the stage, or as this stack."""
        plane = ControlPlane(etcd_flags={"quota-backend-bytes": _ETCD_QUOTA})
        scene = Scene((stack or self._stack).enter_context(plane), fleet)
        self.progress.step(f"{fleet.objects} Deployments, {fleet.annotated} of them annotated")
        scene.prepare(seeded=fleet.annotated > 0, empty=empty)
        self.ledger.servers = scene.versions()
        return scene

    @property
    def programs(self) -> list[Path | None]:
        """Of the controllers; ours needs none."""
        return [None] if self.field.controller is None else [None, self.field.controller]

    def sides(self, fleet: Fleet, stack: ExitStack | None = None) -> list[Side]:
        """One control plane for each controller, with the same fleet."""
        return [Side(self.scene(fleet, stack), program) for program in self.programs]

    def crew(self, sides: list[Side]) -> Crew:
        crew = self._stack.enter_context(Crew(sides))
        self._crews.append(crew)
        return crew

    def missed(self, part: Part, contestant: str, error: Exception) -> None:
        self.progress.step(f"{part.name}: {contestant} is left out: {error}")
        self.ledger.missed(part, reason(error), contestant, failed=not isinstance(error, TooMuch))

    def running(self, part: Part) -> list[Contestant]:
        """Who takes part: whoever has not failed here before."""
        gaps = self.ledger.gaps
        return [one for one in self.field.contestants if gaps.why(part.group, part.size, one.name) is None]


class CachesPlaying(Playing):
    """Caches of Deployments of which few are annotated, and whole controllers among them."""

    def open(self) -> None:
        size = self.stage.size
        self._scene = self.scene(Fleet(size, min(_FEW, max(1, size // 10))))
        self._caches: dict[str, Caches] = {}
        self._crew = self.crew([Side(self._scene, program) for program in self.programs])
        self._configured = False
        self._ground = Caches(self._scene, self.field, self.progress, lambda name, error: None)
        self._ground.prepare()

    def take(self, part: Part, turn: int, taken: Cells) -> None:
        if part.group == "footprint":
            self._ground.settle()
            if not self._configured:
                # What ours makes is right in the peer's eyes too.
                self._crew.operator(self._crew.sides[0])
                self._crew.dismiss()
                self._configured = True
            footprint(self._crew, self.progress, taken)
            return
        caches = self._caches.setdefault(
            part.group, Caches(self._scene, self.field, self.progress, partial(self.missed, part))
        )
        chosen = [one for one in self.running(part) if part.everybody(turn) or not one.slow]
        chosen = [one for one in chosen if self.sensible(part, one)]
        if part.group == "cold-sync":
            caches.cold_sync(chosen, taken)
        else:
            caches.events(chosen, taken, count=self.options.events)

    def sensible(self, part: Part, one: Contestant) -> bool:
        """Where the next smaller size says that it takes minutes or all memory, or all of them do, it is left out."""
        if not one.slow or not self.options.large(part.size):
            return True
        if part.group == "events":
            self.ledger.missed(part, _NO_ROOM, one.name, failed=False)
            return False
        for size in reversed([size for size in self.options.sizes if size < part.size]):
            times = part.size / size
            seconds, peak = (self.ledger.cells.get(measure.name, size, one.name) for measure in (COLD_SYNC, PEAK))
            if seconds is None or peak is None:
                continue
            if seconds.value * times > PATIENCE:
                why = (
                    f"with {size} it takes {seconds.value:.0f} s: this would take more than {PATIENCE / 60:.0f} minutes"
                )
            elif peak.value * times * 1e6 > MOST_MEMORY:
                why = f"with {size} it takes {peak.value:.0f} MB: this would take more than {MOST_MEMORY >> 30} GB"
            else:
                return True
            self.ledger.missed(part, why, one.name, failed=False)
            return False
        return True


class ControllersPlaying(Playing):
    """Both controllers, everything annotated."""

    def open(self) -> None:
        fleet, copied = Fleet(self.stage.size, self.stage.size), self.options.copied(self.stage.size)
        sides = [Side(self.scene(fleet))]
        sides += [Side(self.scene(fleet, empty=copied), program) for program in self.programs[1:]]
        self._crew = self.crew(sides)
        self._targets = Targets(self._crew, self.progress, trials=self.options.trials)
        self._recovery = Recovery(self._crew, self.progress)
        first = Cells()
        self._targets.first(first, copied=copied)
        if self.stage.size not in self.ledger.cells.sizes(FIRST.name):
            self.ledger.cells.extend(first)

    def take(self, part: Part, turn: int, taken: Cells) -> None:
        if part.group == "restart":
            restart(self._crew, self.progress, taken)
        elif part.group == "latency":
            self._targets.latency(taken)
        elif part.group == "rollout":
            self._targets.rollout(taken)
        elif part.group == "busy":
            self._targets.busy(taken, self._idle)
        else:
            self._recovery.turn(taken)

    def _idle(self, side: str) -> float | None:
        cell = self.ledger.cells.get(LATENCY_P99.name, self.stage.size, side)
        return None if cell is None else cell.value


class CountsPlaying(Playing):
    """What is counted or weighed, and no time: all of it while two controllers elsewhere have nothing to do."""

    def open(self) -> None:
        self._idle: Idle | None = None
        self._broken: Exception | None = None
        if any(part.group == "idle" and not self.ledger.turns.get(part.name) for part in self.stage.parts):
            try:
                sides = self.sides(Fleet(self.stage.size, self.stage.size))
                crew = self._stack.enter_context(Crew(sides))
                for side in sides:
                    crew.operator(side)
                self._idle = Idle(sides)
            except Exception as error:
                self._broken = error  # told where idle ends: the other parts need none of this

    def take(self, part: Part, turn: int, taken: Cells) -> None:
        if part.group == "idle":
            if self._idle is None:
                raise self._broken or RuntimeError("it did not begin")
            self._idle.end(taken, seconds=self.options.idle)
        elif part.group == "cost":
            with ExitStack() as stack:
                cost(self.sides(Fleet(part.size, 0), stack), self.progress, taken, count=part.size)
        elif part.group == "per-target":
            with ExitStack() as stack:
                scene = self.scene(Fleet(part.size, part.size), stack)
                caches = Caches(scene, self.field, self.progress, partial(self.missed, part))
                caches.prepare(asks=False)
                caches.per_target(self.running(part), taken)
        else:
            decoding(taken, self.progress)


def playing(stage: Stage) -> type[Playing]:
    return {CACHES: CachesPlaying, CONTROLLERS: ControllersPlaying}.get(stage.kind, CountsPlaying)
