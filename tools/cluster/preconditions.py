"""What this machine must have and allow before a node can run on it, and the words for what it lacks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tools.cluster import cgroups
from tools.image.debian import PackagesMissing, find_program, require_programs

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
BUSYBOX = Path("/bin/busybox")
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")


def cni_folder() -> Path | None:
    """Where the plugins are that the network needs."""
    wanted = ("bridge", "host-local", "loopback", "portmap")
    return next((folder for folder in CNI_FOLDERS if all((folder / name).exists() for name in wanted)), None)


def _programs() -> dict[str, str]:
    programs = {**PROGRAMS, str(BUSYBOX): "busybox-static"}
    if cni_folder() is None:
        programs[str(CNI_FOLDERS[0] / "bridge")] = "containernetworking-plugins"
    return programs


def _namespaces_refused() -> str:
    if find_program("unshare") is None:
        return ""  # the package is asked for below
    inside = "ip link add probe0 type veth peer name probe1 && mount -t tmpfs none /mnt"
    answer = subprocess.run([*UNSHARE, "sh", "-c", inside], capture_output=True, text=True, check=False, timeout=30)
    return answer.stderr.strip() or f"exit code {answer.returncode}" if answer.returncode else ""


def _cgroups_refused() -> str:
    try:
        cgroups.remove(cgroups.create())
    except OSError as error:
        return str(error)
    return "" if cgroups.hierarchies() else "none are mounted"


def why_not() -> str:
    """Why no node can run here, or nothing. Missing Debian packages are installed if that is possible."""
    if os.geteuid() != 0:
        return "a node needs root, for namespaces, control groups and mounts"
    try:
        require_programs(_programs(), purpose="running a node")
    except PackagesMissing as missing:
        return str(missing)
    refused = _namespaces_refused()
    if refused:
        return f"this machine lets nobody make namespaces, network links or mounts: {refused}"
    refused = _cgroups_refused()
    if refused:
        return f"this machine lets nobody make control groups: {refused}"
    return ""
