"""A blueprint that permits whatever can be permitted, and what comes of annotations under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from reconcilers import defaults
from reconcilers.annotations import BLUEPRINT, PREFIX
from reconcilers.blueprint import compile_blueprint
from reconcilers.errors import Refusal
from reconcilers.resolve import Resolved, resolve
from reconcilers.rows import BlueprintRow, TargetRow, canonical
from tests.reconcilers.objects import blueprint

PROFILES = [
    {
        "name": "big",
        "pod": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "backup", "operator": "Exists"}],
            "priorityClassName": "batch",
        },
        "container": {"resources": {"limits": {"memory": "8Gi"}}, "nice": {"adjustment": 5}},
    }
]
POLICIES = [{"name": "long-term", "keepMonthly": 24, "prune": True}, {"name": "brief", "keepLast": 1, "prune": False}]
OPEN: dict[str, Any] = {
    "schedule": {"minInterval": "15m"},
    "retention": {
        "allowShorter": True,
        "minimum": {"keepLast": 2},
        "maximum": {"keepDaily": 365},
        "gracePeriod": "24h",
        "policies": POLICIES,
    },
    "runtime": {
        "memory": {"min": "128Mi", "max": "4Gi"},
        "cpu": {"max": 2},
        "nice": {"min": 0, "max": 19},
        "ionice": ["best-effort", "idle"],
        "priorityClasses": ["low"],
        "profiles": PROFILES,
    },
    "exclude": True,
    "backupHistoryLimit": {"max": 20},
    "timeOut": {"min": "10m", "max": "6h"},
    "retry": {"maxRetry": 5, "minDelay": "1m"},
    "paused": True,
    "backupArgs": ["--one-file-system", "--exclude-caches"],
}


def resolved(
    annotations: dict[str, str] | None = None,
    around: dict[str, str] | None = None,
    *,
    kind: str = "PersistentVolumeClaim",
    name: str = "shop",
    namespace: str = "demo",
    given: Sequence[str] = (),
    **spec: Any,
) -> Resolved:
    """What comes of a target with these annotations, in a namespace with those `around`, under a blueprint that permits
    everything unless told otherwise; `given` are the operator's defaults."""
    spec = {"overrides": OPEN, **spec}
    asked = {BLUEPRINT: "nightly", **{full_key(key): value for key, value in (annotations or {}).items()}}
    target = TargetRow(
        kind=kind,
        namespace=namespace,
        name=name,
        uid="u",
        resource_version=1,
        generation=0,
        deleting=False,
        annotations=tuple(sorted(asked.items())),
    )
    text = canonical(blueprint(**spec)["spec"])
    row = BlueprintRow(name="nightly", uid="u", resource_version=1, generation=1, deleting=False, spec=text)
    above = tuple(sorted((full_key(key), value) for key, value in (around or {}).items()))
    return resolve(target, compile_blueprint(row), None, around=above, defaults=defaults.parse(given))


def full_key(key: str) -> str:
    return key if "/" in key else PREFIX + key


def refused(*args: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        resolved(*args, **more)
    return caught.value


def attempt(*args: Any, **more: Any) -> Resolved | Refusal:
    try:
        return resolved(*args, **more)
    except Refusal as refusal:
        return refusal
