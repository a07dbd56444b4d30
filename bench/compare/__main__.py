"""`make bench`: the comparison, from the programs to the table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any

from bench import machine
from bench.compare.cells import Cells
from bench.compare.contestants import Contestant, Field
from bench.compare.controllers import Side
from bench.compare.measures.caches import Caches
from bench.compare.measures.decoding import decoding
from bench.compare.measures.life import OPERATOR_RSS, Life
from bench.compare.measures.targets import Targets
from bench.compare.options import CACHE_GROUPS, RUNNING_GROUPS, TARGET_GROUPS, Options
from bench.compare.publish import publish
from bench.compare.report import report
from bench.fleet import Fleet
from bench.progress import Progress
from bench.scene import Scene
from tools.controlplane import ControlPlane

Save = Callable[[dict[str, Any]], None]

LARGE = 20_000
"""From this size on, who takes minutes for each turn runs once."""
SEEDED = 500
"""Fleets above this size are written into etcd."""
ETCD_QUOTA = str(8 << 30)


class Run:
    """One run: its cells so far, and how busy others kept the machine meanwhile."""

    def __init__(self, options: Options, progress: Progress, save: Save = lambda document: None) -> None:
        self.cells = Cells()
        self.others: dict[str, float] = {}
        self.servers: dict[str, str] = {}
        self._options = options
        self._progress = progress
        self._save = save
        progress.step("programs of the peers (the first time they are built, which takes minutes)")
        self._field = Field(go_peers="go" in options.peers, python_peers="python" in options.peers)

    def measure(self) -> None:
        for size in self._options.sizes:
            if self._options.only & set(CACHE_GROUPS):
                self._measure_caches(size)
        for size in self._options.sizes:
            if self._options.only & set(TARGET_GROUPS) - {"cost"} and size <= self._options.most_targets:
                self._measure_controllers(size)
        if "cost" in self._options.only:
            self._measure_cost()
        if "decoding" in self._options.only:
            decoding(self.cells, self._progress)

    def _measure_caches(self, size: int) -> None:
        options = self._options
        quick = [one for one in self._field.contestants if size < LARGE or not one.slow]
        slow = [one for one in self._field.contestants if one not in quick]
        with ControlPlane(etcd_flags={"quota-backend-bytes": ETCD_QUOTA}) as plane:
            scene = Scene(plane, Fleet(size, min(1000, max(1, size // 10))))
            self._progress.step(f"{size} Deployments")
            scene.prepare(seeded=size > SEEDED)
            self.servers = scene.versions()
            caches = Caches(scene, self._field, self.cells, self._progress)
            caches.prepare()
            for chosen, rounds in ((quick, options.rounds), (slow, 1)):
                if chosen:
                    self._measure_some(caches, chosen, rounds, size)
            if "memory" in options.only:
                self._measure_operators(scene)

    def _measure_operators(self, scene: Scene) -> None:
        """What the controllers weigh as a whole; the objects that ours makes are right in the peer's eyes too."""
        sides = self._sides([scene, scene])
        with sides[0].running() as operator:
            operator.wait_settled(scene.fleet.annotated)
            scene.wait_quiet()
        life = Life(sides, self.cells, self._progress)
        life.restart(targets=scene.fleet.annotated, rounds=2, memory=OPERATOR_RSS, size=scene.fleet.objects)

    def _measure_some(self, caches: Caches, chosen: list[Contestant], rounds: int, size: int) -> None:
        options = self._options
        if "cold-sync" in options.only:
            with self._group(f"cold-sync {size}"):
                caches.cold_sync(chosen, rounds=rounds)
        if "stall" in options.only:
            with self._group(f"stall {size}"):
                caches.stalls(chosen, rounds=rounds)
        if "memory" in options.only:
            with self._group(f"memory {size}"):
                caches.memory(chosen, rounds=min(rounds, 3))
        if "events" in options.only:
            with self._group(f"events {size}"):
                caches.events(chosen, rounds=min(rounds, 3), count=options.events)

    def _measure_controllers(self, size: int) -> None:
        options, only, progress = self._options, self._options.only, self._progress
        with ExitStack() as stack:
            sides = self._sides(list(self._scenes(stack, Fleet(size, size))))
            if "per-target" in only:
                caches = Caches(sides[0].scene, self._field, self.cells, progress)
                caches.prepare(asks=False)
                caches.memory([one for one in self._field.contestants if not one.slow], rounds=1)
            targets = Targets(sides, self.cells, progress, trials=options.trials)
            life = Life(sides, self.cells, progress)
            if not only & set(RUNNING_GROUPS):
                return
            with ExitStack() as running:
                operators = []
                for side in sides:
                    started = perf_counter()
                    operator = running.enter_context(side.running())
                    targets.first(side, operator, started=started)
                    operators.append(operator)
                targets.compare()
                if only & {"latency", "rollout"}:
                    with self._group(f"latency {size}"):
                        targets.latency(rounds=options.rounds)
                if "rollout" in only:
                    with self._group(f"rollout {size}"):
                        targets.rollout(operators, rounds=options.rounds)
                if "recovery" in only:
                    with self._group(f"recovery {size}"):
                        life.recovery(operators, rounds=min(3, options.rounds))
                if "idle" in only:
                    life.idle(seconds=options.idle)
            if "restart" in only:
                with self._group(f"restart {size}"):
                    life.restart(targets=size, rounds=options.rounds)

    def _measure_cost(self) -> None:
        with ExitStack() as stack:
            scenes = list(self._scenes(stack, Fleet(self._options.trials, 0)))
            Life(self._sides(scenes), self.cells, self._progress).cost(count=self._options.trials)

    def _scenes(self, stack: ExitStack, fleet: Fleet) -> Iterator[Scene]:
        """One control plane for each controller, with the same fleet."""
        for _ in range(1 if self._field.controller is None else 2):
            plane = stack.enter_context(ControlPlane(etcd_flags={"quota-backend-bytes": ETCD_QUOTA}))
            scene = Scene(plane, fleet)
            self._progress.step(f"{fleet.objects} Deployments, {fleet.annotated} of them annotated")
            scene.prepare(seeded=fleet.objects > SEEDED)
            self.servers = scene.versions()
            yield scene

    def _sides(self, scenes: list[Scene]) -> list[Side]:
        programs = [None] if self._field.controller is None else [None, self._field.controller]
        return [Side(scene, program) for scene, program in zip(scenes, programs, strict=False)]

    @contextmanager
    def _group(self, name: str) -> Iterator[None]:
        company = machine.Company()
        yield
        self.others[name] = max(company.share(), self.others.get(name, 0.0))
        self.save()

    def save(self) -> None:
        self._save(self.as_json())

    def as_json(self) -> dict[str, Any]:
        described = machine.describe(self.servers)
        del described["cpu"]  # results are published: cores and memory say enough
        return {
            "machine": described,
            "others": {name: round(min(1.0, share), 3) for name, share in self.others.items()},
            "cells": self.cells.as_json(),
        }


def main() -> int:
    options = Options.parse()
    if not options.report:
        _measure(options)
    document = json.loads(options.json.read_text())
    if options.publish:
        publish(document)
    print(report(document))
    return 0


def _measure(options: Options) -> None:
    """What is measured is in the file after each group: a run that is broken off was not for nothing."""
    before = json.loads(options.json.read_text()) if options.add and options.json.exists() else {}
    progress = Progress()
    run = Run(options, progress, save=lambda document: _write(options, before, document))
    try:
        run.measure()
    finally:
        progress.end()
    run.save()


def _write(options: Options, before: dict[str, Any], document: dict[str, Any]) -> None:
    cells = Cells.of_json(before.get("cells", []))
    cells.merge(Cells.of_json(document["cells"]))
    document |= {"cells": cells.as_json(), "others": before.get("others", {}) | document["others"]}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
