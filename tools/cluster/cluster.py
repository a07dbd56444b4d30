"""One node and its control plane, as a thing that is started, asked and stopped.

Contract: `with Cluster() as cluster:` gives a Kubernetes whose node is Ready and whose `default` namespace takes pods.
Its API server is reached through a relay on the machine's loopback, and TLS is verified. Everything ends with this
interpreter, however it ends; `stop()` leaves no process, mount, namespace, control group or file.

Synchronous, like `tools.controlplane`, whose client and audit log are used here too.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tools.cluster import cgroups
from tools.cluster.node import NAME, PAUSE_IMAGE
from tools.cluster.preconditions import BUSYBOX, UNSHARE, cni_folder, why_not
from tools.cluster.state import ClusterState
from tools.controlplane import ApiClient, ApiFailure, ApiUnreachable, AuditLog, NotInTime, binaries, wait_for
from tools.controlplane.build import node_binaries
from tools.controlplane.identity import write_kubeconfig
from tools.controlplane.process import Process
from tools.controlplane.workdir import WorkDir
from tools.image.debian import find_program
from tools.image.handmade import write_archive

ROOT = Path(__file__).resolve().parents[2]
BUSYBOX_IMAGE = "localhost/busybox:1"
_APPLETS = ("cat", "echo", "env", "false", "grep", "id", "ls", "nc", "sh", "sleep", "touch", "true", "wget")


class ClusterError(Exception):
    """The cluster could not be started, or did not do what was asked; the text ends with what its programs said."""


class Cluster:
    """A node of its own, in namespaces of its own."""

    def __init__(self, *, apiserver_flags: Mapping[str, str] | None = None) -> None:
        self._flags = dict(apiserver_flags or {})
        self._workdir: WorkDir | None = None
        self._cgroup = ""
        self._init: Process | None = None
        self._init_pid = 0
        self._relays: dict[tuple[str, int], tuple[Process, int]] = {}
        self._state: ClusterState | None = None
        self._clients: list[ApiClient] = []

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- life --------------------------------------------------------------------------------------

    def start(self, *, timeout: float = 120.0) -> None:
        if self._workdir is not None:
            raise ClusterError("the cluster runs already")
        reason = why_not()
        if reason:
            raise ClusterError(reason)
        control_plane, node = binaries(), node_binaries()
        cgroups.remove_abandoned()
        self._workdir = WorkDir()
        atexit.register(self.stop)
        try:
            self._cgroup = cgroups.create()
            self._enter_namespaces(control_plane, node)
            deadline = time.monotonic() + timeout
            self._state = self._wait_for_state(deadline)
            self.load_image(self._busybox(PAUSE_IMAGE))
            self.load_image(self._busybox(BUSYBOX_IMAGE))
            self._wait_until_usable(deadline)
        except BaseException:
            self.stop()
            raise

    def _enter_namespaces(self, control_plane: Path, node: Path) -> None:
        settings = {
            "folder": str(self.folder),
            "control_plane": str(control_plane),
            "node_programs": str(node),
            "cni_plugins": str(cni_folder()),
            "containerd": find_program("containerd"),
            "cgroup": self._cgroup,
            "flags": self._flags,
        }
        path = self.folder / "settings.json"
        path.write_text(json.dumps(settings))
        unshare = find_program("unshare")
        assert unshare is not None, "why_not() looked for it"
        argv = [unshare, *UNSHARE[1:], sys.executable, "-m", "tools.cluster.inside", str(path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        # kubelet and its kin look for their helpers there.
        environment["PATH"] = os.pathsep.join([environment.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
        self._init = Process("cluster", argv, log=self.folder / "cluster.log", env=environment)
        self._init.start()

    def _wait_for_state(self, deadline: float) -> ClusterState:
        assert self._init is not None
        path = self.folder / "state.json"
        while not path.exists():
            if not self._init.running:
                raise ClusterError(f"the cluster ended while starting\n{self.logs()}")
            if time.monotonic() > deadline:
                raise ClusterError(f"the cluster did not start in time\n{self.logs()}")
            time.sleep(0.02)
        self._init_pid = _only_child(self._init.pid)
        return ClusterState.read(path)

    def _wait_until_usable(self, deadline: float) -> None:
        client = self.client()

        def node_is_ready() -> bool:
            node = client.find("v1/Node", NAME)
            conditions = (node or {}).get("status", {}).get("conditions", [])
            return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

        def namespace_takes_pods() -> bool:
            return all(
                client.find(kind, name, namespace="default")
                for kind, name in (("v1/ServiceAccount", "default"), ("v1/ConfigMap", "kube-root-ca.crt"))
            )

        for what, condition in (("the node to be ready", node_is_ready), ("the namespace", namespace_takes_pods)):
            self.wait(condition, deadline - time.monotonic(), what=what)

    def wait(self, condition: Callable[[], Any], timeout: float, *, what: str, poll: float = 0.05) -> Any:
        """`wait_for`, with the ends of all logs when it was in vain."""
        try:
            return wait_for(condition, timeout, what=what, poll=poll)
        except NotInTime as late:
            raise ClusterError(f"{late}\n{self.logs()}") from None

    def stop(self) -> None:
        """End everything in the namespaces and remove every trace. May be called twice."""
        atexit.unregister(self.stop)
        for client in self._clients:
            client.close()
        self._clients.clear()
        for relay, _ in self._relays.values():
            relay.kill()
        self._relays.clear()
        if self._init is not None:
            # Its child is process 1 in there: with it the kernel kills all others, and `unshare` sees it through.
            self._init.kill()
            _wait_gone(self._init_pid)
            self._init = None
        if self._cgroup:
            cgroups.remove(self._cgroup)
            self._cgroup = ""
        if self._workdir is not None:
            self._workdir.remove()
            self._workdir = None
        self._state = None

    @property
    def running(self) -> bool:
        return self._init is not None and self._init.running

    @property
    def folder(self) -> Path:
        if self._workdir is None:
            raise ClusterError("the cluster was not started")
        return self._workdir.path

    @property
    def state(self) -> ClusterState:
        if self._state is None:
            raise ClusterError("the cluster was not started")
        return self._state

    @property
    def pid(self) -> int:
        """Process 1 of the cluster, by its number outside."""
        return self._init_pid

    # -- ways in -----------------------------------------------------------------------------------

    def forward(self, host: str, port: int) -> int:
        """A loopback port of this machine that leads to `host`:`port` inside; one for each address."""
        if (host, port) not in self._relays:
            file = self.folder / f"relay-{len(self._relays)}"
            script = Path(__file__).with_name("relay.py")
            argv = [sys.executable, "-I", str(script), str(self._init_pid), host, str(port), str(file)]
            relay = Process("relay", argv, log=file.with_suffix(".log"))
            relay.start()
            wait_for(lambda: file.exists() or not relay.running, 10.0, what="the relay to listen")
            if not file.exists():
                raise ClusterError(f"forward a port to {host}:{port}: {relay.last_lines()}")
            self._relays[host, port] = (relay, int(file.read_text()))
        return self._relays[host, port][1]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.forward('127.0.0.1', self.state.port)}"

    def client(self, user: str = "admin", *, timeout: float = 30.0) -> ApiClient:
        token = self.state.user(user).token
        client = ApiClient(self.url, token=token, ca=Path(self.state.ca), timeout=timeout)
        self._clients.append(client)
        return client

    def kubeconfig(self, user: str = "admin", *, namespace: str = "default") -> Path:
        path = self.folder / f"kubeconfig-{user}-{namespace}"
        ca = Path(self.state.ca).read_bytes()
        return write_kubeconfig(path, self.state.user(user), server=self.url, ca=ca, namespace=namespace)

    @property
    def audit_log(self) -> AuditLog:
        return AuditLog(Path(self.state.audit_log))

    def kubectl(self, *arguments: str, text: str | None = None, user: str = "admin", timeout: float = 60.0) -> str:
        """What kubectl printed; `text` is its input."""
        program = binaries() / "kubectl"
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig(user)), "HOME": str(self.folder)}
        answer = subprocess.run(
            [str(program), *arguments],
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=environment,
        )
        if answer.returncode != 0:
            said = answer.stderr.strip() or answer.stdout.strip()
            raise ClusterError(f"kubectl {' '.join(arguments)} ended with {answer.returncode}: {said}")
        return answer.stdout

    def run_inside(self, *command: str, timeout: float = 120.0) -> str:
        """What a program printed that ran among the node's own."""
        enter = ["nsenter", f"--target={self._init_pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--"]
        answer = subprocess.run([*enter, *command], capture_output=True, text=True, check=False, timeout=timeout)
        if answer.returncode != 0:
            raise ClusterError(f"{' '.join(command)}, on the node: {answer.stderr.strip() or answer.stdout.strip()}")
        return answer.stdout

    # -- images ------------------------------------------------------------------------------------

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive, under the name that is in it. Pods use it with `imagePullPolicy: Never`."""
        containerd = ("ctr", "--address=/run/containerd/containerd.sock", "--namespace=k8s.io")
        self.wait(lambda: self._answers(*containerd, "version"), 30.0, what="containerd to answer")
        self.run_inside(*containerd, "images", "import", "--snapshotter=overlayfs", str(archive.resolve()))

    def _answers(self, *command: str) -> bool:
        try:
            self.run_inside(*command)
        except ClusterError:
            return False
        return True

    def _busybox(self, name: str) -> Path:
        program = BUSYBOX.read_bytes()
        files: dict[str, bytes | str] = {"bin/busybox": program, **{f"bin/{each}": "busybox" for each in _APPLETS}}
        path = self.folder / f"{name.rpartition('/')[2].replace(':', '-')}.tar"
        return write_archive(path, name, files, command=("/bin/sleep", "infinity"))

    # -- what went wrong ---------------------------------------------------------------------------

    def logs(self, lines: int = 25) -> str:
        """The ends of the logs of all programs and all containers, and what the cluster warns of."""
        found = [*sorted(self.folder.glob("*.log"))]
        if self._state is not None:
            found += sorted(Path(self._state.plane_folder).rglob("*log"))
        found = [path for path in found if path.is_file() and path.name != "audit.log" and path.stat().st_size]
        ends = {
            path.relative_to(self.folder).as_posix(): path.read_text(errors="replace").splitlines()[-lines:]
            for path in found
        }
        if self._init_pid and self.running:
            ends["containers"] = self._container_logs(lines).splitlines()
            ends["warnings"] = self._warnings()
        return "\n".join("\n".join([f"--- {name} ---", *end]) for name, end in ends.items())

    def _container_logs(self, lines: int) -> str:
        # Containers that are gone have no log any more: whoever needs theirs keeps the pod.
        return self.run_inside("sh", "-c", f"find /var/log/pods -name '*.log' -exec tail -v -n {lines} {{}} +")

    def _warnings(self) -> list[str]:
        try:
            events = self.client(timeout=5).list("v1/Event", fields="type=Warning") if self._state else []
        except (ApiFailure, ApiUnreachable) as error:
            return [str(error)]
        return [
            "{namespace}/{name}: ".format(**event["involvedObject"]) + event.get("message", "")
            for event in events
            if "namespace" in event["involvedObject"]
        ]


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if len(children) != 1:
        raise ClusterError(f"`unshare` (process {pid}) has {len(children)} children; one was expected")
    return int(children[0])


def _wait_gone(pid: int, *, patience: float = 10.0) -> None:
    """Process 1 of a namespace is gone once all others in there are."""
    deadline = time.monotonic() + patience
    while pid and Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            raise ClusterError(f"the cluster's process {pid} did not end within {patience:g} s")
        time.sleep(0.01)
