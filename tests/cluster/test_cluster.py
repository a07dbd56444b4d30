"""The one-node cluster: pods really run, see their API server, and nothing of it outlives it or gets out."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tools.cluster import Cluster, ClusterError, cgroups, why_not
from tools.cluster.cluster import BUSYBOX_IMAGE, ROOT
from tools.controlplane import ApiClient, ApiFailure, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> ApiClient:
    return cluster.client()


@pytest.fixture
def namespace(request: pytest.FixtureRequest, api: ApiClient) -> Iterator[str]:
    name = unique_name(request.node.name)
    create_namespace(api, name)
    yield name
    remove_namespace(api, name)


def pod(name: str, namespace: str, *command: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command or ("/bin/sleep", "infinity")),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "restartPolicy": "Never", **spec},
    }


def run_pod(cluster: Cluster, manifest: dict[str, Any], *, phase: str = "Running") -> dict[str, Any]:
    """Create a pod once its namespace takes it, and wait for the phase."""
    api = cluster.client()
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    cluster.wait(lambda: api.find("v1/ServiceAccount", "default", namespace=namespace), 20, what="a ServiceAccount")
    api.create(manifest)

    def reached() -> dict[str, Any] | None:
        found = api.get("v1/Pod", name, namespace=namespace)
        assert found["status"]["phase"] == phase, found["status"]
        return found

    found: dict[str, Any] = cluster.wait(reached, 60, what=f"pod {name} to be {phase}")
    return found


def test_node_is_ready(cluster: Cluster, api: ApiClient) -> None:
    (node,) = api.list("v1/Node")
    assert {each["type"]: each["status"] for each in node["status"]["conditions"]}["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.")
    assert {"cpu", "memory", "pods", "ephemeral-storage"} <= node["status"]["allocatable"].keys()


def test_a_pod_runs_with_logs_exec_and_a_token(cluster: Cluster, namespace: str) -> None:
    run_pod(cluster, pod("shell", namespace, "/bin/sh", "-c", "echo hello from the pod; sleep infinity"))
    assert cluster.kubectl("logs", "-n", namespace, "shell") == "hello from the pod\n"
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    mounted = cluster.kubectl("exec", "-n", namespace, "shell", "--", "ls", account).split()
    assert mounted == ["ca.crt", "namespace", "token"]
    told = cluster.kubectl("exec", "-n", namespace, "shell", "--", "cat", f"{account}/namespace")
    assert told == namespace


def test_the_api_server_is_reached_from_a_pod_by_its_service(cluster: Cluster, namespace: str) -> None:
    """It says to who forgets TLS, of which the shell here speaks too old a version, that it wants it."""
    run_pod(cluster, pod("caller", namespace))
    script = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT"
    answer = cluster.kubectl("exec", "-n", namespace, "caller", "--", "sh", "-c", script)
    assert "HTTP request to an HTTPS server" in answer


def test_a_deployment_is_rolled_out_and_a_service_leads_to_it(cluster: Cluster, api: ApiClient, namespace: str) -> None:
    template = pod("", namespace, "/bin/sh", "-c", "while true; do echo served | nc -l -p 8000; done")["spec"]
    template.pop("restartPolicy")
    labels = {"app": "web"}
    api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": template},
            },
        }
    )
    spec = {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]}
    metadata = {"name": "web", "namespace": namespace}
    service = api.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s", timeout=70)
    address = service["spec"]["clusterIP"]
    run_pod(cluster, pod("client", namespace))

    def served() -> bool:
        try:
            answer = cluster.kubectl("exec", "-n", namespace, "client", "--", "nc", "-w", "1", address, "80")
        except ClusterError as error:  # kube-proxy hears of the endpoints in its own time
            raise AssertionError(str(error)) from None
        return answer.strip() == "served"

    wait_for(served, 20, what="the service to answer", poll=0.2)


def test_a_port_of_a_pod_is_reached_from_outside_by_who_is_told(cluster: Cluster, namespace: str) -> None:
    found = run_pod(cluster, pod("server", namespace, "/bin/sh", "-c", "echo outside | nc -l -p 9000; sleep infinity"))
    port = cluster.forward(found["status"]["podIP"], 9000)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert connection.recv(100) == b"outside\n"
        assert cluster.forward(found["status"]["podIP"], 9000) == port


def test_pods_do_not_get_out(cluster: Cluster, namespace: str) -> None:
    """Nothing on the machine is reached from inside, not even by the address that it has on its own network."""
    with socket.create_server(("", 0)) as listener:
        port = listener.getsockname()[1]
        addresses = json.loads(subprocess.run(["ip", "-j", "address"], capture_output=True, check=True).stdout)
        own = [each["local"] for link in addresses for each in link["addr_info"] if each["family"] == "inet"]
        assert own
        run_pod(cluster, pod("prisoner", namespace))
        for address in own:
            with pytest.raises(ClusterError):
                cluster.kubectl(
                    "exec", "-n", namespace, "prisoner", "--", "nc", "-w", "1", address, str(port), timeout=30
                )
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    links = cluster.run_inside("ip", "-o", "link").splitlines()
    assert {link.split(": ")[1].split("@")[0][:4] for link in links} <= {"lo", "node", "cni0", "veth"}, links


def test_restricted_pods_are_enforced(cluster: Cluster, api: ApiClient) -> None:
    name = unique_name("restricted")
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": enforced}})
    try:
        cluster.wait(lambda: api.find("v1/ServiceAccount", "default", namespace=name), 20, what="a ServiceAccount")
        with pytest.raises(ApiFailure, match="violates PodSecurity"):
            api.create(pod("too-free", name))
    finally:
        remove_namespace(api, name)


def test_rights_are_those_of_the_user(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="Forbidden"):
        cluster.kubectl("get", "pods", user="alice")


def test_the_audit_log_tells_who_asked(cluster: Cluster, namespace: str) -> None:
    mark = cluster.audit_log.mark()
    run_pod(cluster, pod("short", namespace, "/bin/true"), phase="Succeeded")
    writers = {event.user for event in cluster.audit_log.writes(mark, namespace=namespace)}
    assert {"admin", "system:node:node-1"} <= writers


# its end


def processes_of(namespace: int) -> set[int]:
    """Processes in the network namespace with this inode."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "ns" / "net").stat().st_ino == namespace:
                    found.add(int(folder.name))
            except OSError:
                continue
    return found


