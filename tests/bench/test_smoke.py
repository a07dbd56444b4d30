"""The quick benchmark in small, for what it counts: objects held, writes, reads, requests. Never for a time."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.options import Options
from bench.progress import Progress
from bench.quick import Run, report

OBJECTS, ANNOTATED, TRIALS = 60, 12, 3
COUNTED = {
    ("requests", "claim_writes"): 2,
    ("requests", "claim_reads"): 0,
    ("requests", "claim_events"): 2,
    ("requests", "workload_writes"): 2,
    ("requests", "workload_reads"): 1,
    ("requests", "workload_events"): 2,
    ("rollout", "writes"): 1,
    ("rollout", "reads"): 0,
    ("rollout", "events"): 1,
    ("restart", "writes"): 0,
    ("restart", "reads"): 0,
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    file = tmp_path_factory.mktemp("bench") / "quick.json"
    arguments = [f"--objects={OBJECTS}", f"--annotated={ANNOTATED}", f"--trials={TRIALS}", "--rounds=1"]
    measures = [f"--only={name}" for name in ("sync", "memory", "latency", "rollout", "restart")]
    run = Run(Options.parse([*arguments, *measures, f"--json={file}"]), Progress())
    run.measure()
    found: Mapping[str, Any] = json.loads(json.dumps(run.as_json()))
    assert report(dict(found), run.figures).count("\n") > len(run.figures)
    return found


@pytest.mark.cluster
def test_counts_are_what_they_should_be(document: Mapping[str, Any]) -> None:
    figures = {(figure["group"], figure["name"]): figure for figure in document["figures"]}
    # The contenders themselves check that they saw all objects, and hold those that ask for backup and no others.
    assert {"informer", "socket", "aiohttp"} <= {name for group, name in figures if group == "cold_sync"}
    counts = {which: set(figures[which]["samples"]) for which in COUNTED}
    assert counts == {which: {float(number)} for which, number in COUNTED.items()}
    # One for each look at the status while it changes, and a last one: not one for each target.
    assert figures["requests", "statuses"]["value"] * 2 * TRIALS <= 2 * TRIALS
    assert figures["rollout", "statuses"]["value"] <= 4


@pytest.mark.cluster
def test_every_goal_is_stated_beside_a_measured_figure(document: Mapping[str, Any]) -> None:
    goals = {(figure["group"], figure["name"]) for figure in document["figures"] if figure["goal"]}
    assert goals >= {
        ("cold_sync", "ratio_socket"),
        ("memory", "stored"),
        ("memory", "skipped"),
        ("stall", "wall"),
        ("latency", "claim_p50"),
        ("latency", "claim_p99"),
        ("latency", "workload_p50"),
        ("requests", "claim_writes"),
        ("requests", "claim_reads"),
        ("restart", "writes"),
        ("restart", "reads"),
        ("rollout", "seconds"),
    }
    assert all(figure["samples"] for figure in document["figures"])


@pytest.mark.cluster
def test_results_name_no_machine(document: Mapping[str, Any]) -> None:
    text = json.dumps(document)
    assert platform.node() not in text
    assert str(Path(__file__).parents[2]) not in text
    assert {"cores", "python", "kube-apiserver", "etcd"} <= set(document["machine"])
