"""What can be learned from a running operator without a cluster: its log, its probes, its metrics."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.operator import OperatorProcess
from tools.controlplane import wait_for

SERVE = ("--health-address=127.0.0.1:0", "--metrics-address=127.0.0.1:0")
"""Flags for an operator whose probes and metrics are looked at."""
START = 60.0
"""How many seconds the start of a process may take on a busy machine."""

_WORK = ("workqueue_depth", "controller_runtime_active_workers", "workqueue_unfinished_work_seconds")


def entries(process: OperatorProcess, *levels: str, since: int = 0) -> list[dict[str, Any]]:
    """The lines of the log after the first `since` ones, of these levels (all, if none is given)."""
    lines = process.log().splitlines()[since:]
    found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
    return [entry for entry in found if not levels or entry["level"] in levels]


def length(process: OperatorProcess) -> int:
    """How many lines the log has now: a mark for `entries`."""
    return len(process.log().splitlines())


def complaints(process: OperatorProcess, *, since: int = 0) -> list[dict[str, Any]]:
    """What the operator thinks somebody should look at."""
    return entries(process, "warning", "error", "critical", since=since)


def relists(process: OperatorProcess) -> list[str]:
    """Why collections were read again as a whole."""
    return [entry["reason"] for entry in entries(process) if entry["msg"] == "Reading a whole collection again"]


def started(process: OperatorProcess) -> None:
    """Wait until the operator is at work: its caches are complete."""
    wait_for(
        lambda: any(entry["msg"] == "Caches are complete" for entry in entries(process)),
        START,
        what="the operator to be at work",
        state=process.tail,
    )


def url(process: OperatorProcess, option: str) -> str:
    """Where the operator serves; with port 0 only it knows."""

    def told() -> str:
        assert process.exit_code is None, process.tail()
        return next((e["url"] for e in entries(process) if e["msg"] == "Serving" and e["option"] == option), "")

    return wait_for(told, START, what=f"{option} to be served", state=process.tail)


def fetch(address: str, method: str = "GET") -> tuple[int, str]:
    """Status and text of an answer, whatever the status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def probe(process: OperatorProcess, path: str) -> tuple[int, str]:
    return fetch(url(process, "healthAddress") + path)


def metrics(process: OperatorProcess) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of /metrics, by name and sorted labels."""
    status, text = fetch(url(process, "metricsAddress") + "/metrics")
    assert status == 200, text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(process: OperatorProcess, metric: str, /, **labels: str) -> float:
    """The sum of a metric over all samples with these labels."""
    return sum(
        value
        for (found, given), value in metrics(process).items()
        if found == metric and labels.items() <= dict(given).items()
    )


def at_rest(process: OperatorProcess) -> bool:
    """Whether nothing is being worked on and nothing is ready to be."""
    found = metrics(process)
    return not any(value for (name, _), value in found.items() if name in _WORK)
