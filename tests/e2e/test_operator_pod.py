"""The operator in a pod: the image that users run, its ServiceAccount, the shipped rights, a restricted namespace."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.e2e import operator
from tests.support.cluster import create_namespace, unique_name
from tools.cluster import Cluster, ClusterError
from tools.cluster.cluster import BUSYBOX_IMAGE
from tools.controlplane import ApiClient, wait_for

REPOSITORY = "stash.appscode.com/v1alpha1/Repository"
CONFIGURATION = "stash.appscode.com/v1beta1/BackupConfiguration"
BLUEPRINT = {
    "apiVersion": "stash.appscode.com/v1beta1",
    "kind": "BackupBlueprint",
    "metadata": {"name": "e2e"},
    "spec": {
        "backend": {
            "s3": {
                "endpoint": "https://s3.example.com",
                "bucket": "e2e",
                "prefix": "${TARGET_NAMESPACE}/${TARGET_NAME}",
            },
            "storageSecretName": "storage",
        },
        "schedule": "0 2 * * *",
        "retentionPolicy": {"name": "week", "keepDaily": 7, "prune": True},
    },
}


@pytest.fixture(scope="module")
def beginning(cluster: Cluster) -> int:
    """In the audit log, before there is a pod: other tests had an operator with this account before."""
    return cluster.audit_log.mark()


@pytest.fixture(scope="module")
def first_pod(cluster: Cluster, admin: ApiClient, image_name: str, beginning: int) -> Iterator[dict[str, Any]]:
    admin.apply(BLUEPRINT)
    with operator.installed(cluster, admin, image_name) as pod:
        yield pod


@pytest.fixture
def pod(cluster: Cluster, admin: ApiClient, first_pod: dict[str, Any]) -> dict[str, Any]:
    """The operator's ready pod of now: tests replace it."""
    return operator.wait_ready(cluster, admin)


@pytest.fixture
def namespace(
    request: pytest.FixtureRequest, cluster: Cluster, admin: ApiClient, first_pod: dict[str, Any]
) -> Iterator[str]:
    name = unique_name(request.node.name)
    create_namespace(admin, name)
    yield name
    admin.delete("v1/Namespace", name)
    cluster.wait(lambda: admin.find("v1/Namespace", name) is None, 60, what=f"namespace {name} to be gone")


def create_target(cluster: Cluster, namespace: str, name: str) -> None:
    """What a user types. The container ends when it is told to, so that its namespace does not have to wait."""
    container = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", "trap exit TERM; sleep infinity & wait"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    labels = {"app": name}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]},
            },
        },
    }
    cluster.kubectl("create", "-n", namespace, "-f", "-", text=json.dumps(deployment))
    annotations = ("backup-blueprint=e2e", "target-paths=/data", "volume-mounts=data:/data")
    cluster.kubectl(
        "annotate", "deployment", name, "-n", namespace, *(f"stash.appscode.com/{each}" for each in annotations)
    )


def wait_backed_up(cluster: Cluster, admin: ApiClient, namespace: str, name: str) -> dict[str, Any]:
    """The BackupConfiguration of a Deployment, when its Repository is there too."""

    def made() -> dict[str, Any] | None:
        for found in admin.list(CONFIGURATION, namespace=namespace):
            if found["spec"]["target"]["ref"]["name"] == name:
                assert admin.find(REPOSITORY, found["spec"]["repository"]["name"], namespace=namespace)
                return found
        return None

    configuration: dict[str, Any] = cluster.wait(made, 20, what=f"objects for deployment {name}")
    return configuration


def test_an_annotated_deployment_gets_its_objects_from_the_pod(
    cluster: Cluster, admin: ApiClient, pod: dict[str, Any], namespace: str
) -> None:
    mark = cluster.audit_log.mark()
    create_target(cluster, namespace, "web")
    configuration = wait_backed_up(cluster, admin, namespace, "web")
    assert configuration["spec"]["schedule"] == BLUEPRINT["spec"]["schedule"]
    repository = admin.get(REPOSITORY, configuration["spec"]["repository"]["name"], namespace=namespace)
    assert repository["spec"]["backend"]["s3"]["prefix"] == f"{namespace}/web"
    writers = {event.user for event in cluster.audit_log.writes(mark, namespace=namespace) if "stash" in event.group}
    assert writers == {operator.ACCOUNT}


def test_the_shipped_rights_are_enough(
    cluster: Cluster, admin: ApiClient, pod: dict[str, Any], namespace: str, beginning: int
) -> None:
    create_target(cluster, namespace, "web")
    wait_backed_up(cluster, admin, namespace, "web")
    # In namespaces of other tests, which are being deleted, 403 also says that nothing may be created any more.
    alive = {"", "default", namespace, operator.NAMESPACE}
    asked = [
        event for event in cluster.audit_log.requests(beginning, user=operator.ACCOUNT) if event.namespace in alive
    ]
    assert {"list", "watch", "patch"} <= {event.verb for event in asked}, "the pod uses its own account"
    assert [event for event in asked if event.is_denied] == []


