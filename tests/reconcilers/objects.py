"""Objects as a person would write them, for tests of reconcilers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconcilers.annotations import BLUEPRINT as OPT_IN
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS

PREFIX = "stash-backup/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"
NAMESPACE = "demo"


def deployment_key(name: str = "shop", namespace: str = NAMESPACE) -> Key:
    return Key("Deployment", namespace, name)


def opting_in(blueprint: str | None = "nightly", **more: str) -> dict[str, str]:
    """Annotations of a target; `target_paths="/a"` becomes `stash.appscode.com/target-paths: /a`."""
    found = {f"stash.appscode.com/{name.replace('_', '-')}": value for name, value in more.items()}
    return found if blueprint is None else {OPT_IN: blueprint, **found}


def target(
    kind: str = "Deployment",
    name: str = "shop",
    *,
    namespace: str = NAMESPACE,
    annotated: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A target of any kind with a sensible spec."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {"app": name, "argocd.argoproj.io/instance": name},
        "annotations": dict(opting_in() if annotated is None else annotated),
    }
    if spec is None:
        spec = _default_spec(kind)
    return {
        "apiVersion": TARGETS[kind].resource.api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": dict(spec),
    }


def _default_spec(kind: str) -> dict[str, Any]:
    if kind == "PersistentVolumeClaim":
        return {"accessModes": ["ReadWriteOnce"]}
    if kind == "AppBinding":
        return {"type": "kubedb.com/postgres", "version": "11.9"}
    return pods(mounts={"data": "/srv/data"})


def pods(
    *,
    mounts: Mapping[str, str | Sequence[str]],
    persistent: Sequence[str] | None = None,
    claims: Sequence[str] = (),
) -> dict[str, Any]:
    """A workload spec: one container, volumes at their mount paths, persistent unless said otherwise."""
    backed = list(mounts) if persistent is None else list(persistent)
    volume_mounts = [
        {"name": name, "mountPath": path}
        for name, where in mounts.items()
        for path in ([where] if isinstance(where, str) else where)
    ]
    volumes = [
        {"name": name, "persistentVolumeClaim": {"claimName": name}}
        if name in backed
        else {"name": name, "emptyDir": {}}
        for name in mounts
        if name not in claims
    ]
    spec: dict[str, Any] = {
        "replicas": 1,
        "template": {
            "spec": {
                "containers": [{"name": "app", "image": "app:1", "volumeMounts": volume_mounts}],
                "volumes": volumes,
            }
        },
    }
    if claims:
        spec["volumeClaimTemplates"] = [{"metadata": {"name": name}} for name in claims]
    return spec


def s3(prefix: str = PREFIX, *, bucket: str = "backups", secret: str = "storage") -> dict[str, Any]:
    return {
        "s3": {"endpoint": "s3.amazonaws.com", "bucket": bucket, "prefix": prefix},
        "storageSecretName": secret,
    }


def blueprint(name: str = "nightly", **spec: Any) -> dict[str, Any]:
    """A blueprint; keyword arguments replace fields of its spec, None removes one."""
    found: dict[str, Any] = {
        "backend": s3(),
        "schedule": "0 2 * * *",
        "retentionPolicy": {"name": "keep-last-5", "keepLast": 5, "prune": True},
        **spec,
    }
    return {
        "apiVersion": BLUEPRINT.api_version,
        "kind": BLUEPRINT.kind,
        "metadata": {"name": name},
        "spec": {field: value for field, value in found.items() if value is not None},
    }


def repository(name: str, *, namespace: str = NAMESPACE, prefix: str = "elsewhere") -> dict[str, Any]:
    """A Repository that somebody made by hand."""
    return {
        "apiVersion": REPOSITORY.api_version,
        "kind": REPOSITORY.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backend": s3(prefix)},
    }


def configuration(name: str, *, namespace: str = NAMESPACE) -> dict[str, Any]:
    """A BackupConfiguration that somebody made by hand."""
    return {
        "apiVersion": CONFIGURATION.api_version,
        "kind": CONFIGURATION.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"repository": {"name": "mine"}, "schedule": "@weekly"},
    }
