"""What the caches keep of each kind: small frozen rows, and the projections that make them.

A row holds what a reconciler reads and nothing else, so two rows are equal exactly when the difference between two
versions of an object cannot matter to us; `resource_version` takes no part in that. Objects that are of no interest
project to None and are stored nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from informers.projection import Projection
from informers.resource import ObjectKey
from informers.revision import parse_revision
from reconcilers import annotations as asked
from reconcilers import marks, podtemplate
from reconcilers.errors import Refusal
from reconcilers.fields import live_fingerprint, owned_annotation, owned_field
from reconcilers.keys import Key, ObjectRef
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS, Family
from reconcilers.location import locate


@dataclass(frozen=True, slots=True)
class TargetRow:
    """An object that carries the blueprint annotation, or that may inherit it from its Namespace."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: int = field(compare=False)
    generation: int
    deleting: bool
    annotations: tuple[tuple[str, str], ...]
    app_type: str = ""
    app_version: str = ""

    @property
    def key(self) -> Key:
        return Key(self.kind, self.namespace, self.name)

    @property
    def ref(self) -> ObjectRef:
        api_version = TARGETS[self.kind].resource.api_version
        return ObjectRef(api_version, self.kind, self.namespace, self.name, self.uid)

    def annotation(self, key: str) -> str | None:
        return next((value for name, value in self.annotations if name == key), None)

    @property
    def blueprints(self) -> tuple[str, ...]:
        """The blueprints that the target names; none when the annotation cannot be read."""
        try:
            return asked.blueprint_names(self.annotation(asked.BLUEPRINT) or "")
        except Refusal:
            return ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as it stands on an object."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int
    since: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class BlueprintRow:
    """A BackupBlueprint: its spec as canonical JSON, and its status as last written."""

    name: str
    uid: str
    resource_version: int = field(compare=False)
    generation: int
    deleting: bool
    spec: str
    conditions: tuple[Condition, ...] = ()
    status: str = ""
    """The rest of the status as canonical JSON."""
    namespace: str = ""

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(BLUEPRINT.api_version, BLUEPRINT.kind, "", self.name, self.uid)


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A Repository; `mark` is None when it is not ours."""

    namespace: str
    name: str
    uid: str
    resource_version: int = field(compare=False)
    deleting: bool
    mark: marks.Mark | None
    fingerprint: str
    location: str
    has_snapshots: bool
    succeeded_by: str
    storage_secret: str
    created: str = ""
    password: str = ""
    """How the repository's own password was derived; "" when it has none."""
    namespace_uid: str = ""
    """Of the target's Namespace at the time when it was given the Repository; "" when that was not written down."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class ConfigurationRow:
    """A BackupConfiguration; `mark` is None when it is not ours."""

    namespace: str
    name: str
    uid: str
    resource_version: int = field(compare=False)
    deleting: bool
    mark: marks.Mark | None
    fingerprint: str
    pod_template: str
    suspension: str = ""
    """The fingerprint of what suspends it, "" when it is not."""
    overrides: str = ""
    """What the annotation says of where its settings come from."""
    retention: str = ""
    """The retention as it was applied, in JSON, where annotations decided it."""
    retention_pending: str = ""
    """What the annotation says of a shorter retention that waits."""
    claims: tuple[str, ...] = ()
    """The claims that it backs up, where that was written down; `data-web-*` stands for those of a StatefulSet."""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


def target_projection(kind: str, *, whole: bool = False) -> Projection[TargetRow]:
    """Rows of the annotated objects of one target kind, or of the `whole` kind, where Namespaces ask for its objects.

    ReplicaSets and ReplicationControllers that belong to a controller are passed over: a Deployment copies its
    annotations to its ReplicaSets, and they would all become targets.
    """
    family = TARGETS[kind].family

    def project(obj: Mapping[str, Any]) -> TargetRow | None:
        metadata = obj["metadata"]
        found = metadata.get("annotations") or {}
        if not whole and asked.BLUEPRINT not in found:
            return None
        if any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()) and _copied(kind):
            return None
        spec = obj.get("spec") or {} if family is Family.DATABASE else {}
        return TargetRow(
            kind=kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=parse_revision(metadata["resourceVersion"]),
            generation=int(metadata.get("generation") or 0) if family is Family.WORKLOAD else 0,
            deleting=bool(metadata.get("deletionTimestamp")),
            annotations=asked.relevant(found),
            app_type=str(spec.get("type") or ""),
            app_version=str(spec.get("version") or ""),
        )

    metadata_only = family is not Family.DATABASE
    marker = asked.MARKER if metadata_only and not whole else None
    return Projection(project=project, metadata_only=metadata_only, marker=marker)


def _copied(kind: str) -> bool:
    return kind in ("ReplicaSet", "ReplicationController")


def project_blueprint(obj: Mapping[str, Any]) -> BlueprintRow:
    metadata = obj["metadata"]
    status = dict(obj.get("status") or {})
    conditions = status.pop("conditions", None) or ()
    return BlueprintRow(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=parse_revision(metadata["resourceVersion"]),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        spec=canonical(obj.get("spec") or {}),
        conditions=tuple(sorted((_condition(item) for item in conditions), key=lambda item: item.type)),
        status=canonical(status),
    )


def _condition(item: Mapping[str, Any]) -> Condition:
    return Condition(
        type=str(item.get("type", "")),
        status=str(item.get("status", "")),
        reason=str(item.get("reason", "")),
        message=str(item.get("message", "")),
        observed_generation=int(item.get("observedGeneration") or 0),
        since=str(item.get("lastTransitionTime", "")),
    )


def project_repository(obj: Mapping[str, Any]) -> RepositoryRow:
    metadata = obj["metadata"]
    mark = marks.read(metadata)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    backend = spec.get("backend") or {}
    namespace = metadata.get("namespace", "")
    return RepositoryRow(
        namespace=namespace,
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=parse_revision(metadata["resourceVersion"]),
        deleting=bool(metadata.get("deletionTimestamp")),
        mark=mark,
        fingerprint=live_fingerprint(obj) if mark else "",
        location=_location(backend, namespace),
        has_snapshots=bool(
            status.get("snapshotCount") or status.get("lastBackupTime") or status.get("firstBackupTime")
        ),
        succeeded_by=str((metadata.get("annotations") or {}).get(marks.SUCCEEDED_BY, "")) if mark else "",
        storage_secret=str(backend.get("storageSecretName") or "") if mark else "",
        created=str(metadata.get("creationTimestamp") or "") if mark else "",
        password=str((metadata.get("annotations") or {}).get(marks.PASSWORD, "")) if mark else "",
        namespace_uid=str((metadata.get("annotations") or {}).get(marks.NAMESPACE_UID, "")) if mark else "",
    )


def _location(backend: Mapping[str, Any], namespace: str) -> str:
    try:
        return str(locate(backend, namespace=namespace))
    except Refusal:
        return ""


def project_configuration(obj: Mapping[str, Any]) -> ConfigurationRow:
    metadata = obj["metadata"]
    mark = marks.read(metadata)
    overrides = owned_annotation(obj, marks.OVERRIDES) if mark and marks.OVERRIDES in metadata["annotations"] else ""
    pod_template = owned_annotation(obj, marks.POD_TEMPLATE) if mark else ""
    suspension = live_fingerprint(obj, manager=marks.SUSPENSION) if mark else ""
    return ConfigurationRow(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=parse_revision(metadata["resourceVersion"]),
        deleting=bool(metadata.get("deletionTimestamp")),
        mark=mark,
        fingerprint=live_fingerprint(obj) if mark else "",
        pod_template=pod_template,
        suspension=suspension,
        claims=() if suspension or metadata.get("deletionTimestamp") else claims_of(obj, pod_template),
        overrides=overrides,
        retention=_retention(obj) if "retentionPolicy" in overrides else "",
        retention_pending=owned_annotation(obj, marks.RETENTION_PENDING) if mark else "",
    )


def claims_of(obj: Mapping[str, Any], pod_template: str) -> tuple[str, ...]:
    """The claims that a BackupConfiguration backs up, as far as the facts of the pod template name them."""
    recorded = podtemplate.recall(pod_template) if '"claim"' in pod_template else None
    if recorded is None:
        return ()
    mounts = ((obj.get("spec") or {}).get("target") or {}).get("volumeMounts") or ()
    mounted = {mount.get("name") for mount in mounts}
    return tuple(sorted(volume.claim for volume in recorded.volumes if volume.claim and volume.name in mounted))


def _retention(obj: Mapping[str, Any]) -> str:
    found = owned_field(obj, "spec", "retentionPolicy")
    return canonical(found) if isinstance(found, dict) else ""


BLUEPRINTS: Projection[BlueprintRow] = Projection(project=project_blueprint, metadata_only=False)
REPOSITORIES: Projection[RepositoryRow] = Projection(project=project_repository, metadata_only=False)
CONFIGURATIONS: Projection[ConfigurationRow] = Projection(project=project_configuration, metadata_only=False)

WRITTEN = (REPOSITORY, CONFIGURATION)
"""The resources that auto backup writes, in the order in which it writes them."""


def canonical(value: Any) -> str:
    """JSON with sorted keys: equal texts mean equal content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
