"""The cluster that the chart is installed on: one made here, or the one of $AUTOBACKUP_E2E_KUBECONFIG.

Contract: everything that can be done as a person does it goes through kubectl and works on both. What needs the node
itself (the audit log, processes, ports) needs the cluster made here: `Place.own` skips the test elsewhere, and says so.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools.cluster import Cluster
from tools.controlplane import AuditLog, binaries, wait_for

Object = dict[str, Any]

# kubectl takes a tenth of a second of a core to look once, and the pods have no other cores.
_POLL = 0.2


class KubectlFailed(Exception):
    """kubectl ended with an error; the text is its own."""


@dataclass(frozen=True, slots=True)
class Place:
    kubeconfig: Path
    cluster: Cluster | None

    @property
    def own(self) -> Cluster:
        if self.cluster is None:
            pytest.skip("NOT TESTED on a cluster that was not made here: it takes the node's audit log or processes")
        return self.cluster

    @property
    def audit_log(self) -> AuditLog:
        return self.own.audit_log

    def kubectl(self, *arguments: str, text: str = "", timeout: float = 90.0) -> str:
        """What kubectl printed; `text` is its input."""
        answer = subprocess.run(
            [str(binaries() / "kubectl"), *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if answer.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {answer.stderr.strip() or answer.stdout.strip()}")
        return answer.stdout

    def apply(self, *manifests: Object) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", text="\n---\n".join(map(json.dumps, manifests)))

    def find(self, kind: str, name: str, *, namespace: str = "default") -> Object | None:
        text = self.kubectl("get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "json")
        found: Object | None = json.loads(text) if text.strip() else None
        return found

    def get(self, kind: str, name: str, *, namespace: str = "default") -> Object:
        found = self.find(kind, name, namespace=namespace)
        assert found is not None, f"there is no {kind} {namespace}/{name}"
        return found

    def list(self, kind: str, *, namespace: str = "", labels: str = "") -> list[Object]:
        where = ("-n", namespace) if namespace else ("--all-namespaces",)
        chosen = ("-l", labels) if labels else ()
        items: list[Object] = json.loads(self.kubectl("get", kind, *where, *chosen, "-o", "json"))["items"]
        return items

    def wait(self, condition: Callable[[], Any], timeout: float, *, what: str) -> Any:
        """The first true answer of `condition`; one that asserts is not there yet."""
        if self.cluster is not None:
            return self.cluster.wait(condition, timeout, what=what, poll=_POLL)
        return wait_for(condition, timeout, what=what, poll=_POLL)
