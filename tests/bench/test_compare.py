"""The comparison in small, for what it counts: objects seen, writes, reads, requests. Never for a time.

Peers take part as far as they can be had: Go peers when they are built or there is a Go to build them, Python peers
when they are installed. Who is missing is named in the reason of a skipped test.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.compare.cells import Cells
from bench.compare.contestants import CONTESTANTS, CONTROLLER, OURS
from bench.compare.ledger import Ledger
from bench.compare.options import Options
from bench.compare.report import report
from bench.compare.run import Run
from bench.peers import go
from bench.peers.python import environment
from bench.progress import Progress

SIZE, TRIALS = 40, 4
GO, PYTHON = go.at_hand(), environment.at_hand()
SIDES = [OURS, pytest.param(CONTROLLER, marks=pytest.mark.skipif(not GO, reason="no Go, and no Go peers in the cache"))]
COUNTED = {
    "rollout-writes": 1,
    "rollout-reads": 0,
    "restart-writes": 0,
    "restart-reads": 0,
    "restart-few-writes": 0,
    "restart-few-reads": 0,
    "idle-others": 0,
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    peers = {(True, True): "all", (True, False): "go", (False, True): "python", (False, False): "none"}[GO, PYTHON]
    groups = ("cold-sync", "events", "footprint", "restart", "latency", "rollout", "cost", "idle")
    only = [f"--only={name}" for name in groups]
    small = [f"--size={SIZE}", f"--trials={TRIALS}", "--turns=1", f"--events={SIZE}", "--idle=2", f"--peers={peers}"]
    file = tmp_path_factory.mktemp("bench") / "compare.json"
    options = Options.parse([*small, *only, f"--json={file}"])
    Run(options, Progress(), Ledger.opened(file, resume=False)).measure()
    found: Mapping[str, Any] = json.loads(file.read_text())
    return found


@pytest.fixture(scope="module")
def cells(document: Mapping[str, Any]) -> Cells:
    return Cells.of_json(document["cells"])


def _value(cells: Cells, measure: str, size: int, contestant: str) -> float:
    cell = cells.get(measure, size, contestant)
    assert cell is not None, f"{measure} of {contestant} was not measured"
    return cell.value


@pytest.mark.cluster
@pytest.mark.parametrize("contestant", CONTESTANTS, ids=lambda contestant: contestant.name)
def test_every_cache_saw_every_object_and_every_event(cells: Cells, contestant: Any) -> None:
    if not {"ours": True, "go": GO, "python": PYTHON}[contestant.kind]:
        pytest.skip(f"the {contestant.kind} peers are not at hand: `make bench` gets them")
    assert _value(cells, "cache-objects", SIZE, contestant.name) == SIZE + 1
    for measure in ("cold-sync", "event-cpu", "event-rate"):
        assert _value(cells, measure, SIZE, contestant.name) > 0


@pytest.mark.cluster
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("measure", COUNTED)
def test_controllers_do_what_is_needed_and_no_more(cells: Cells, side: str, measure: str) -> None:
    assert _value(cells, measure, SIZE, side) == COUNTED[measure]


@pytest.mark.cluster
def test_what_a_target_costs(cells: Cells) -> None:
    # Create: two applies and a look at the pod template. Edit: one apply. Opt-out: a live look and a deletion.
    assert _value(cells, "cost-objects", TRIALS, OURS) == 3 + 1 + 2
    if GO:
        assert _value(cells, "cost-objects", TRIALS, CONTROLLER) == 2 + 1 + 1


@pytest.mark.cluster
def test_nothing_that_was_planned_is_missing(document: Mapping[str, Any]) -> None:
    assert document["gaps"] == []
    assert {part["turns"] for part in document["parts"].values()} == {1}
    if GO:
        assert "not measured" not in report(document).partition("What has to be known")[0]


@pytest.mark.cluster
def test_the_report_has_goals_and_clauses_and_names_no_machine(document: Mapping[str, Any]) -> None:
    text = report(document)
    assert "restart with all targets converged: writes | 40 |" in text
    assert "Who needs all objects gains nothing from this" in text
    everything = text + json.dumps(document)
    assert platform.node() not in everything
    assert str(Path(__file__).parents[2]) not in everything
