"""Grafana dashboards, from rows of panels that are a title and queries: what the operator does, and what is backed up.

JOB in a query becomes the selector of the jobs that the board's variable chooses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

_COLUMNS: Final = 24
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """Queries with their legends; `stat` panels show the last value, others a course."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    stat: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    name: str
    title: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def _quantile(of: str, by: str, at: float = 0.99) -> str:
    return f"histogram_quantile({at}, sum by (le, {by}) (rate({of}_bucket{{JOB}}[$__rate_interval])))"


def _rate(of: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({of}{{JOB{more}}}[$__rate_interval]))"


INTERNALS: Final = Board(
    "operator",
    "Autobackup: operator",
    (
        (
            "Replicas",
            (
                Panel("Leads", (("leader_election_master_status{JOB}", "{{instance}}"),), stat=True),
                Panel("Version", (("count by (version) (autobackup_build_info{JOB})", "{{version}}"),), stat=True),
                Panel(
                    "Caches complete",
                    (("min by (instance) (autobackup_informer_synced{JOB})", "{{instance}}"),),
                    stat=True,
                ),
                Panel(
                    "Renewals that took more than one request",
                    (("sum by (instance) (increase(leader_election_slowpath_total{JOB}[1h]))", "{{instance}}"),),
                    stat=True,
                ),
            ),
        ),
        (
            "Work",
            (
                Panel(
                    "Reconciles",
                    ((_rate("controller_runtime_reconcile_total", "controller, result"), "{{controller}} {{result}}"),),
                    "ops",
                ),
                Panel(
                    "Time of a reconcile, p99",
                    ((_quantile("controller_runtime_reconcile_time_seconds", "controller"), "{{controller}}"),),
                    "s",
                ),
                Panel(
                    "Failures",
                    (
                        (_rate("controller_runtime_reconcile_errors_total", "controller"), "{{controller}} errors"),
                        (
                            _rate("controller_runtime_terminal_reconcile_errors_total", "controller"),
                            "{{controller}} terminal",
                        ),
                        (_rate("controller_runtime_reconcile_panics_total", "controller"), "{{controller}} panics"),
                        (_rate("controller_runtime_reconcile_timeouts_total", "controller"), "{{controller}} timeouts"),
                    ),
                    "ops",
                ),
                Panel(
                    "Busy workers", (("sum by (instance) (controller_runtime_active_workers{JOB})", "{{instance}}"),)
                ),
            ),
        ),
        (
            "Queue",
            (
                Panel("Waiting, by priority", (("sum by (priority) (workqueue_depth{JOB})", "{{priority}}"),)),
                Panel(
                    "Time in the queue, p99",
                    ((_quantile("workqueue_queue_duration_seconds", "instance"), "{{instance}}"),),
                    "s",
                ),
                Panel(
                    "Added and tried again",
                    (
                        (_rate("workqueue_adds_total", "instance"), "{{instance}} added"),
                        (_rate("workqueue_retries_total", "instance"), "{{instance}} again"),
                    ),
                    "ops",
                ),
                Panel(
                    "Longest work under way",
                    (("max by (instance) (workqueue_longest_running_processor_seconds{JOB})", "{{instance}}"),),
                    "s",
                ),
            ),
        ),
        (
            "API server",
            (
                Panel(
                    "Requests", ((_rate("rest_client_requests_total", "method, code"), "{{method}} {{code}}"),), "reqps"
                ),
                Panel(
                    "Time of a request, p99",
                    ((_quantile("rest_client_request_duration_seconds", "verb"), "{{verb}}"),),
                    "s",
                ),
                Panel("Writes", ((_rate("autobackup_apply_total", "kind, result"), "{{kind}} {{result}}"),), "ops"),
                Panel(
                    "Left alone because somebody undoes it",
                    (("sum by (kind) (increase(autobackup_applier_oscillation_total{JOB}[1h]))", "{{kind}}"),),
                ),
            ),
        ),
        (
            "Caches",
            (
                Panel("Objects", (("max by (resource) (autobackup_informer_objects{JOB})", "{{resource}}"),)),
                Panel(
                    "Since the last event or bookmark",
                    (
                        (
                            "time() - min by (resource) (autobackup_informer_last_event_timestamp_seconds{JOB})",
                            "{{resource}}",
                        ),
                    ),
                    "s",
                ),
                Panel(
                    "Watches opened anew",
                    ((_rate("autobackup_watch_restarts_total", "resource, reason"), "{{resource}} {{reason}}"),),
                    "ops",
                ),
                Panel(
                    "Left out",
                    (
                        (_rate("autobackup_decode_errors_total", "resource"), "{{resource}} not decoded"),
                        (_rate("autobackup_handler_errors_total", "resource"), "{{resource}} handler"),
                    ),
                    "ops",
                ),
            ),
        ),
        (
            "Process",
            (
                Panel("Memory", (("process_resident_memory_bytes{JOB}", "{{instance}}"),), "bytes"),
                Panel("CPU", ((_rate("process_cpu_seconds_total", "instance"), "{{instance}}"),), "percentunit"),
                Panel(
                    "Lag of the event loop, p99",
                    ((_quantile("autobackup_event_loop_lag_seconds", "instance"), "{{instance}}"),),
                    "s",
                ),
                Panel("Open files", (("process_open_fds{JOB}", "{{instance}}"),)),
            ),
        ),
    ),
)

