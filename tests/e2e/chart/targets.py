"""Targets as people make them, with kubectl, and the objects that the operator makes for them."""

from __future__ import annotations

import json

from tests.e2e.chart.place import Object, Place

REPOSITORIES = "repositories.stash.appscode.com"
CONFIGURATIONS = "backupconfigurations.stash.appscode.com"
BLUEPRINTS = "backupblueprints.stash.appscode.com"
BLUEPRINT: Object = {
    "apiVersion": "stash.appscode.com/v1beta1",
    "kind": "BackupBlueprint",
    "metadata": {"name": "e2e"},
    "spec": {
        "backend": {
            "s3": {
                "endpoint": "https://s3.example.com",
                "bucket": "e2e",
                "prefix": "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}",
            },
            "storageSecretName": "storage",
        },
        "schedule": "0 2 * * *",
        "retentionPolicy": {"name": "week", "keepDaily": 7, "prune": True},
    },
}
ANNOTATIONS = {
    "stash.appscode.com/backup-blueprint": "e2e",
    "stash.appscode.com/target-paths": "/data",
    "stash.appscode.com/volume-mounts": "data:/data",
}


def deployment(namespace: str, name: str) -> Object:
    """With a volume to back up. It asks for no pods: the operator looks at what is asked for."""
    labels = {"app": name}
    container = {"name": "main", "image": "none", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pod = {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def create(place: Place, namespace: str, name: str) -> None:
    """A Deployment, and then its annotations."""
    place.kubectl("create", "-f", "-", text=json.dumps(deployment(namespace, name)))
    annotate(place, namespace, name)


def annotate(place: Place, namespace: str, name: str, **more: str) -> None:
    wanted = {**ANNOTATIONS, **{f"stash.appscode.com/{key}": value for key, value in more.items()}}
    pairs = (f"{key}={value}" for key, value in wanted.items())
    place.kubectl("annotate", "--overwrite", "deployment", name, "-n", namespace, *pairs)


def find_backup(place: Place, namespace: str, name: str) -> Object | None:
    """The BackupConfiguration of a Deployment."""
    found = place.list(CONFIGURATIONS, namespace=namespace)
    return next((each for each in found if each["spec"]["target"]["ref"]["name"] == name), None)


def wait_backed_up(place: Place, namespace: str, name: str, *, timeout: float = 30.0) -> Object:
    """The BackupConfiguration of a Deployment, when the Repository that it names is there too."""

    def made() -> Object | None:
        found = find_backup(place, namespace, name)
        if found is not None:
            assert place.find(REPOSITORIES, found["spec"]["repository"]["name"], namespace=namespace)
        return found

    configuration: Object = place.wait(made, timeout, what=f"the objects for deployment {namespace}/{name}")
    return configuration
