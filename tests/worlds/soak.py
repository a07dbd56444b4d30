"""The long runs: every disturbance of every small world, then tales without end, within a time.

    python -m tests.worlds.soak --minutes 10      everything, then tales by ascending seeds
    python -m tests.worlds.soak --seed 17         one tale again, told in full

A tale that fails is printed with its seed, without all that can be left out. The order in which sets are walked
through is part of a run, so this program starts itself again with a fixed PYTHONHASHSEED.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.worlds import judgement, tales
from tests.worlds.scenarios import SCENARIOS
from tests.worlds.sweep import SWEEPS, unlike_others
from tests.worlds.tales import Tale
from tests.worlds.world import Run, play

_SHOWN = 10


class Summary:
    """What came of it, so far."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest = 0.0

    def add(self, kind: str, run: Run, problems: list[str]) -> None:
        self.runs[kind] += 1
        self.slowest = max(self.slowest, run.settled_after)
        self.failures += problems

    def __str__(self) -> str:
        lines = [f"  {kind:24} {count:7}" for kind, count in sorted(self.runs.items())]
        lines += [f"  {'slowest to settle':24} {self.slowest:7.1f} s of virtual time"]
        lines += [f"  {'failures':24} {len(self.failures):7}"]
        return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.worlds.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to go on (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="tell this tale alone")
    parser.add_argument("--first", type=int, default=1000, help="the seed of the first tale (default: %(default)s)")
    parser.add_argument("--skip-sweeps", action="store_true", help="nothing but tales")
    given = parser.parse_args()
    if given.seed is not None:
        return _again(given.seed)
    until = time.monotonic() + 60.0 * given.minutes
    summary = Summary()
    finished = given.skip_sweeps or _sweep(summary, until)
    seed = given.first
    while time.monotonic() < until and len(summary.failures) < _SHOWN:
        _tell(seed, summary)
        seed += 1
    print(f"small worlds{'' if finished else ' (not all: the time was over)'}, and tales {given.first} to {seed - 1}")
    print(summary)
    return 1 if summary.failures else 0


def _sweep(summary: Summary, until: float) -> bool:
    """Every disturbance of every script; False when the time was over before."""
    for kind, sweep in SWEEPS.items():
        for scenario in SCENARIOS.values():
            calm = play(scenario)
            for disturbance in unlike_others(sweep(calm), calm):
                if time.monotonic() > until or len(summary.failures) >= _SHOWN:
                    return False
                run = play(scenario, disturbance, expected=calm.state)
                problems = judgement.judge(run, calm)
                summary.add(kind, run, problems)
                _print(problems)
    return True


def _tell(seed: int, summary: Summary) -> None:
    told, calm = tales.tale(seed)
    for version, run in _runs(told, calm):
        problems = tales.judge(version, run, calm)
        summary.add("disturbed tales" if version.disturbances else "calm tales", run, problems)
        if problems:
            least = tales.shrink(version, lambda candidate: bool(_judged(candidate, calm)))
            _print([f"{least}", *_judged(least, calm)])
            print(f"  again: python -m tests.worlds.soak --seed {seed}", flush=True)
            return


def _runs(told: Tale, calm: Run) -> Iterator[tuple[Tale, Run]]:
    yield Tale(told.seed, told.steps), calm
    yield told, tales.tell(told)


def _judged(told: Tale, calm: Run) -> list[str]:
    return tales.judge(told, tales.tell(told), calm)


def _again(seed: int) -> int:
    told, calm = tales.tale(seed)
    run = tales.tell(told)
    print(told)
    for change in run.server.journal:
        after = change.after or {}
        note = f"{after.get('reason', '')}: {after.get('note', '')}" if change.resource.kind == "Event" else ""
        what = f"{change.verb} {change.resource.kind} {change.key} {change.subresource}".strip()
        print(f"{change.at:9.3f} {change.who:12} {what}{'' if change.effective else ' (no change)'} {note}".rstrip())
    problems = tales.judge(told, run, calm)
    _print(problems or ["nothing is wrong with it"])
    return 1 if problems else 0


def _print(lines: list[str]) -> None:
    for line in lines:
        print(f"  {line}", flush=True)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.worlds.soak", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