def test_the_container_is_as_closed_as_it_says(cluster: Cluster, pod: dict[str, Any]) -> None:
    name, there = pod["metadata"]["name"], ("-n", operator.NAMESPACE)
    inside = ("exec", *there, name, "--")
    status = cluster.kubectl(*inside, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    for place in ("/", "/tmp", "/opt/autobackup", "/var/tmp", "/run"):
        with pytest.raises(ClusterError, match="Read-only file system"):
            cluster.kubectl(*inside, "touch", f"{place}/x")
    for program in ("pip", "pip3", "cc", "gcc"):
        with pytest.raises(ClusterError, match="not found"):
            cluster.kubectl(*inside, program, "--version")
    with pytest.raises(ClusterError, match="No module named"):
        cluster.kubectl(*inside, "python3", "-m", "pip", "--version")
    assert "autobackup" in cluster.kubectl(*inside, "autobackup", "version")


def test_probes_and_metrics_answer(cluster: Cluster, pod: dict[str, Any]) -> None:
    address = pod["status"]["podIP"]
    for port, path, expected in ((8081, "/livez", b""), (8081, "/readyz", b""), (8080, "/metrics", b"autobackup_")):
        local = cluster.forward(address, port)
        with urllib.request.urlopen(f"http://127.0.0.1:{local}{path}", timeout=10) as answer:
            assert answer.status == 200
            assert expected in answer.read()


def test_it_is_ready_soon_after_its_start(cluster: Cluster, pod: dict[str, Any]) -> None:
    """From the start of the process to complete caches. Two seconds on an idle machine; tests share theirs."""
    name, there = pod["metadata"]["name"], ("-n", operator.NAMESPACE)
    clock = "import time; print(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))"
    booted = float(cluster.kubectl("exec", *there, name, "--", "python3", "-c", clock))
    ticks = int(cluster.kubectl("exec", *there, name, "--", "cat", "/proc/1/stat").rpartition(") ")[2].split()[19])
    started = booted + ticks / os.sysconf("SC_CLK_TCK")
    log = (json.loads(line) for line in cluster.kubectl("logs", *there, name).splitlines())
    complete = next(entry["ts"] for entry in log if entry["msg"] == "Caches are complete")
    seconds = datetime.fromisoformat(complete).timestamp() - started
    print(f"ready {seconds:.2f} s after its start")
    assert 0 < seconds < 6


def test_it_ends_orderly_as_process_1(cluster: Cluster, admin: ApiClient, pod: dict[str, Any]) -> None:
    """SIGTERM to process 1 of a container does nothing unless it is handled: then the kubelet would have to kill."""
    name, there = pod["metadata"]["name"], ("-n", operator.NAMESPACE)
    cluster.kubectl("exec", *there, name, "--", "sh", "-c", "kill -TERM 1")

    def restarted() -> dict[str, Any] | None:
        (status,) = admin.get("v1/Pod", name, namespace=operator.NAMESPACE)["status"]["containerStatuses"]
        ended: dict[str, Any] | None = status.get("lastState", {}).get("terminated")
        return ended

    assert cluster.wait(restarted, 20, what="the container to end")["exitCode"] == 0
    operator.wait_ready(cluster, admin)


def test_the_work_goes_on_in_the_next_pod(
    cluster: Cluster, admin: ApiClient, pod: dict[str, Any], namespace: str
) -> None:
    create_target(cluster, namespace, "before")
    kept = wait_backed_up(cluster, admin, namespace, "before")
    mark = cluster.audit_log.mark()
    cluster.kubectl("delete", "pod", "-n", operator.NAMESPACE, pod["metadata"]["name"], "--wait=false")
    operator.wait_ready(cluster, admin, other_than=pod["metadata"]["uid"])
    create_target(cluster, namespace, "after")
    wait_backed_up(cluster, admin, namespace, "after")
    again = admin.get(CONFIGURATION, kept["metadata"]["name"], namespace=namespace)
    assert again["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]
    writes = cluster.audit_log.writes(mark, user=operator.ACCOUNT, namespace=namespace)
    written = {event.name for event in writes if "stash" in event.group}
    assert written
    assert kept["metadata"]["name"] not in written
    wait_for(
        lambda: admin.find("v1/Pod", pod["metadata"]["name"], namespace=operator.NAMESPACE) is None,
        20,
        what="the old pod to be gone well before its grace ends",
    )


def test_its_log_is_json_and_names_each_decision(
    cluster: Cluster, admin: ApiClient, pod: dict[str, Any], namespace: str
) -> None:
    create_target(cluster, namespace, "web")
    wait_backed_up(cluster, admin, namespace, "web")
    text = cluster.kubectl("logs", "-n", operator.NAMESPACE, pod["metadata"]["name"])
    entries = [json.loads(line) for line in text.splitlines()]
    assert any(namespace in json.dumps(entry) for entry in entries)
