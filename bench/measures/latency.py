"""From the annotation to both objects, one target after the other, as a watch sees it that was open before.

In turn with it, the same requests by hand: one client that annotates something and applies the same two objects, one
after the other. That is what the API server itself needs, whoever asks.

What a target costs is counted in the API server's audit log, by the name of the target.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from time import perf_counter
from typing import Any

from bench.connection import APPLY, MERGE, Connection, send_all
from bench.figures import Figure, Goal
from bench.fleet import ANNOTATION, BLUEPRINT, CONFIGURATIONS, REPOSITORIES, claim, create_request, deployment
from bench.progress import Progress
from bench.scene import Scene, object_writes, other_writes, reads
from tools.controlplane import AuditEvent

P50_MS, P99_MS = Goal(15.0), Goal(50.0)
_NAMESPACE, _BY_HAND = "latency", "by-hand"
_PAUSE = 0.05
_PATIENCE = 30.0

_COLLECTIONS = {
    "claim": f"/api/v1/namespaces/{_NAMESPACE}/persistentvolumeclaims",
    "workload": f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments",
}
_TITLES = {"claim": "PVC", "workload": "Deployment"}
_ASK = {"metadata": {"annotations": {ANNOTATION: BLUEPRINT}}}

Event = tuple[float, dict[str, Any]]


def latency(scene: Scene, progress: Progress, *, trials: int) -> list[Figure]:
    progress.step("objects to annotate")
    asyncio.run(_prepare(scene, trials))
    scene.wait_quiet()
    mark = scene.plane.audit_log.mark()
    progress.step("annotate until both objects are applied")
    seconds = asyncio.run(_measure(scene, progress, trials))
    scene.wait_quiet()
    figures = []
    for kind, title in _TITLES.items():
        samples = tuple(second * 1e3 for second in seconds[kind])
        name = f"annotate to both applied, {title}"
        figures.append(Figure("latency", f"{kind}_p50", name, "ms", samples, "p50", P50_MS))
        figures.append(Figure("latency", f"{kind}_p99", name, "ms", samples, "p99", P99_MS))
    by_hand = tuple(second * 1e3 for second in seconds["by_hand"])
    for statistic in ("p50", "p99"):
        title = "the same three writes by one bare client"
        figures.append(Figure("latency", f"by_hand_{statistic}", title, "ms", by_hand, statistic))
    ratios = tuple(ours / theirs for ours, theirs in zip(seconds["claim"], seconds["by_hand"], strict=True))
    figures.append(Figure("latency", "claim_ratio", "annotate to both applied, PVC ÷ bare client", "x", ratios))
    return figures + costs(scene.requests(mark), trials)


def costs(events: list[AuditEvent], trials: int) -> list[Figure]:
    """Requests per target; the goals are for each single one of them."""
    figures = []
    for kind, title in _TITLES.items():
        about = {
            name: [event for event in events if name in (event.name or event.uri)] for name in _names(kind, trials)
        }
        for name, what, chosen, goal in (
            ("writes", "object writes", object_writes, Goal(2, exact=True)),
            ("reads", "reads", reads, Goal(1 if kind == "workload" else 0, exact=True)),
            ("events", "Events", _told, None),
        ):
            counts = tuple(float(len(chosen(found))) for found in about.values())
            figures.append(Figure("requests", f"{kind}_{name}", f"{what} per new {title}", "", counts, "mean", goal))
    statuses = len(other_writes(events)) / (trials * len(_TITLES))
    figures.append(Figure("requests", "statuses", "batched blueprint statuses per new target", "", (statuses,)))
    return figures


def _told(events: list[AuditEvent]) -> list[AuditEvent]:
    return [event for event in events if event.resource == "events"]


def _names(kind: str, trials: int) -> list[str]:
    return [f"{kind}-{number:04d}" for number in range(trials)]


async def _prepare(scene: Scene, trials: int) -> None:
    """Everything that is annotated later."""
    async with Connection(scene.plane) as connection:
        for name in (_NAMESPACE, _BY_HAND):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await connection.request("POST", "/api/v1/namespaces", body=body)
        workloads = [create_request(deployment(name, _NAMESPACE)) for name in _names("workload", trials)]
        claims = [
            {"method": "POST", "path": _COLLECTIONS["claim"], "body": claim(name, _NAMESPACE)}
            for name in _names("claim", trials)
        ]
        marker = {"method": "POST", "path": f"/api/v1/namespaces/{_BY_HAND}/persistentvolumeclaims"}
        markers = [{**marker, "body": claim(name, _BY_HAND)} for name in _names("marker", trials)]
        await send_all(connection, [*workloads, *claims, *markers], in_flight=8)


async def _measure(scene: Scene, progress: Progress, trials: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = defaultdict(list)
    async with (
        Connection(scene.plane) as connection,
        connection.watch(REPOSITORIES) as repositories,
        connection.watch(CONFIGURATIONS) as configurations,
    ):
        for number in range(trials):
            made: list[dict[str, Any]] = []
            for kind, path in _COLLECTIONS.items():
                name = f"{kind}-{number:04d}"
                started = perf_counter()
                await connection.request("PATCH", f"{path}/{name}", body=_ASK, content_type=MERGE)
                seen = [await _appears(events, name) for events in (repositories, configurations)]
                seconds[kind].append(max(at for at, _ in seen) - started)
                made = [body for _, body in seen]
                await asyncio.sleep(_PAUSE)
            started = perf_counter()
            name = f"marker-{number:04d}"
            await _write_by_hand(connection, name, made)
            arrived = [await _appears(events, name) for events in (repositories, configurations)]
            seconds["by_hand"].append(max(at for at, _ in arrived) - started)
            await asyncio.sleep(_PAUSE)
            progress.count(number + 1, trials)
    return seconds


async def _write_by_hand(connection: Connection, name: str, like: list[dict[str, Any]]) -> None:
    path = f"/api/v1/namespaces/{_BY_HAND}/persistentvolumeclaims/{name}"
    note = {"metadata": {"annotations": {"example.com/asks": "yes"}}}
    await connection.request("PATCH", path, body=note, content_type=MERGE)
    repository, configuration = like
    # At a place of its own: the operator warns whose Repository is at one with another.
    repository = {**repository, "spec": copy.deepcopy(repository["spec"])}
    repository["spec"]["backend"]["s3"]["prefix"] = f"{_BY_HAND}/{name}"
    for collection, model in ((REPOSITORIES, repository), (CONFIGURATIONS, configuration)):
        await connection.request(**apply_by_hand(collection, name, _BY_HAND, model))


def apply_by_hand(collection: str, name: str, namespace: str, like: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Connection.request` that apply an object like one of the operator's, but not marked as its."""
    metadata = {"name": name, "namespace": namespace, "annotations": like["metadata"]["annotations"]}
    body = {key: like[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": metadata}
    root, _, plural = collection.rpartition("/")
    return {
        "method": "PATCH",
        "path": f"{root}/namespaces/{namespace}/{plural}/{name}",
        "query": {"fieldManager": "bench"},
        "body": json.dumps(body).encode(),
        "content_type": APPLY,
    }


async def _appears(events: AsyncIterator[Event], name: str) -> tuple[float, dict[str, Any]]:
    """When the object made for `name` was seen, and what it is."""
    async with asyncio.timeout(_PATIENCE):
        async for at, event in events:
            if event["type"] == "ADDED" and event["object"]["metadata"]["name"].endswith(name):
                return at, event["object"]
    raise EOFError(f"the watch ended before an object for {name} appeared")
