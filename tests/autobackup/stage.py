"""What the tests of auto backup put on the API server, and how they look at what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import unique_name
from tools.controlplane import ApiClient, ControlPlane, wait_for

Object = dict[str, Any]

BLUEPRINT = "stash.appscode.com/v1beta1/BackupBlueprint"
CONFIGURATION = "stash.appscode.com/v1beta1/BackupConfiguration"
REPOSITORY = "stash.appscode.com/v1alpha1/Repository"
EVENT = "events.k8s.io/v1/Event"
ANNOTATION = "stash.appscode.com/backup-blueprint"
PREFIX = "backups/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"

KINDS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "ReplicationController": "v1",
    "PersistentVolumeClaim": "v1",
    "AppBinding": "appcatalog.appscode.com/v1alpha1",
}
_RBAC = Path(__file__).resolve().parents[2] / "manifests" / "rbac"
SECONDS = 28.0
"""How long something that should happen at once may take on a busy machine. Less than the half minute after which the
operator looks by itself at some of what it may have missed."""
RECOVERY = 75.0
"""How long after the end of a fault all may take to be as it should: the promise is a minute."""


def grant_operator(plane: ControlPlane) -> Path:
    """Give the operator's account the shipped rights; its kubeconfig."""
    api = plane.client("admin")
    if api.find("v1/Namespace", "autobackup-system") is None:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "autobackup-system"}})
    for file in sorted(_RBAC.glob("*.yaml")):
        role = yaml.safe_load(file.read_text())
        assert role["kind"] == "ClusterRole", file
        api.apply(role, manager="tests", force=True)
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["metadata"]["name"]},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role["metadata"]["name"],
            },
            "subjects": [{"kind": "ServiceAccount", "name": "autobackup", "namespace": "autobackup-system"}],
        }
        api.apply(binding, manager="tests", force=True)
    return plane.kubeconfig("operator")


