"""The first process of a cluster's namespaces: it makes network and mounts, starts everything, and reaps.

    python -m tools.cluster.inside SETTINGS.json

Contract: `state.json` appears in the cluster's folder once the API server answers and all programs run; a program that
ends is an end of the cluster, and the reason goes to this process's log. Being process 1, its end is the end of every
process in the namespaces, containers included; mounts and network go with the last of them.

Nothing leaves: the only links are the loopback, and a pair of virtual cables whose both ends are in here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.node import ADDRESS, NAME, Node
from tools.cluster.state import ClusterState
from tools.controlplane import ControlPlane, ControlPlaneError, User
from tools.controlplane.process import Process

COMPONENTS = {
    "kubelet": User(f"system:node:{NAME}", ("system:nodes",)),
    "scheduler": User("system:kube-scheduler"),
    "proxy": User("system:kube-proxy"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the outside says: where to write, where the programs are, whose control group."""

    folder: str
    control_plane: str
    node_programs: str
    cni_plugins: str
    containerd: str
    cgroup: str
    flags: dict[str, str]


def run(*command: str) -> None:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise ControlPlaneError(f"{' '.join(command)}: {answer.stderr.strip() or answer.returncode}")


def set_kernel(name: str, value: str) -> None:
    path = Path("/proc/sys") / name.replace(".", "/")
    if path.exists():
        path.write_text(value)


def make_network() -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "node0", "type", "veth", "peer", "name", "node1")
    run("ip", "address", "add", f"{ADDRESS}/24", "dev", "node0")
    for end in ("node0", "node1"):
        run("ip", "link", "set", end, "up")
    # kubelet and kube-proxy take the node's address from the interface of the default route.
    run("ip", "route", "add", "default", "dev", "node0")
    set_kernel("net.ipv4.ip_forward", "1")
    set_kernel("net.bridge.bridge-nf-call-iptables", "1")


def make_mounts(folder: Path) -> Path:
    """File systems of the cluster's own over all places that its programs write to; the node's folder."""
    node = folder / "node"
    node.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=0755", "node", str(node))
    for name in ("upper", "work"):
        (node / "var" / name).mkdir(parents=True)
    layers = f"lowerdir=/var/lib,upperdir={node}/var/upper,workdir={node}/var/work"
    # Some paths below /var/lib are constants of the kubelet; what was there stays visible.
    run("mount", "-t", "overlay", "-o", layers, "overlay", "/var/lib")
    for place in ("/run", "/var/log"):
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "node", place)
    return node


def start(settings: Settings, folder: Path, programs: dict[str, Process]) -> ControlPlane:
    """Start everything; `programs` is filled as they are started."""
    node = Node(folder=make_mounts(folder), cgroup=settings.cgroup, cni_plugins=Path(settings.cni_plugins))
    make_network()
    for path, text in node.files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def launch(name: str, argv: list[str]) -> None:
        programs[name] = Process(name, argv, log=folder / f"{name}.log")
        programs[name].start()

    launch("containerd", [settings.containerd, "--config", str(node.folder / "containerd.toml")])
    flags = {
        "bind-address": "0.0.0.0",
        "advertise-address": ADDRESS,
        "endpoint-reconciler-type": None,
        "kubelet-preferred-address-types": "InternalIP",
        "enable-admission-plugins": "NodeRestriction",
        **settings.flags,
    }
    # In the cluster's folder, where it is seen from outside: audit log, certificate, logs.
    plane = ControlPlane(assets=Path(settings.control_plane), apiserver_flags=flags, users=COMPONENTS, root=folder)
    plane.start()
    programs["kube-apiserver"], programs["etcd"] = plane.apiserver.process, plane.etcd.process
    plane.start_controllers(["*"], flags={"use-service-account-credentials": "true"})
    kubeconfigs = {name: plane.kubeconfig(name) for name in COMPONENTS}
    for name, argv in node.commands(Path(settings.node_programs), kubeconfigs).items():
        launch(name, argv)
    return plane


def describe(plane: ControlPlane) -> ClusterState:
    server = plane.apiserver
    return ClusterState(
        port=server.port,
        ca=str(server.ca_file),
        audit_log=str(server.audit_log_path),
        plane_folder=str(plane.folder),
        users={name: (user.name, user.groups, user.token) for name, user in plane.users.items()},
    )


def reap(programs: dict[str, Process], plane: ControlPlane) -> None:
    """Until a program ends: collect the orphans that the kernel gives to process 1."""
    ours = {process.pid: name for name, process in programs.items()}
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if ended is None:
            continue
        if ended.si_pid in ours:
            raise ControlPlaneError(f"{ours[ended.si_pid]} ended with status {ended.si_status}")
        os.waitpid(ended.si_pid, 0)
        if not plane.controllers_running:
            raise ControlPlaneError("kube-controller-manager ended")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = Settings(**json.loads(Path(sys.argv[1]).read_text()))
    folder = Path(settings.folder)
    programs: dict[str, Process] = {}
    began = time.monotonic()
    try:
        plane = start(settings, folder, programs)
        describe(plane).write(folder / "state.json")
        print(f"started within {time.monotonic() - began:.1f} s", flush=True)
        reap(programs, plane)
    except ControlPlaneError as error:
        print(f"error: {error}", flush=True)
        for name, process in programs.items():
            if not process.running:
                print(f"--- {name} ---\n{process.last_lines(30)}", flush=True)
        sys.stdout.flush()
        os._exit(1)  # nothing to tidy up: the kernel ends all the rest


if __name__ == "__main__":
    main()
