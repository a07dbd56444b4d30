"""Good objects that reach every CEL rule: each provider, each kind of hook, full targets. Tests spoil single fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

PROVIDERS: dict[str, Object] = {
    "s3": {"endpoint": "s3.amazonaws.com", "bucket": "backups", "prefix": "demo/web", "region": "us-east-1"},
    "gcs": {"bucket": "backups", "prefix": "/demo/web", "maxConnections": 5},
    "azure": {"container": "backups", "prefix": "demo/web"},
    "swift": {"container": "backups", "prefix": "demo/web"},
    "b2": {"bucket": "backups", "prefix": "demo/web"},
    "rest": {"url": "https://rest.example.com/demo/web"},
    "local": {
        "mountPath": "/backup",
        "subPath": "demo/web",
        "hostPath": {"path": "/srv/backups"},
    },
    "local over NFS": {"mountPath": "/backup", "nfs": {"server": "nfs.example.com", "path": "/exports"}},
}
HANDLERS: dict[str, Object] = {
    "exec": {"command": ["/bin/sync"]},
    "httpGet": {"port": 8080, "path": "/quiesce", "scheme": "HTTP"},
    "httpPost": {"port": "admin", "path": "/quiesce", "scheme": "https", "body": "{}"},
    "tcpSocket": {"port": 5432},
}
_CLAIM: Object = {
    "metadata": {"name": "scratch"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
_SELECTOR: Object = {
    "matchLabels": {"team": "web"},
    "matchExpressions": [
        {"key": "stage", "operator": "In", "values": ["live"]},
        {"key": "old", "operator": "DoesNotExist"},
    ],
}
_RETENTION: Object = {
    "name": "keep",
    "prune": True,
    "keepLast": 1,
    "keepHourly": 1,
    "keepDaily": 1,
    "keepWeekly": 1,
    "keepMonthly": 1,
    "keepYearly": 1,
    "keepTags": ["release"],
}
_REFERENCE: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
_MOUNTS: list[Object] = [
    {"name": "data", "mountPath": "/data"},
    {"name": "data", "mountPath": "/logs", "subPath": "logs"},
]
_RULES: list[Object] = [
    {"targetHosts": ["host-1", "host-2"], "sourceHost": "host-0", "paths": ["/data"]},
    {"targetHosts": ["host-3"], "snapshots": ["4bc21d6f"]},
    {"paths": ["/data"], "include": ["*.json"]},
]


def _backend(provider: str) -> Object:
    return {"storageSecretName": "storage", provider.split(" ", maxsplit=1)[0]: PROVIDERS[provider]}


def _execution(handler: str, *, before: str, after: str) -> Object:
    return {
        "task": {"name": "pvc-backup", "params": [{"name": "args", "value": "--all"}, {"name": "other", "value": ""}]},
        "tempDir": {"medium": "Memory", "sizeLimit": "1Gi"},
        "interimVolumeTemplate": _CLAIM,
        "runtimeSettings": {"container": {"env": [{"name": "TZ", "value": "UTC"}], "nice": {"adjustment": 5}}},
        "hooks": {before: {handler: HANDLERS[handler]}, after: {handler: HANDLERS[handler]}},
        "timeOut": "1h30m",
    }


def _backup(handler: str) -> Object:
    return {
        **_execution(handler, before="preBackup", after="postBackup"),
        "schedule": "0 2 * * *",
        "retentionPolicy": _RETENTION,
        "backupHistoryLimit": 3,
        "retryConfig": {"maxRetry": 2, "delay": "10m"},
    }


def _storage(provider: str) -> Object:
    return {
        "backend": _backend(provider),
        "usagePolicy": {"allowedNamespaces": {"from": "Selector", "selector": _SELECTOR}},
    }


def _object(kind: str, spec: Object) -> Object:
    version = "v1alpha1" if kind == "Repository" else "v1beta1"
    manifest = {
        "apiVersion": f"stash.appscode.com/{version}",
        "kind": kind,
        "metadata": {"name": "example"},
        "spec": spec,
    }
    copied: Object = json.loads(json.dumps(manifest))  # nothing is shared: a test may spoil any part
    return copied


_RULES_OF_OVERRIDES = {
    "overrides": {
        "schedule": {"allowed": True, "minInterval": "1h"},
        "retention": {
            "allowShorter": True,
            "minimum": {f"keep{name}": 1 for name in ("Last", "Hourly", "Daily", "Weekly", "Monthly", "Yearly")},
            "maximum": {f"keep{name}": 99 for name in ("Last", "Hourly", "Daily", "Weekly", "Monthly", "Yearly")},
            "gracePeriod": "24h",
            "policies": [{**_RETENTION, "name": "long-term"}],
        },
        "runtime": {
            "cpu": {"min": "100m", "max": 2},
            "memory": {"min": "128Mi", "max": "4Gi"},
            "nice": {"min": 0, "max": 19},
            "ionice": ["idle"],
            "priorityClasses": ["low"],
            "profiles": [
                {
                    "name": "big",
                    "pod": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"operator": "Exists"}]},
                    "container": {"resources": {"limits": {"memory": "8Gi"}}},
                }
            ],
        },
        "exclude": True,
        "backupHistoryLimit": {"min": 1, "max": 20},
        "timeOut": {"min": "10m", "max": "6h"},
        "retry": {"maxRetry": 5, "minDelay": "1m"},
        "paused": True,
        "backupArgs": ["--exclude-caches"],
    },
    "variables": [{"name": "tier", "default": "silver", "pattern": "gold|silver", "inLocations": True}],
}


def examples(kind: str) -> Iterator[Object]:
    """Full, valid objects of the kind; together they have every field that a rule is about."""
    match kind:
        case "Repository":
            for provider in PROVIDERS:
                yield _object(kind, _storage(provider))
        case "BackupBlueprint":
            for number, provider in enumerate(PROVIDERS):
                handler = list(HANDLERS)[number % len(HANDLERS)]
                spaces = {"backupNamespace": "backup", "repoNamespace": "storage"}
                ours = {
                    "allowedNamespaces": {"names": ["web"], "selector": _SELECTOR},
                    "targetKinds": ["PersistentVolumeClaim", "Deployment"],
                }
                if number:  # the first has variables in the name of its Secret, where that is tried
                    ours["storageSecret"] = {"source": {"namespace": "vault", "name": "bucket"}}
                yield _object(kind, {**_storage(provider), **_backup(handler), **spaces, **ours, **_RULES_OF_OVERRIDES})
        case "BackupConfiguration":
            for handler in HANDLERS:
                target = {
                    "alias": "web",
                    "ref": _REFERENCE,
                    "paths": ["/data"],
                    "volumeMounts": _MOUNTS,
                    "args": ["--tag=t1"],
                }
                repository = {"name": "web", "namespace": "storage"}
                yield _object(
                    kind, {**_backup(handler), "driver": "Restic", "repository": repository, "target": target}
                )
        case "BackupSession":
            invoker = {"apiGroup": "stash.appscode.com", "kind": "BackupConfiguration", "name": "web"}
            yield _object(kind, {"invoker": invoker, "retryLeft": 1})
        case "RestoreSession":
            for handler in HANDLERS:
                spec = _execution(handler, before="preRestore", after="postRestore")
                spec["repository"] = {"name": "web", "namespace": "storage"}
                target = {
                    "alias": "web",
                    "ref": _REFERENCE,
                    "volumeMounts": _MOUNTS,
                    "volumeClaimTemplates": [_CLAIM],
                    "args": ["--verify"],
                }
                yield _object(kind, {**spec, "target": {**target, "rules": _RULES}})
                yield _object(kind, {**spec, "target": target, "rules": _RULES})
        case _:
            raise ValueError(f"no examples of {kind}")
