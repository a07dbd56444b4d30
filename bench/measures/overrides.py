"""Resolving targets with overrides of their own: no two alike, a layer of the namespace under each, one thread."""

from __future__ import annotations

import json
from time import process_time

from bench.figures import Figure, Goal
from bench.progress import Progress
from reconcilers.annotations import BLUEPRINT, PREFIX, Mount
from reconcilers.blueprint import Blueprint, compile_blueprint
from reconcilers.layers import Layer
from reconcilers.podtemplate import PodTemplate, Volume
from reconcilers.resolve import resolve
from reconcilers.rows import BlueprintRow, TargetRow

TARGETS = 10_000
NAMESPACES = 1_000
GOAL = Goal(1e6 / 5_000)
"""Microseconds for each of 5,000 targets in a second."""

_OVERRIDES = {
    "schedule": {"minInterval": "1h"},
    "retention": {"minimum": {"keepLast": 5}, "maximum": {"keepDaily": 400}},
    "runtime": {"memory": {"min": "64Mi", "max": "16Gi"}, "cpu": {"max": "4"}, "nice": {"min": 0, "max": 19}},
    "timeOut": {"max": "24h"},
    "retry": {"maxRetry": 10},
}
_SPEC = {
    "backend": {
        "s3": {"endpoint": "s3", "bucket": "b", "prefix": "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"},
        "storageSecretName": "storage",
    },
    "schedule": "H 2 * * *",
    "retentionPolicy": {"name": "keep", "keepLast": 5, "prune": True},
    "overrides": _OVERRIDES,
}
_TEMPLATE = PodTemplate(1, (Volume("data", True, (Mount("data", "/srv/data"),)),))
_Pairs = tuple[tuple[str, str], ...]


def overrides(progress: Progress, *, rounds: int, targets: int = TARGETS) -> list[Figure]:
    progress.step(f"{targets} targets with overrides of their own")
    seconds = [_pass(targets, first=round_ * targets) for round_ in range(rounds)]
    each = tuple(second / targets * 1e6 for second in seconds)
    title = f"overrides: {targets} targets over {NAMESPACES} namespaces resolved in one pass, CPU time per target"
    return [Figure("overrides", "resolve", title, "µs", each, goal=GOAL)]


def _pass(targets: int, *, first: int) -> float:
    """Every round has texts that no round had before, so that nothing is remembered."""
    rows = [_target(number) for number in range(first, first + targets)]
    blueprint = _blueprint()
    started = process_time()
    decided = [resolve(row, blueprint, _TEMPLATE, around=around).origins for row, around in rows]
    taken = process_time() - started
    assert all({Layer.TARGET, Layer.NAMESPACE} <= set(origins.values()) for origins in decided)
    return taken


def _blueprint() -> Blueprint:
    row = BlueprintRow("nightly", "uid", 1, 1, deleting=False, spec=json.dumps(_SPEC))
    return compile_blueprint(row)


def _target(number: int) -> tuple[TargetRow, _Pairs]:
    asked = {
        BLUEPRINT: "nightly",
        PREFIX + "retention-policy": f"last={5 + number % 90_000},daily={number % 400},tags=t{number}",
        PREFIX + "runtime-settings": f"memory={64 + number % 4000}Mi..{5 + number % 11}Gi,cpu=..{1 + number % 3999}m",
        PREFIX + "schedule": f"{number % 60} {number // 60 % 24} * * {number // 1440 % 7}",
        PREFIX + "timeout": f"{600 + number % 80_000}s",
    }
    around = ((PREFIX + "retry", f"{number % NAMESPACES % 10},delay={60 + number % NAMESPACES}s"),)
    row = TargetRow(
        kind="Deployment",
        namespace=f"team-{number % NAMESPACES:04d}",
        name=f"svc-{number:06d}",
        uid=f"uid-{number}",
        resource_version=1,
        generation=1,
        deleting=False,
        annotations=tuple(sorted(asked.items())),
    )
    return row, around