_CONFIGURED: Final = 'sum(max by (kind) (autobackup_targets{JOB, state="configured"}))'
_ASKED: Final = "sum(max by (kind, state) (autobackup_targets{JOB}))"

OVERVIEW: Final = Board(
    "overview",
    "Autobackup: overview",
    (
        (
            "Now",
            (
                Panel("Targets that get their backup", ((f"{_CONFIGURED} / {_ASKED}", ""),), "percentunit", stat=True),
                Panel("Configured", ((_CONFIGURED, ""),), stat=True),
                Panel(
                    "Waiting",
                    (('sum(max by (kind) (autobackup_targets{JOB, state="waiting"})) or vector(0)', ""),),
                    stat=True,
                ),
                Panel(
                    "Failed",
                    (('sum(max by (kind) (autobackup_targets{JOB, state="failed"})) or vector(0)', ""),),
                    stat=True,
                ),
            ),
        ),
        (
            "Targets",
            (
                Panel("By kind and state", (("max by (kind, state) (autobackup_targets{JOB})", "{{kind}} {{state}}"),)),
                Panel(
                    "Against yesterday",
                    ((f"{_CONFIGURED} - {_CONFIGURED.replace('}))', '} offset 1d))')}", "configured"),),
                    signed=True,
                ),
            ),
        ),
        (
            "Objects",
            (
                Panel(
                    "Blueprints, Repositories, BackupConfigurations",
                    (
                        (
                            "max by (resource) (autobackup_informer_objects{JOB, "
                            'resource=~"backupblueprints|repositories|backupconfigurations"})',
                            "{{resource}}",
                        ),
                    ),
                ),
                Panel(
                    "Blueprints resolved for targets",
                    ((_rate("autobackup_resolve_total", "result"), "{{result}}"),),
                    "ops",
                ),
            ),
        ),
        (
            "Changes",
            (
                Panel("Written", ((_rate("autobackup_apply_total", "kind", ', result="applied"'), "{{kind}}"),), "ops"),
                Panel(
                    "Refused or failed",
                    (
                        (
                            _rate("autobackup_apply_total", "kind, result", ', result!~"applied|noop"'),
                            "{{kind}} {{result}}",
                        ),
                    ),
                    "ops",
                ),
                Panel(
                    "Events not written", ((_rate("autobackup_events_dropped_total", "reason"), "{{reason}}"),), "ops"
                ),
            ),
        ),
        (
            "Copies of storage Secrets",
            (
                Panel("Wanted, by state", (("sum by (state) (autobackup_secret_copies{JOB})", "{{state}}"),)),
                Panel("Written", ((_rate("autobackup_secret_copy_writes_total", "result"), "{{result}}"),), "ops"),
            ),
        ),
    ),
)
BOARDS: Final = (INTERNALS, OVERVIEW)


def render(board: Board) -> str:
    """The board as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in board.rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"h": 1, "w": _COLUMNS, "x": 0, "y": y},
            }
        )
        width, height = _COLUMNS // len(row), 4 if row[0].stat else 8
        for column, panel in enumerate(row):
            place = {"h": height, "w": width, "x": column * width, "y": y + 1}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_panel(panel)})
        y += height + 1
    return json.dumps(_board(board, panels), indent=2) + "\n"


def _panel(panel: Panel) -> dict[str, Any]:
    queries = [
        {
            "refId": chr(ord("A") + index),
            "expr": query.replace("JOB", 'job=~"$job"'),
            "legendFormat": legend,
            "datasource": _DATASOURCE,
        }
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "datasource": _DATASOURCE,
        "targets": queries,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": None if panel.signed else 0}, "overrides": []},
        "options": {},
    }


def _board(board: Board, panels: list[dict[str, Any]]) -> dict[str, Any]:
    variables: list[dict[str, Any]] = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "job",
            "type": "query",
            "label": "Job",
            "datasource": _DATASOURCE,
            "query": "label_values(autobackup_build_info, job)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "current": {"text": "autobackup", "value": ["autobackup"]},
        },
    ]
    return {
        "uid": f"autobackup-{board.name}",
        "title": board.title,
        "tags": ["autobackup"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": panels,
    }
