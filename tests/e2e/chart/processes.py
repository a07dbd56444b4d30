"""A pod's processes as the machine sees them, and who of the pods wrote what.

A process in a container has a number outside as well. Signals from out there are obeyed even by process 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.e2e.chart.place import Object
from tools.controlplane import AuditLog
from tools.controlplane.audit import WRITE_VERBS

_POD = "authentication.kubernetes.io/pod-name"
_LISTENING = "0A"


def operator_process(pod: Object) -> int:
    """The number of the operator of a pod, outside."""
    found = [number for number, words in _processes(pod) if any(word.endswith(b"/autobackup") for word in words)]
    assert len(found) == 1, f"processes of pod {pod['metadata']['name']}: {found}"
    return found[0]


def _processes(pod: Object) -> Iterator[tuple[int, list[bytes]]]:
    """Those of all containers of a pod, with their command lines."""
    uid = pod["metadata"]["uid"]
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                inside = uid in (folder / "cgroup").read_text()
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if inside:
                yield int(folder.name), words


def is_running(number: int) -> bool:
    """Whether there is such a process; one that ended and waits for its parent to look is none."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def unsent_bytes(number: int) -> int:
    """What the kernel still has to deliver from the network that this process is in, whoever wrote it."""
    waiting = 0
    for family in ("tcp", "tcp6"):
        rows = Path(f"/proc/{number}/net/{family}").read_text().splitlines()[1:]
        waiting += sum(int(row.split()[4].partition(":")[0], 16) for row in rows if row.split()[3] != _LISTENING)
    return waiting


def companion_process(pod: Object) -> int:
    """A process that is in the pod's network as long as there is the pod: its sandbox."""
    found = [number for number, words in _processes(pod) if b"/bin/sleep" in words]
    assert len(found) == 1, f"sandboxes of pod {pod['metadata']['name']}: {found}"
    return found[0]


def resident_megabytes(number: int) -> float:
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    (resident,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(resident) / 1024


@dataclass(frozen=True, slots=True)
class Write:
    """A request of one of the operator's pods that changed something."""

    pod: str
    verb: str
    resource: str
    namespace: str
    name: str
    accepted: bool
    at: float


def writes_of_pods(log: AuditLog, mark: int) -> Iterator[Write]:
    """In the order of their arrival; who asked is in the token that the kubelet gave the pod."""
    with log.path.open("rb") as file:
        file.seek(mark)
        for line in file:
            if not line.endswith(b"\n"):
                return
            event: dict[str, Any] = json.loads(line)
            pod = event["user"].get("extra", {}).get(_POD)
            if pod and event["stage"] == "ResponseComplete" and event["verb"] in WRITE_VERBS:
                target = event.get("objectRef", {})
                yield Write(
                    pod[0],
                    event["verb"],
                    target.get("resource", ""),
                    target.get("namespace", ""),
                    target.get("name", ""),
                    event["responseStatus"]["code"] < 300,
                    datetime.fromisoformat(event["stageTimestamp"]).timestamp(),
                )
