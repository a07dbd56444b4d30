"""Alerts fire when they should and not when they should not, name metrics that exist, and have a page each."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import metrics as known
from controller.families import FAMILIES
from reconcilers.ports import SecretState
from tests.docs.markdown import ROOT
from tests.manifests.promql import family, metrics, queries
from tools.image.debian import PackagesMissing, find_program, require_programs
from tools.manifests import render
from tools.manifests.dashboards import BOARDS
from tools.manifests.dashboards import render as render_board

ALERTS = ROOT / "manifests" / "monitoring" / "alerts.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
# What exists besides our own: Prometheus' `up`, and the client library's collectors.
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"}
JOB = 'job="autobackup"'
A, B = f'{JOB}, instance="a"', f'{JOB}, instance="b"'

Series = dict[str, str]
# For each alert: series (an interval of a minute) and the minute at which it fires; then the same for when it is quiet.
CASES: dict[str, tuple[tuple[Series, str], tuple[Series, str]]] = {
    "AutobackupDown": (
        ({f"up{{{A}}}": "0x20", f"up{{{B}}}": "0x20"}, "10m"),
        ({f"up{{{A}}}": "0x20", f"up{{{B}}}": "1x20"}, "10m"),
    ),
    "AutobackupNoLeader": (
        ({f"leader_election_master_status{{{A}}}": "0x20", f"leader_election_master_status{{{B}}}": "0x20"}, "5m"),
        ({f"leader_election_master_status{{{A}}}": "0x20", f"leader_election_master_status{{{B}}}": "1x20"}, "5m"),
    ),
    "AutobackupTwoLeaders": (
        ({f"leader_election_master_status{{{A}}}": "1x20", f"leader_election_master_status{{{B}}}": "1x20"}, "5m"),
        (
            {f"leader_election_master_status{{{A}}}": "1 1 0x20", f"leader_election_master_status{{{B}}}": "0 1 1x20"},
            "5m",
        ),
    ),
    "AutobackupLeaderFlapping": (
        ({f"leader_election_master_status{{{A}}}": "0 1 0 1 0 1 0 1 0x60"}, "30m"),
        ({f"leader_election_master_status{{{A}}}": "0 1 0 1 0x60"}, "30m"),
    ),
    "AutobackupVersionsDiffer": (
        (
            {
                f'autobackup_build_info{{{A}, version="1"}}': "1x90",
                f'autobackup_build_info{{{B}, version="2"}}': "1x90",
            },
            "70m",
        ),
        (
            {
                f'autobackup_build_info{{{A}, version="1"}}': "1x30 _x60",
                f'autobackup_build_info{{{B}, version="2"}}': "1x90",
            },
            "70m",
        ),
    ),
    "AutobackupCacheIncomplete": (
        ({f'autobackup_informer_synced{{{A}, resource="deployments"}}': "0x30"}, "15m"),
        ({f'autobackup_informer_synced{{{A}, resource="deployments"}}': "0x5 1x30"}, "15m"),
    ),
    "AutobackupWatchStale": (
        ({f'autobackup_informer_last_event_timestamp_seconds{{{A}, resource="deployments"}}': "0x60"}, "30m"),
        ({f'autobackup_informer_last_event_timestamp_seconds{{{A}, resource="deployments"}}': "0+60x60"}, "30m"),
    ),
    "AutobackupDecodeErrors": (
        ({f'autobackup_decode_errors_total{{{A}, resource="deployments"}}': "_x40 1x20"}, "45m"),
        ({f'autobackup_decode_errors_total{{{A}, resource="deployments"}}': "1x120"}, "60m"),
    ),
    "AutobackupReconcileErrors": (
        (
            {
                f"controller_runtime_reconcile_errors_total{{{A}}}": "0+3x60",
                f"controller_runtime_reconcile_total{{{A}}}": "0+10x60",
            },
            "40m",
        ),
        (
            {
                f"controller_runtime_reconcile_errors_total{{{A}}}": "0+1x60",
                f"controller_runtime_reconcile_total{{{A}}}": "0+10x60",
            },
            "40m",
        ),
    ),
    "AutobackupReconcilePanics": (
        ({f'controller_runtime_reconcile_panics_total{{{A}, controller="Deployment"}}': "0x20 1x40"}, "30m"),
        ({f'controller_runtime_reconcile_panics_total{{{A}, controller="Deployment"}}': "3x90"}, "60m"),
    ),
    "AutobackupWorkStuck": (
        ({f"workqueue_longest_running_processor_seconds{{{A}}}": "0+60x30"}, "10m"),
        ({f"workqueue_longest_running_processor_seconds{{{A}}}": "30x30"}, "10m"),
    ),
    "AutobackupQueueGrowing": (
        (
            {
                f'workqueue_depth{{{A}, priority="0"}}': "60x30",
                f'workqueue_depth{{{A}, priority="-50"}}': "60x30",
            },
            "20m",
        ),
        ({f'workqueue_depth{{{A}, priority="-50"}}': "9000x10 0 9000x20"}, "20m"),
    ),
    "AutobackupTargetsFailing": (
        ({f'autobackup_targets{{{A}, kind="Deployment", state="failed"}}': "2x60"}, "40m"),
        ({f'autobackup_targets{{{A}, kind="Deployment", state="failed"}}': "2x20 0x40"}, "40m"),
    ),
    "AutobackupCoverageDropped": (
        ({f'autobackup_targets{{{A}, kind="Deployment", state="configured"}}': "100x1440 80x120"}, "1510m"),
        (
            {
                f'autobackup_targets{{{A}, kind="Deployment", state="configured"}}': "100x1440 _x120",
                f'autobackup_targets{{{B}, kind="Deployment", state="configured"}}': "_x1440 95x120",
            },
            "1510m",
        ),
    ),
    "AutobackupWritesRefused": (
        ({f'autobackup_apply_total{{{A}, kind="Repository", result="denied"}}': "0+1x60"}, "40m"),
        ({f'autobackup_apply_total{{{A}, kind="Repository", result="applied"}}': "0+1x60"}, "40m"),
    ),
    "AutobackupWritesUndone": (
        ({f'autobackup_applier_oscillation_total{{{A}, kind="Repository"}}': "_x70 1x60"}, "90m"),
        ({f'autobackup_applier_oscillation_total{{{A}, kind="Repository"}}': "1x200"}, "120m"),
    ),
    "AutobackupSecretCopiesMissing": (
        ({f'autobackup_secret_copies{{{A}, state="Forbidden"}}': "2x60"}, "40m"),
        ({f'autobackup_secret_copies{{{A}, state="Found"}}': "2x60"}, "40m"),
    ),
    "AutobackupApiErrors": (
        (
            {
                f'rest_client_requests_total{{{A}, code="<error>"}}': "0+2x60",
                f'rest_client_requests_total{{{A}, code="200"}}': "0+8x60",
            },
            "40m",
        ),
        (
            {
                f'rest_client_requests_total{{{A}, code="409"}}': "0+2x60",
                f'rest_client_requests_total{{{A}, code="200"}}': "0+8x60",
            },
            "40m",
        ),
    ),
    "AutobackupEventsDropped": (
        ({f'autobackup_events_dropped_total{{{A}, reason="refused"}}': "0+1x90"}, "80m"),
        ({f'autobackup_events_dropped_total{{{A}, reason="shutdown"}}': "0+1x90"}, "80m"),
    ),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        require_programs({"promtool": "prometheus"}, purpose="testing alerts")
    except PackagesMissing as error:
        pytest.skip(str(error))
    found = find_program("promtool")
    assert found is not None
    return found


def case(name: str, series: Series, at: str, *, fires: bool) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{name}", alertstate="firing"}})'
    return {
        "name": f"{name} {'fires' if fires else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"{firing} >= bool 1",
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


def checked(promtool: str, folder: Path, cases: list[dict[str, Any]]) -> tuple[int, str]:
    file = folder / "cases.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": cases}))
    command = [promtool, "test", "rules", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.returncode, answer.stdout + answer.stderr


def test_every_alert_has_its_cases() -> None:
    assert [rule["alert"] for rule in RULES] == list(CASES)


def test_every_alert_fires_when_it_should_and_not_otherwise(promtool: str, tmp_path: Path) -> None:
    cases = []
    for name, ((firing, at), (quiet, then)) in CASES.items():
        cases += [case(name, firing, at, fires=True), case(name, quiet, then, fires=False)]
    code, said = checked(promtool, tmp_path, cases)
    assert code == 0, said


def test_a_wrong_expectation_is_found(promtool: str, tmp_path: Path) -> None:
    (firing, at), (quiet, then) = CASES["AutobackupNoLeader"]
    assert checked(promtool, tmp_path, [case("AutobackupNoLeader", firing, at, fires=False)])[0] != 0
    assert checked(promtool, tmp_path, [case("AutobackupNoLeader", quiet, then, fires=True)])[0] != 0


def test_prometheus_accepts_the_rules_as_the_chart_renders_them(promtool: str, tmp_path: Path) -> None:
    (rule,) = (each.content for each in render({"prometheusRule": {"enabled": True}}) if each.kind == "PrometheusRule")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    answer = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(RULES)} rules found" in answer.stdout
    (group,) = rule["spec"]["groups"]
    for found, written in zip(group["rules"], RULES, strict=True):
        page = found["annotations"].pop("runbook_url")
        assert (ROOT / page).is_file(), page
        assert found == written


def test_alerts_can_be_left_out_and_follow_the_name() -> None:
    values = {"prometheusRule": {"enabled": True, "disabled": ["AutobackupDown"]}, "nameOverride": "other"}
    (rule,) = (each.content for each in render(values) if each.kind == "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    assert {found["alert"] for found in group["rules"]} == set(CASES) - {"AutobackupDown"}
    for found in group["rules"]:
        assert 'job="other"' in found["expr"]
        assert JOB not in found["expr"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for board in BOARDS:
        for query in queries(json.loads(render_board(board))):
            yield board.name, query


def test_every_metric_that_is_asked_for_exists() -> None:
    ours = {found.name for found in FAMILIES}
    for where, expression in expressions():
        named = metrics(expression)
        assert named, expression
        assert {family(name) for name in named} - ours - OTHERS == set(), where


def test_the_dashboards_leave_no_metric_of_ours_out() -> None:
    shown = {family(name) for where, expression in expressions() for name in metrics(expression)}
    left_out = {found.name for found in FAMILIES} - shown
    assert left_out == {
        "controller_runtime_max_concurrent_reconciles",
        "workqueue_unfinished_work_seconds",
        "workqueue_work_duration_seconds",
    }


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (le, x) (rate(a_total{b="c", d=~"e(f)"}[5m])) / max(g offset 1d) > 0.2', {"a_total", "g"}),
        ('count by (version) (h{i="j"} unless k:l) or absent(m == 1)', {"h", "k:l", "m"}),
    ],
)
def test_names_are_found_in_promql(expression: str, names: set[str]) -> None:
    assert metrics(expression) == names


def test_labels_that_are_asked_for_have_these_values() -> None:
    asked = {
        (label, value)
        for _, expression in expressions()
        for label, values in re.findall(r'(state|result|reason)(?:=|!=|=~|!~)"([^"]*)"', expression)
        for value in values.split("|")
    }
    assert asked
    allowed = {
        "state": {*known.RESOLVE_RESULTS, *(state.value for state in SecretState)},
        "result": set(known.APPLY_RESULTS),
        "reason": set(known.DROP_REASONS),
    }
    assert {pair for pair in asked if pair[1] not in allowed[pair[0]]} == set()


def test_promtool_parses_every_query_of_the_dashboards(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"q:{number}", "expr": query} for number, (_, query) in enumerate(expressions())]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    answer = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", CASES)
def test_every_alert_has_a_runbook(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert f"({name}.md)" in (RUNBOOKS / "README.md").read_text()


def test_there_is_no_runbook_without_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*CASES, "README"}
