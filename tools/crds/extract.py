"""Refresh core-types.json from a running kube-apiserver.

    kubectl get --raw /openapi/v3/api/v1 | python -m tools.crds.extract v1.36.3

Keeps the schemas that the CRDs embed and all they refer to, and drops prose and the parts that a CRD refuses or that
`tools.crds.core` replaces. Generation itself needs no server.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOTS = (
    "io.k8s.api.core.v1.Affinity",
    "io.k8s.api.core.v1.EnvFromSource",
    "io.k8s.api.core.v1.EnvVar",
    "io.k8s.api.core.v1.ExecAction",
    "io.k8s.api.core.v1.HTTPGetAction",
    "io.k8s.api.core.v1.HTTPHeader",
    "io.k8s.api.core.v1.Lifecycle",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.PersistentVolumeClaimSpec",
    "io.k8s.api.core.v1.PersistentVolumeClaimStatus",
    "io.k8s.api.core.v1.PodReadinessGate",
    "io.k8s.api.core.v1.PodSecurityContext",
    "io.k8s.api.core.v1.Probe",
    "io.k8s.api.core.v1.ResourceRequirements",
    "io.k8s.api.core.v1.SecurityContext",
    "io.k8s.api.core.v1.TCPSocketAction",
    "io.k8s.api.core.v1.Toleration",
    "io.k8s.api.core.v1.TopologySpreadConstraint",
    "io.k8s.api.core.v1.Volume",
    "io.k8s.api.core.v1.VolumeMount",
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
)
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# A template's metadata: what a user may set. The rest is the server's.
TEMPLATE_META = ("annotations", "finalizers", "labels", "name", "namespace")
DROPPED = frozenset(
    (
        "description",
        "default",
        "enum",
        "x-kubernetes-unions",
        "x-kubernetes-patch-merge-key",
        "x-kubernetes-patch-strategy",
    )
)


def extract(openapi: dict[str, Any], version: str) -> dict[str, Any]:
    served = openapi["components"]["schemas"]
    kept: dict[str, Any] = {}
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in kept:
            continue
        schema = _trim(served[name])
        if name == OBJECT_META:
            schema["properties"] = {field: schema["properties"][field] for field in TEMPLATE_META}
        kept[name] = schema
        waiting.extend(_references(schema))
    return {"source": f"kube-apiserver {version}, /openapi/v3/api/v1", "schemas": dict(sorted(kept.items()))}


def _trim(value: Any) -> Any:
    if isinstance(value, list):
        return [_trim(item) for item in value]
    if not isinstance(value, dict):
        return value
    # Under "properties" the keys are field names: a field called "default" or "description" stays.
    return {
        key: ({field: _trim(schema) for field, schema in item.items()} if key == "properties" else _trim(item))
        for key, item in value.items()
        if key not in DROPPED
    }


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rsplit("/", 1)[-1]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    trimmed = extract(json.load(sys.stdin), sys.argv[1])
    target = Path(__file__).with_name("core-types.json")
    target.write_text(json.dumps(trimmed, indent=1, sort_keys=True) + "\n")
    print(f"{target}: {len(trimmed['schemas'])} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
