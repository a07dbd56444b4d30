"""What a run of the quick benchmark is asked to do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GROUPS = ("sync", "many", "events", "memory", "latency", "rollout", "restart", "queue", "overrides")
_COUNTS = {
    "objects": (10_000, "Deployments in the cluster"),
    "annotated": (1_000, "of these, how many ask for backup"),
    "rounds": (5, "repetitions of what is measured as a whole"),
    "trials": (200, "targets of each kind that are annotated one by one"),
}
RESULTS = Path(__file__).parent / "results" / "quick.json"


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, understood."""

    objects: int
    annotated: int
    rounds: int
    trials: int
    churn: int
    only: frozenset[str]
    json: Path
    output: str

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Options:
        parser = argparse.ArgumentParser(
            prog="python -m bench.quick",
            description="Measure speed and memory on a real etcd and kube-apiserver, and print them beside the goals.",
        )
        for name, (default, text) in _COUNTS.items():
            parser.add_argument(f"--{name}", type=_positive, default=default, help=f"{text} (default: {default})")
        parser.add_argument(
            "--only", action="append", choices=GROUPS, metavar="NAME", help=f"measure only this: {', '.join(GROUPS)}"
        )
        parser.add_argument(
            "--churn",
            type=_positive,
            metavar="MINUTES",
            help="measure only this: the growth of memory while objects change and connections break",
        )
        parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where the samples go")
        parser.add_argument("-o", "--output", choices=("markdown", "json"), default="markdown", help="what is printed")
        given = parser.parse_args(arguments)
        if given.annotated > given.objects:
            parser.error("--annotated is more than --objects")
        return cls(
            objects=given.objects,
            annotated=given.annotated,
            rounds=given.rounds,
            trials=given.trials,
            churn=given.churn or 0,
            only=frozenset(given.only or (() if given.churn else GROUPS)),
            json=given.json,
            output=given.output,
        )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
