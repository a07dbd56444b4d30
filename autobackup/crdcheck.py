"""Whether the CRDs are there, served, and ours: with every field that the operator writes.

Contract: the CRD itself is looked at where the user may; else what the API server serves, which shows less and is open
to everybody. A field that a CRD lacks is dropped by the API server without a word, so it is named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from autobackup.cluster import Cluster, Object
from autobackup.findings import Finding, Level
from controller.diagnosis import CRDS
from informers.errors import Forbidden
from informers.resource import ObjectKey, Resource
from reconcilers.blueprint import CONFIGURATION_FIELDS, REPOSITORY_FIELDS
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS

CHECK: Final = "crds"
_CRD: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
_OPTIONAL: Final = TARGETS["AppBinding"].resource
_WRITTEN: Final[Mapping[Resource, Mapping[str, tuple[str, ...]]]] = {
    BLUEPRINT: {"status": ("conditions", "observedGeneration", "matched", "configured", "pending", "failed")},
    REPOSITORY: {"spec": ("backend", *REPOSITORY_FIELDS)},
    CONFIGURATION: {"spec": ("schedule", "repository", "target", *CONFIGURATION_FIELDS)},
}
_APPLY: Final = f"apply the project's, which are a superset of Stash's: {CRDS}"


async def look(cluster: Cluster) -> list[Finding]:
    """A finding for each CRD that is wrong, or one that all are right."""
    found: list[Finding] = []
    whole = True
    for resource in (*_WRITTEN, _OPTIONAL):
        try:
            crd = await cluster.find(_CRD, ObjectKey("", f"{resource.plural}.{resource.group}"))
        except Forbidden:
            whole = False
            found += await _by_discovery(cluster, resource)
            continue
        found += [_absent(resource)] if crd is None else _problems(resource, crd)
    if whole and all(finding.level is Level.OK for finding in found):
        found.insert(0, Finding(CHECK, Level.OK, "installed, established, with every field that is written"))
    return found


def _absent(resource: Resource) -> Finding:
    if resource == _OPTIONAL:
        return Finding(CHECK, Level.OK, f"no {resource.kind}s in this cluster: databases cannot be targets")
    return Finding(CHECK, Level.FAIL, f"{resource.kind} is not served", f"install the CRDs: {CRDS}")


def _problems(resource: Resource, crd: Object) -> list[Finding]:
    conditions = {each["type"]: each for each in (crd.get("status") or {}).get("conditions") or ()}
    if (conditions.get("Terminating") or {}).get("status") == "True":
        why = f"the CRD of {resource.kind} is being deleted, and with it every {resource.kind}"
        return [Finding(CHECK, Level.FAIL, why, f"wait until it is gone, then install the CRDs: {CRDS}")]
    established = conditions.get("Established") or {}
    if established.get("status") != "True":
        why = (conditions.get("NamesAccepted") or {}).get("message") or established.get("message") or "no reason given"
        return [
            Finding(
                CHECK,
                Level.FAIL,
                f"the CRD of {resource.kind} is not established: {why}",
                "see kubectl describe crd; another CRD may have taken one of its names",
            )
        ]
    versions = {each["name"]: each for each in crd["spec"]["versions"]}
    version = versions.get(resource.version)
    if version is None or not version.get("served"):
        why = f"{resource.kind} is not served as {resource.api_version}, only as {', '.join(versions)}"
        return [Finding(CHECK, Level.FAIL, why, _APPLY)]
    lacking = [f"spec.{name}" if part == "spec" else f"{part}.{name}" for part, name in _lacking(resource, version)]
    if resource == BLUEPRINT and "status" not in (version.get("subresources") or {}):
        why = "the CRD of BackupBlueprint has no status: nothing can be told in it"
        return [Finding(CHECK, Level.FAIL, why, _APPLY)]
    if lacking:
        why = f"the CRD of {resource.kind} lacks {', '.join(lacking)}: what is written there is dropped"
        return [Finding(CHECK, Level.FAIL, why, _APPLY)]
    return []


def _lacking(resource: Resource, version: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields that we write and the schema does not know."""
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    found = []
    for part, names in _WRITTEN.get(resource, {}).items():
        inner = (schema.get("properties") or {}).get(part) or {}
        if schema.get("x-kubernetes-preserve-unknown-fields") or inner.get("x-kubernetes-preserve-unknown-fields"):
            continue
        found += [(part, name) for name in names if name not in (inner.get("properties") or {})]
    return found


async def _by_discovery(cluster: Cluster, resource: Resource) -> list[Finding]:
    served = await cluster.served(resource)
    if resource.plural not in served:
        return [_absent(resource)]
    if resource == BLUEPRINT and f"{resource.plural}/status" not in served:
        return [Finding(CHECK, Level.FAIL, "BackupBlueprint has no status: nothing can be told in it", _APPLY)]
    return [Finding(CHECK, Level.OK, f"{resource.kind} is served; its fields were not looked at: you may not get CRDs")]
