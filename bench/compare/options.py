"""What a run of the comparison is asked to do."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CACHE_GROUPS = ("cold-sync", "events", "footprint")
RUNNING_GROUPS = ("restart", "latency", "rollout", "busy", "recovery")
COUNT_GROUPS = ("idle", "cost", "per-target", "decoding")
GROUPS = (*CACHE_GROUPS, *RUNNING_GROUPS, *COUNT_GROUPS)
RESULTS = Path(__file__).parents[1] / "results" / "compare.json"
_PEERS: dict[str, frozenset[str]] = {
    "all": frozenset({"go", "python"}),
    "go": frozenset({"go"}),
    "python": frozenset({"python"}),
    "none": frozenset(),
}

_EXAMPLES = """examples:
  make bench                                           everything: an hour, and 16 GB of memory
  make bench ARGS="--plan"                             what that is and how long it takes; measures nothing
  make bench ARGS="--minutes 45"                       with fewer turns, as far as a median allows
  make bench ARGS="--continue"                         what a run that was broken off, or failed, has left
  make bench ARGS="--size 10k --only cold-sync"        one thing, one size
  make bench ARGS="--size 1k --turns 1"                all of it in small
  make bench ARGS="--peers none"                       ours alone: builds nothing
  make bench ARGS="--report"                           print the last results again, measure nothing
  make bench ARGS="--report --publish"                 and write them into the docs
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, understood."""

    sizes: tuple[int, ...]
    most_targets: int
    turns: int
    trials: int
    events: int
    idle: float
    minutes: float
    only: frozenset[str]
    peers: frozenset[str]
    json: Path
    plan: bool
    resume: bool
    report: bool
    publish: bool

    @classmethod
    def parse(cls, arguments: Sequence[str] | None = None) -> Options:
        given = _parser().parse_args(arguments)
        return cls(
            sizes=tuple(sorted(set(given.size))),
            most_targets=given.most_targets,
            turns=given.turns,
            trials=given.trials,
            events=given.events,
            idle=given.idle,
            minutes=given.minutes,
            only=frozenset(given.only or GROUPS),
            peers=_PEERS[given.peers],
            json=given.json,
            plan=given.plan,
            resume=given.resume,
            report=given.report,
            publish=given.publish,
        )

    def large(self, size: int) -> bool:
        """So many that only a part of them asks for backup, and that who takes minutes for them runs once."""
        return size > self.most_targets

    def copied(self, size: int) -> bool:
        """So many that only one controller configures them for the first time, and the other finds them configured."""
        return size > min(1_000, *self.sizes)

    @property
    def idle_targets(self) -> int:
        """Of the controllers that are watched doing nothing."""
        return min(200, *self.sizes) if self.sizes else 200


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description="Measure the operator side by side with its peers, on a real etcd and kube-apiserver.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--size", type=sizes, default=(1_000, 10_000, 100_000), help="how many Deployments (default: 1k,10k,100k)"
    )
    parser.add_argument(
        "--most-targets",
        type=number,
        default=10_000,
        help="the largest size at which all of them ask for backup (default: 10k; 100k takes hours)",
    )
    parser.add_argument("--turns", type=number, default=5, help="turns of everybody (default: 5)")
    parser.add_argument("--trials", type=number, default=100, help="targets annotated one by one (default: 100)")
    parser.add_argument("--events", type=number, default=10_000, help="watch events to get through (default: 10k)")
    parser.add_argument("--idle", type=float, default=600.0, metavar="SECONDS", help="time with nothing to do (600)")
    parser.add_argument("--minutes", type=float, default=60.0, help="take fewer turns to end within them (default: 60)")
    parser.add_argument(
        "--only", action="append", choices=GROUPS, metavar="NAME", help=f"measure only this: {', '.join(GROUPS)}"
    )
    parser.add_argument("--peers", choices=tuple(_PEERS), default="all", help="beside whom")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="where the samples go")
    parser.add_argument("--plan", action="store_true", help="measure nothing, say what would be measured")
    parser.add_argument(
        "--continue", dest="resume", action="store_true", help="keep what is in the file and measure what is missing"
    )
    parser.add_argument("--report", action="store_true", help="measure nothing, print what is in the file")
    parser.add_argument(
        "--publish", action="store_true", help="write table and plots into docs, and the samples beside them"
    )
    return parser


def sizes(text: str) -> tuple[int, ...]:
    """`1k,10k` as numbers."""
    return tuple(number(part) for part in text.split(","))


def number(text: str) -> int:
    """A count, perhaps in thousands."""
    found = re.fullmatch(r"([1-9]\d*)(k?)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no count such as 500 or 10k")
    return int(found[1]) * (1000 if found[2] else 1)
