"""The objects that a benchmark runs on: Deployments as they are found in clusters, many of them, made fast.

Each is about 4 KB of JSON as the server returns it. Half of that is `managedFields`: the entry of the one who applied
it (the server writes that itself) and the one of the Deployment controller for the status, which is put in on creation
because no such controller runs here. Every `objects / annotated`-th asks for backup.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.connection import Connection, send_all

ANNOTATION = "stash.appscode.com/backup-blueprint"
BLUEPRINT = "nightly"
BLUEPRINTS = "/apis/stash.appscode.com/v1beta1/backupblueprints"
CONFIGURATIONS = "/apis/stash.appscode.com/v1beta1/backupconfigurations"
REPOSITORIES = "/apis/stash.appscode.com/v1alpha1/repositories"
_IN_FLIGHT = 24


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many Deployments there are, how many of them ask for backup, over how many namespaces they are spread."""

    objects: int
    annotated: int
    namespaces: int = 50

    @property
    def namespace_names(self) -> tuple[str, ...]:
        return tuple(f"team-{number:02d}" for number in range(min(self.namespaces, self.objects)))

    def asks(self, number: int) -> bool:
        """Spread evenly: number * annotated / objects passes a whole number that often."""
        return (number + 1) * self.annotated // self.objects > number * self.annotated // self.objects

    def path(self, number: int) -> str:
        """Of one of the Deployments."""
        names = self.namespace_names
        return f"/apis/apps/v1/namespaces/{names[number % len(names)]}/deployments/svc-{number:05d}"

    async def create_namespaces(self, connection: Connection) -> None:
        for name in self.namespace_names:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await connection.request("POST", "/api/v1/namespaces", body=body)

    async def create(self, connection: Connection) -> None:
        await self.create_namespaces(connection)
        await send_all(connection, self._requests(), in_flight=_IN_FLIGHT)

    def _requests(self) -> Iterator[Mapping[str, Any]]:
        names = self.namespace_names
        for number in range(self.objects):
            body = deployment(f"svc-{number:05d}", names[number % len(names)], asks=self.asks(number))
            yield create_request(body)


def create_request(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of `Connection.request` that create a Deployment."""
    namespace = body["metadata"]["namespace"]
    return {
        "method": "POST",
        "path": f"/apis/apps/v1/namespaces/{namespace}/deployments",
        "query": {"fieldManager": "kubectl-client-side-apply", "fieldValidation": "Ignore"},
        "body": json.dumps(body).encode(),
    }


def deployment(name: str, namespace: str, *, asks: bool = False) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "api",
        "app.kubernetes.io/version": "4.2.1",
        "app.kubernetes.io/part-of": "storefront",
        "team": namespace,
    }
    annotations = {
        "deployment.kubernetes.io/revision": "3",
        "example.com/owner": f"{namespace}@example.com",
        "example.com/runbook": f"https://runbooks.example.com/{namespace}/{name}",
    }
    if asks:
        annotations[ANNOTATION] = BLUEPRINT
    container = {
        "name": "main",
        "image": "registry.example.com/storefront/api:4.2.1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": key, "value": f"{key.lower()}-{name}"} for key in ("DATABASE", "QUEUE")],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [
            {"name": "data", "mountPath": "/srv/data"},
            {"name": "settings", "mountPath": "/etc/settings"},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
            "managedFields": [_STATUS_FIELDS],
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [container],
                    "volumes": [
                        {"name": "data", "persistentVolumeClaim": {"claimName": name}},
                        {"name": "settings", "configMap": {"name": name}},
                    ],
                },
            },
        },
    }


def _owned_condition(kind: str) -> dict[str, Any]:
    fields = ("lastTransitionTime", "lastUpdateTime", "message", "reason", "status", "type")
    return {f'k:{{"type":"{kind}"}}': {".": {}, **{f"f:{field}": {} for field in fields}}}


_STATUS_FIELDS = {
    "manager": "kube-controller-manager",
    "operation": "Update",
    "apiVersion": "apps/v1",
    "time": "2024-01-01T00:00:00Z",
    "fieldsType": "FieldsV1",
    "subresource": "status",
    "fieldsV1": {
        "f:status": {
            "f:availableReplicas": {},
            "f:conditions": {".": {}, **_owned_condition("Available"), **_owned_condition("Progressing")},
            "f:observedGeneration": {},
            "f:readyReplicas": {},
            "f:replicas": {},
            "f:updatedReplicas": {},
        }
    },
}


def claim(name: str, namespace: str) -> dict[str, Any]:
    """A PersistentVolumeClaim that does not ask for backup yet."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/name": name}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def blueprint(*, schedule: str = "0 2 * * *") -> dict[str, Any]:
    """The BackupBlueprint that everything here asks for."""
    return {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupBlueprint",
        "metadata": {"name": BLUEPRINT},
        "spec": {
            "backend": {
                "s3": {
                    "endpoint": "s3.example.com",
                    "bucket": "backups",
                    "prefix": "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}",
                },
                "storageSecretName": "storage",
            },
            "schedule": schedule,
            "retentionPolicy": {"name": "keep-last-7", "keepLast": 7, "prune": True},
            "backupHistoryLimit": 3,
            "runtimeSettings": {"container": {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}},
        },
    }