def traces() -> dict[str, set[str]]:
    """Everything on this machine that a node touches."""
    places = (
        "/run",
        "/var/lib",
        "/var/log",
        "/etc",
        "/opt",
        "/usr/libexec",
        "/var/run/netns",
        "/etc/cni",
        "/sys/class/net",
    )
    found = {place: set(os.listdir(place)) for place in places if Path(place).is_dir()}
    # Other clusters may come and go at the same time: they have other names.
    found["mounts"] = {line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines()}
    found["sockets"] = {
        line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if "container" in line
    }
    return found


def in_use(cluster: Cluster) -> tuple[Path, int, list[Path]]:
    network = Path(f"/proc/{cluster.pid}/ns/net").stat().st_ino
    settings = json.loads((cluster.folder / "settings.json").read_text())
    groups = [root / settings["cgroup"] for root in cgroups.hierarchies()]
    assert all(group.exists() for group in groups)
    assert len(processes_of(network)) > 7
    return cluster.folder, network, groups


def assert_gone(folder: Path, network: int, groups: list[Path], before: dict[str, set[str]]) -> None:
    assert processes_of(network) == set()
    assert not folder.exists()
    assert not any(group.exists() for group in groups)
    after = traces()
    grown = {place: after.get(place, set()) - names for place, names in before.items()}
    assert {place: names for place, names in grown.items() if names} == {}


def test_nothing_is_left_after_stop() -> None:
    reason = why_not()
    if reason:
        pytest.skip(f"NO NODE WAS STARTED: {reason}")
    before = traces()
    cluster = Cluster()
    with cluster:
        run_pod(cluster, pod("last", "default"))
        used = in_use(cluster)
    assert not cluster.running
    assert_gone(*used, before)
    cluster.stop()  # a second time is no error


def test_a_killed_owner_takes_its_cluster_along() -> None:
    """What a kill leaves, folders and empty control groups, the next start removes."""
    reason = why_not()
    if reason:
        pytest.skip(f"NO NODE WAS STARTED: {reason}")
    before = traces()
    owner = subprocess.Popen(
        [sys.executable, "-m", "tools.cluster", "run"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    line = owner.stdout.readline()
    assert line.startswith("export KUBECONFIG="), owner.communicate()
    folder = Path(line.strip().partition("=")[2]).parent
    group = json.loads((folder / "settings.json").read_text())["cgroup"]
    children = Path(f"/proc/{owner.pid}/task").glob("*/children")
    (unshare, *_) = (int(child) for file in children for child in file.read_text().split())
    init = int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text())
    network = Path(f"/proc/{init}/ns/net").stat().st_ino
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_for(lambda: not processes_of(network), 20, what="all of its processes to be gone")
    groups = [root / group for root in cgroups.hierarchies()]
    for each in groups:
        os.utime(each, (time.time() - 3600,) * 2)
    assert group in cgroups.remove_abandoned()
    with Cluster():
        pass
    assert_gone(folder, network, groups, before)
