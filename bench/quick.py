"""The quick benchmark: our own figures, each beside its goal. `python -m bench.quick --help`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from bench import machine
from bench.figures import Figure, markdown
from bench.fleet import Fleet
from bench.measures.churn import churn
from bench.measures.coldsync import cold_sync, memory, stalls
from bench.measures.events import events, many_objects
from bench.measures.latency import latency
from bench.measures.overrides import overrides
from bench.measures.restart import restart
from bench.measures.rollout import first_roll_out, roll_out
from bench.measures.workqueue import work_queue
from bench.options import Options
from bench.progress import Progress
from bench.scene import Scene
from tools.controlplane import ControlPlane

_ON_A_CLUSTER = frozenset({"sync", "many", "events", "memory", "latency", "rollout", "restart"})
_WITH_TARGETS = frozenset({"latency", "rollout", "restart"})


class Run:
    """One run: its figures so far, and how busy others kept the machine during each measurement."""

    def __init__(self, options: Options, progress: Progress) -> None:
        self.figures: list[Figure] = []
        self.others: dict[str, float] = {}
        self.servers: dict[str, str] = {}
        self._options = options
        self._progress = progress

    def measure(self) -> None:
        if self._options.churn or self._options.only & _ON_A_CLUSTER:
            with ControlPlane() as plane:
                self._measure_on(plane)
        if "queue" in self._options.only:
            with self._group("queue"):
                self.figures += work_queue(self._progress, rounds=self._options.rounds)
        if "overrides" in self._options.only:
            with self._group("overrides"):
                self.figures += overrides(self._progress, rounds=self._options.rounds)

    def _measure_on(self, plane: ControlPlane) -> None:
        options, progress = self._options, self._progress
        scene = Scene(plane, Fleet(options.objects, options.annotated))
        progress.step(f"{options.objects} Deployments, {options.annotated} of them annotated")
        scene.prepare()
        self.servers = scene.versions()
        self.figures.append(scene.describe_fleet())
        if "sync" in options.only:
            with self._group("sync"):
                self.figures += cold_sync(scene, progress, rounds=options.rounds)
                self.figures += stalls(scene, progress, rounds=options.rounds)
        if "many" in options.only:
            with self._group("many"):
                self.figures += many_objects(scene, progress, rounds=options.rounds)
        if "events" in options.only:
            with self._group("events"):
                self.figures += events(scene, progress, rounds=options.rounds)
        if "memory" in options.only:
            with self._group("memory"):
                self.figures += memory(scene, progress)
        if options.only & _WITH_TARGETS:
            self._measure_operator(scene)
        if options.churn:
            with self._group("churn"):
                self.figures += churn(scene, progress, minutes=options.churn)

    def _measure_operator(self, scene: Scene) -> None:
        options, progress = self._options, self._progress
        started = perf_counter()
        with scene.operator() as operator:
            self.figures += first_roll_out(scene, operator, progress, started=started)
            if "latency" in options.only:
                with self._group("latency"):
                    self.figures += latency(scene, progress, trials=options.trials)
            if "rollout" in options.only:
                with self._group("rollout"):
                    self.figures += roll_out(scene, operator, progress, rounds=options.rounds)
            scene.wait_quiet()
        if "restart" in options.only:
            with self._group("restart"):
                self.figures += restart(scene, progress, rounds=options.rounds)

    @contextmanager
    def _group(self, name: str) -> Iterator[None]:
        company = machine.Company()
        yield
        self.others[name] = company.share()

    def as_json(self) -> dict[str, Any]:
        return {
            "options": {
                "objects": self._options.objects,
                "annotated": self._options.annotated,
                "rounds": self._options.rounds,
                "trials": self._options.trials,
            },
            "machine": machine.describe(self.servers),
            "others": {name: round(share, 3) for name, share in self.others.items()},
            "figures": [figure.as_json() for figure in self.figures],
        }


def main() -> int:
    options = Options.parse()
    progress = Progress()
    run = Run(options, progress)
    run.measure()
    progress.end()
    document = run.as_json()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1) if options.output == "json" else report(document, run.figures))
    return 0


def report(document: dict[str, Any], figures: list[Figure]) -> str:
    """The table and what is needed to read it."""
    described = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    others = ", ".join(f"{name} {share:.0%}" for name, share in document["others"].items())
    missed = [figure.title for figure in figures if figure.met is False]
    lines = [
        markdown(figures),
        "",
        f"Machine: {described}.",
        f"Taken by other programs meanwhile, of all cores: {others}.",
        f"Goals missed: {'; '.join(missed) if missed else 'none'}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
