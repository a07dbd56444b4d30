"""A real Prometheus scrapes a real operator, with the alerts that are shipped and the queries of the dashboards."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.autobackup import probes
from tests.autobackup.stage import Stage
from tests.manifests.promql import metrics, queries
from tests.manifests.test_alerts import ALERTS, CASES
from tests.support.cluster import grant
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, wait_for
from tools.image.debian import PackagesMissing, find_program, require_programs
from tools.manifests.dashboards import BOARDS
from tools.manifests.dashboards import render as render_board

# Series that begin with the first thing of their kind, none of which has to happen here.
NOT_YET = {
    "autobackup_applier_oscillation_total",
    "autobackup_decode_errors_total",
    "autobackup_handler_errors_total",
    "autobackup_watch_restarts_total",
}


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str

    def ask(self, path: str, **query: str) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            with refused:
                raise AssertionError(f"{query or path}: {refused.read().decode()}") from None
        except OSError as error:
            raise AssertionError(f"no answer yet: {error}") from None

    def series(self, expression: str) -> list[Any]:
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found


@pytest.fixture
def at_work(plane: ControlPlane, admin: ApiClient, config_file: Path, stage: Stage) -> Iterator[str]:
    """host:port of the metrics of an operator that has configured one target and refused another."""
    reader = admin.get("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-metrics-reader")
    grant(admin, plane.users["alice"], reader["rules"])
    with OperatorProcess(plane.kubeconfig("operator"), f"--config={config_file}", *probes.SERVE) as process:
        probes.started(process)
        blueprint = stage.blueprint()
        stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
        stage.configured("deploy-shop")
        stage.create("PersistentVolumeClaim", "bad", {"stash.appscode.com/backup-blueprint": "absent"})
        stage.event("bad", "BlueprintNotFound")
        yield urllib.parse.urlsplit(probes.url(process, "metricsAddress")).netloc
        process.terminate()  # which gives the Lease back


@pytest.fixture
def prometheus(plane: ControlPlane, at_work: str, tmp_path: Path) -> Iterator[Prometheus]:
    """It scrapes as docs/how-to/monitor.md says, but for where it finds the operator."""
    try:
        require_programs({"prometheus": "prometheus"}, purpose="scraping the operator")
    except PackagesMissing as error:
        pytest.skip(str(error))
    scrape = {
        "job_name": "autobackup",
        "scheme": "https",
        "authorization": {"credentials": plane.users["alice"].token},
        "tls_config": {"insecure_skip_verify": True},
        "static_configs": [{"targets": [at_work]}],
    }
    every_second = {"scrape_interval": "1s", "evaluation_interval": "1s", "scrape_timeout": "1s"}
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump({"global": every_second, "scrape_configs": [scrape], "rule_files": [str(ALERTS)]}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    program = find_program("prometheus")
    assert program is not None
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
    ]
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out) as running:
        try:
            found = Prometheus(f"http://{address}")
            wait_for(
                lambda: found.series("count_over_time(up[1m]) > 3 and up == 1"),
                40,
                what="Prometheus to have scraped",
                state=lambda: found.ask("targets")["activeTargets"],
            )
            yield found
        finally:
            running.terminate()


def test_everything_that_is_asked_of_a_live_prometheus_has_an_answer(prometheus: Prometheus) -> None:
    groups = wait_for(lambda: _evaluated(prometheus.ask("rules")["groups"]), 20, what="the alerts to be evaluated")
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == set(CASES)
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
    assert prometheus.series("leader_election_master_status{job='autobackup'} == 1")

    empty = []
    for board in BOARDS:
        for query in queries(json.loads(render_board(board))):
            if not prometheus.series(query):
                empty.append((query, metrics(query)))
    unexplained = [
        query
        for query, named in empty
        # A day ago there was nothing, and nothing has been refused.
        if not named & NOT_YET and " offset " not in query and 'result!~"applied|noop"' not in query
    ]
    assert unexplained == []


def _evaluated(groups: list[Any]) -> list[Any] | None:
    done = groups and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])
    return groups if done else None
