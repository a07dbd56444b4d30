"""A run without servers: its plan, what a failure costs, how it is continued, what the table says of a missing cell."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import pytest

from bench.compare import ledger as ledgers
from bench.compare import run as runs
from bench.compare.cells import Cells
from bench.compare.contestants import CONTROLLER, METADATA, OURS
from bench.compare.gaps import Gap, Gaps, reason
from bench.compare.goals import GOALS
from bench.compare.ledger import AnotherCommit, Ledger
from bench.compare.limits import TookTooLong, limit
from bench.compare.measures import MEASURES
from bench.compare.options import GROUPS, Options
from bench.compare.plan import LEAST, Part, Stage, described, fitted, planned
from bench.compare.report import report
from bench.compare.run import Run
from bench.progress import Progress

SAMPLE = {"cold-sync": "cold-sync", "latency": "latency-p50", "rollout": "rollout", "restart": "restart"}


class Stub:
    """A stage without servers: what a part gives is scripted by its group and turn."""

    failing: ClassVar[set[tuple[str, int]]]
    broken: ClassVar[set[str]]
    taken: ClassVar[list[tuple[str, int]]]
    mended: ClassVar[int]

    def __init__(self, stage: Stage, **_: Any) -> None:
        self.stage = stage

    def __enter__(self) -> Stub:
        if self.stage.kind in self.broken:
            raise RuntimeError("no servers at /tmp/somewhere/here")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def take(self, part: Part, turn: int, taken: Cells) -> None:
        self.taken.append((part.group, turn))
        taken.add(SAMPLE[part.group], part.size, OURS, float(turn))
        if (part.group, turn) in self.failing:
            raise RuntimeError("it fell over | twice")
        taken.add(SAMPLE[part.group], part.size, CONTROLLER, float(turn))

    def mend(self) -> None:
        Stub.mended += 1


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> type[Stub]:
    Stub.failing, Stub.broken, Stub.taken, Stub.mended = set(), set(), [], 0
    monkeypatch.setattr(runs, "playing", lambda stage: Stub)
    return Stub


def run(file: Path, *arguments: str, resume: bool = False) -> dict[str, Any]:
    only = [f"--only={group}" for group in SAMPLE]
    options = Options.parse(["--size=50", "--peers=none", "--turns=3", *only, *arguments])
    Run(options, Progress(), Ledger.opened(file, resume=resume)).measure()
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_everything_has_its_first_turn_before_anything_has_its_second(stub: type[Stub], tmp_path: Path) -> None:
    document = run(tmp_path / "results.json")
    of_controllers = [taken for taken in stub.taken if taken[0] != "cold-sync"]
    assert of_controllers == [(group, turn) for turn in range(3) for group in ("restart", "latency", "rollout")]
    assert {part["turns"] for part in document["parts"].values()} == {3}
    assert document["gaps"] == []


def test_what_fails_costs_its_own_cells_and_is_told(stub: type[Stub], tmp_path: Path) -> None:
    stub.failing = {("latency", 0), ("rollout", 1)}
    document = run(tmp_path / "results.json")
    cells = Cells.of_json(document["cells"])
    ours, theirs = (cells.get("rollout", 50, name) for name in (OURS, CONTROLLER))
    assert ours is not None
    assert theirs is not None
    assert (ours.samples, theirs.samples) == ((0.0, 1.0), (0.0,))
    whole = cells.get("restart", 50, CONTROLLER)
    assert whole is not None
    assert len(whole.samples) == 3
    assert ("latency", 1) not in stub.taken
    assert stub.mended == 2
    assert "not measured: it fell over / twice" in report(document)


def test_servers_that_do_not_start_cost_one_stage(stub: type[Stub], tmp_path: Path) -> None:
    stub.broken = {"controllers"}
    document = run(tmp_path / "results.json")
    assert {group for group, _ in stub.taken} == {"cold-sync"}
    text = report(document)
    assert "not measured: no servers at here" in text
    assert "/tmp" not in text


def test_a_run_goes_on_where_it_was_broken_off(
    stub: type[Stub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "results.json"
    stub.failing = {("rollout", 1)}
    take = Stub.take

    def interrupted(self: Stub, part: Part, turn: int, taken: Cells) -> None:
        if (part.group, turn) == ("latency", 2):
            raise KeyboardInterrupt
        take(self, part, turn, taken)

    with monkeypatch.context() as patch:
        patch.setattr(Stub, "take", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(file)
    stub.failing.clear()
    stub.taken.clear()
    document = run(file, resume=True)
    # What failed begins again; of what was cut short only the rest is taken; what is complete is left alone.
    assert sorted(stub.taken) == [("latency", 2), ("rollout", 0), ("rollout", 1), ("rollout", 2)]
    assert document["gaps"] == []
    assert {len(cell["samples"]) for cell in document["cells"]} == {3}
    stub.taken.clear()
    run(file, resume=True)
    assert stub.taken == []


def test_a_file_of_another_commit_is_not_continued(
    stub: type[Stub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "results.json")
    monkeypatch.setattr(ledgers, "commit", lambda: "another")
    with pytest.raises(AnotherCommit, match="begin a new run"):
        run(tmp_path / "results.json", resume=True)


def test_a_measure_that_hangs_is_ended() -> None:
    with pytest.raises(TookTooLong), limit(0.05):
        time.sleep(30)
    with limit(0.05):
        pass
    time.sleep(0.1)  # the alarm of a limit that was left does not ring


def test_turns_are_given_up_for_time_and_cells_never_are() -> None:
    stages = planned(Options.parse([]))
    wanted = sum(stage.left({}) for stage in stages)
    assert fitted(stages, wanted, {}) == stages
    few = planned(Options.parse(["--turns=2"]))
    assert fitted(few, wanted, {}) == few
    short = fitted(stages, wanted / 10, {})
    assert [(stage.name, [part.name for part in stage.parts]) for stage in short] == [
        (stage.name, [part.name for part in stage.parts]) for stage in stages
    ]
    for before, after in zip(stages, short, strict=True):
        assert [part.turns for part in after.parts] == [min(part.turns, LEAST) for part in before.parts]
        assert {part.slow_turns for part in after.parts} <= {0, 1}
    # A stage that is done takes no time, not even that of its servers.
    done = {part.name: part.turns for part in stages[0].parts}
    assert stages[0].left(done) == 0
    assert f"{stages[0].name}:" not in " ".join(described(stages, done))


def test_who_is_slow_comes_in_the_last_turns() -> None:
    part = Part("cold-sync", 10, turns=3, seconds=100.0, quick=10.0, slow_turns=1)
    assert [part.everybody(turn) for turn in range(3)] == [False, False, True]
    assert (part.left(0), part.left(2)) == (120.0, 100.0)


def test_every_goal_is_planned_for() -> None:
    planned_groups = {part.group for stage in planned(Options.parse([])) for part in stage.parts}
    assert planned_groups == set(GROUPS)
    assert {MEASURES[goal.measure].group for goal in GOALS} <= planned_groups


def test_a_plan_has_no_peers_that_nobody_asked_for() -> None:
    alone, all_of_them = (
        sum(stage.left({}) for stage in planned(Options.parse([f"--peers={peers}"]))) for peers in ("none", "all")
    )
    assert alone < all_of_them * 0.8


def test_a_reason_is_a_line_without_folders() -> None:
    group = ExceptionGroup("several", [ValueError("/home/me/.cache/go/x.go: bad | worse\nsecond line")])
    assert reason(group) == "x.go: bad / worse"
    assert reason(ValueError()) == "ValueError"
    assert reason(ValueError("0/5 are ready")) == "0/5 are ready"
    assert len(reason(ValueError("x" * 500))) < 150


def test_a_table_says_why_a_cell_is_empty() -> None:
    cells = Cells()
    cells.add("cold-sync", 10, OURS, 1.0)
    cells.add("cold-sync", 10, "kopf", 7.0)
    cells.add("cold-sync", 100, OURS, 2.0)
    gaps = Gaps([Gap("cold-sync", 100, "kopf", "too slow", failed=False), Gap("cold-sync", 100, METADATA, "no Go")])
    expected = [{"group": "cold-sync", "size": size} for size in (10, 100)] + [{"group": "restart", "size": 10}]
    text = report({"machine": {}, "cells": cells.as_json(), "gaps": gaps.as_json(), "expected": expected})
    assert "| kopf, on.event | 7 | not measured: too slow |" in text
    assert "not measured: no Go, client-go, metadata informer" in text
    assert "| restart with all targets converged → steady | 10 |" in text