class Stage:
    """One namespace and the objects of a test in it; blueprints are named after the test and removed at the end."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self._blueprints: list[str] = []

    # --- what an admin does

    def blueprint(self, name: str = "", **spec: Any) -> str:
        """Create or change a blueprint; returns its name, which is unique to the test."""
        name = name or unique_name("bp")
        prefix = spec.pop("prefix", PREFIX)
        full = {
            "backend": {
                "s3": {"endpoint": "s3.example.com", "bucket": "store", "prefix": prefix},
                "storageSecretName": "storage",
            },
            "schedule": "0 2 * * *",
            "retentionPolicy": {"name": "keep-5", "keepLast": 5, "prune": True},
            **spec,
        }
        body = {"apiVersion": "stash.appscode.com/v1beta1", "kind": "BackupBlueprint", "metadata": {"name": name}}
        self.api.apply({**body, "spec": full}, manager="admin", force=True)
        self._blueprints.append(name)
        return name

    def delete_blueprint(self, name: str) -> None:
        self.api.delete(BLUEPRINT, name)

    def blueprint_status(self, name: str) -> Object:
        status: Object = self.api.get(BLUEPRINT, name).get("status", {})
        return status

    def condition(self, blueprint: str, kind: str) -> Object:
        found = [c for c in self.blueprint_status(blueprint).get("conditions", ()) if c["type"] == kind]
        return found[0] if found else {}

    # --- what an application owner does

    def create(self, kind: str, name: str, annotations: Mapping[str, str] | None = None, **more: Any) -> Object:
        """Create a target of any kind, with one volume `data` at /srv/data if it is a workload."""
        body = {
            "apiVersion": KINDS[kind],
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, "annotations": dict(annotations or {})},
            **_content(kind, name),
        }
        for path, value in more.items():
            body[path] = value
        return self.api.create(body)

    def annotate(self, kind: str, name: str, **annotations: str | None) -> None:
        """Set or, with None, remove annotations; `blueprint`, `schedule`, ... are short for the full keys."""
        full = {_key(short): value for short, value in annotations.items()}
        self.api.annotate(f"{KINDS[kind]}/{kind}", name, full, namespace=self.namespace)

    def delete(self, kind: str, name: str) -> None:
        self.api.delete(f"{KINDS[kind]}/{kind}", name, namespace=self.namespace)

    # --- what came of it

    def find_configuration(self, name: str, namespace: str = "") -> Object | None:
        return self.api.find(CONFIGURATION, name, namespace=namespace or self.namespace)

    def find_repository(self, name: str, namespace: str = "") -> Object | None:
        return self.api.find(REPOSITORY, name, namespace=namespace or self.namespace)

    def repositories(self) -> list[Object]:
        return list(self.api.list(REPOSITORY, namespace=self.namespace))

    def configurations(self) -> list[Object]:
        return list(self.api.list(CONFIGURATION, namespace=self.namespace))

    def configured(self, name: str, namespace: str = "") -> tuple[Object, Object]:
        """Wait until BackupConfiguration and Repository of this name exist; (repository, configuration)."""

        def both() -> tuple[Object, Object] | None:
            configuration = self.find_configuration(name, namespace)
            if configuration is None:
                return None
            reference = configuration["spec"]["repository"]
            repository = self.find_repository(reference["name"], reference.get("namespace") or namespace)
            return (repository, configuration) if repository else None

        found = wait_for(
            both,
            SECONDS,
            what=f"BackupConfiguration {namespace or self.namespace}/{name} and its Repository",
            state=lambda: {
                "configurations": [c["metadata"]["name"] for c in self.configurations()],
                "repositories": [r["metadata"]["name"] for r in self.repositories()],
                "events": [(e["reason"], e.get("note")) for e in self.events()],
            },
        )
        assert found is not None
        return found

    def gone(self, name: str, namespace: str = "") -> None:
        wait_for(
            lambda: self.find_configuration(name, namespace) is None,
            SECONDS,
            what=f"BackupConfiguration {name} to be gone",
        )

    def events(self, name: str = "") -> list[Object]:
        found = self.api.list(EVENT, namespace=self.namespace)
        return [e for e in found if not name or e.get("regarding", {}).get("name") == name]

    def event(self, name: str, reason: str) -> Object:
        """Wait for an Event about `name` with this reason."""
        found = wait_for(
            lambda: next((e for e in self.events(name) if e["reason"] == reason), None),
            SECONDS,
            what=f"an Event {reason} about {name}",
            state=lambda: [(e["reason"], e.get("note")) for e in self.events(name)],
        )
        assert found is not None
        return found

    def failed(self, blueprint: str, name: str) -> Object:
        """Wait until the blueprint's status lists target `name` as failed; that entry."""
        found = wait_for(
            lambda: next((f for f in self.blueprint_status(blueprint).get("failures", ()) if f["name"] == name), None),
            SECONDS,
            what=f"the status of {blueprint} to list {name} as failed",
            state=lambda: self.blueprint_status(blueprint),
        )
        assert found is not None
        return found

    def settled(self, blueprint: str, **counts: int) -> Object:
        """Wait until the status of a blueprint has these counts and nothing is pending."""

        def look() -> Object | None:
            status = self.blueprint_status(blueprint)
            wanted = {"pending": 0, **counts}
            return status if all(status.get(name) == number for name, number in wanted.items()) else None

        found = wait_for(
            look, SECONDS, what=f"{blueprint} with {counts}", state=lambda: self.blueprint_status(blueprint)
        )
        assert found is not None
        return found

    def clean(self) -> None:
        for name in dict.fromkeys(self._blueprints):
            if self.api.find(BLUEPRINT, name) is not None:
                self.api.delete(BLUEPRINT, name)


def _key(short: str) -> str:
    if short == "blueprint":
        return ANNOTATION
    if short.startswith("params_"):
        return "params.stash.appscode.com/" + short.removeprefix("params_")
    return "stash.appscode.com/" + short.replace("_", "-")


def pod_template(name: str) -> Object:
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "example.com/app:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/srv/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }


def _content(kind: str, name: str) -> Object:
    if kind == "PersistentVolumeClaim":
        return {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    if kind == "AppBinding":
        return {
            "spec": {
                "type": "kubedb.com/postgres",
                "version": "11.9",
                "clientConfig": {"service": {"name": name, "port": 5432, "scheme": "postgresql"}},
            }
        }
    template = pod_template(name)
    selector: Object = {"app": name} if kind == "ReplicationController" else {"matchLabels": {"app": name}}
    spec: Object = {"selector": selector, "template": template}
    if kind == "StatefulSet":
        template["spec"]["volumes"] = []
        spec["serviceName"] = name
        spec["volumeClaimTemplates"] = [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        ]
    return {"spec": spec}
