"""The operator as a Deployment with the shipped rights, in a namespace that admits restricted pods only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.cluster import Cluster
from tools.controlplane import ApiClient, read_manifests

NAMESPACE = "autobackup-system"
NAME = "autobackup"
LABELS = {"app.kubernetes.io/name": NAME}
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
RIGHTS = Path(__file__).resolve().parents[2] / "manifests" / "rbac"
Object = dict[str, Any]


def namespace() -> Object:
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": enforced}}


def rights() -> Iterator[Object]:
    """The ServiceAccount, every role beside each other in manifests/rbac, and a binding for each of them."""
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}}
    for role in read_manifests(RIGHTS):
        yield role
        yield {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["metadata"]["name"]},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": role["kind"],
                "name": role["metadata"]["name"],
            },
            "subjects": [subject],
        }


def deployment(image: str, *, arguments: tuple[str, ...] = ()) -> Object:
    """As little as runs: no volume at all, so nothing in the container can be written."""
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "Never",
        "args": ["run", "--log-level=debug", *arguments],
        "ports": [{"name": "health", "containerPort": 8081}, {"name": "metrics", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "health"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "serviceAccountName": NAME,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }


def pods(admin: ApiClient) -> list[Object]:
    """Those that are not on their way out."""
    selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
    found = admin.list("v1/Pod", namespace=NAMESPACE, labels=selector)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def wait_ready(cluster: Cluster, admin: ApiClient, *, other_than: str = "", timeout: float = 60.0) -> Object:
    """The operator's pod once it is ready; not the one with the uid `other_than`."""

    def ready() -> Object:
        found = [pod for pod in pods(admin) if pod["metadata"]["uid"] != other_than]
        assert len(found) == 1, [pod["metadata"]["name"] for pod in found]
        assert is_ready(found[0]), found[0]["status"]
        return found[0]

    pod: Object = cluster.wait(ready, timeout, what="the operator's pod to be ready")
    return pod


@contextmanager
def installed(cluster: Cluster, admin: ApiClient, image: str) -> Iterator[Object]:
    """The ready pod. Afterwards its Deployment and rights are gone, and what it made is there."""
    objects = [namespace(), *rights(), deployment(image)]
    for manifest in objects:
        admin.apply(manifest)
    try:
        yield wait_ready(cluster, admin)
    finally:
        for manifest in reversed(objects):
            kind = f"{manifest['apiVersion']}/{manifest['kind']}"
            admin.delete(kind, manifest["metadata"]["name"], namespace=manifest["metadata"].get("namespace"))
        cluster.wait(lambda: admin.find("v1/Namespace", NAMESPACE) is None, 60, what="the namespace to be gone")
