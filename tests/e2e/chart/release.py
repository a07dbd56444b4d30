"""The chart as a release: installed, upgraded and uninstalled by helm, and who of its pods leads.

The namespace admits restricted pods only.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.chart.place import KubectlFailed, Object, Place
from tools.manifests.chart import CHART, NAMESPACE, RELEASE, run_helm

ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
SELECTOR = f"app.kubernetes.io/name=autobackup,app.kubernetes.io/instance={RELEASE}"


class NotRolledOut(Exception):
    """New pods did not become ready; the text ends with what they said."""


@dataclass(frozen=True, slots=True)
class Release:
    place: Place
    repository: str
    tag: str
    pull_policy: str = "Never"

    # -- helm --------------------------------------------------------------------------------------

    def install(self) -> None:
        """What the documentation says, and nothing waits."""
        enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
        named = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": enforced}}
        self.place.apply(named)
        self._helm("install", RELEASE, str(CHART), values=self.values())

    def upgrade(self, *, chart: Path = CHART, tag: str = "", more: Object | None = None) -> None:
        values = {**self.values(), **(more or {})}
        if tag:
            values["image"]["tag"] = tag
        self._helm("upgrade", RELEASE, str(chart), values=values)

    def uninstall(self) -> None:
        self._helm("uninstall", RELEASE, "--wait", "--timeout=60s")

    def values(self) -> Object:
        image = {"repository": self.repository, "tag": self.tag, "pullPolicy": self.pull_policy}
        return {"image": image, "logLevel": "debug"}

    def is_installed(self) -> bool:
        listed = run_helm("list", "-q", "-n", NAMESPACE, "--kubeconfig", str(self.place.kubeconfig))
        return RELEASE in listed.split()

    def _helm(self, verb: str, *arguments: str, values: Object | None = None) -> None:
        where = ("-n", NAMESPACE, "--kubeconfig", str(self.place.kubeconfig))
        given = ("--values", "-") if values is not None else ()
        run_helm(verb, *arguments, *where, *given, stdin=json.dumps(values or {}))

    # -- pods --------------------------------------------------------------------------------------

    def pods(self) -> list[Object]:
        """Those that are not on their way out."""
        found = self.place.list("pods", namespace=NAMESPACE, labels=SELECTOR)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_ready(self, *, without: str = "", timeout: float = 90.0) -> list[Object]:
        """All replicas, once they are ready; the pod named `without` is not among them."""

        def ready() -> list[Object]:
            found = self.pods()
            assert len(found) == 2, [pod["metadata"]["name"] for pod in found]
            assert all(is_ready(pod) for pod in found), [pod["status"].get("containerStatuses") for pod in found]
            assert without not in {name_of(pod) for pod in found}
            return found

        pods: list[Object] = self.place.wait(ready, timeout, what="both replicas to be ready")
        return pods

    def wait_rolled_out(self) -> None:
        rollout = ("rollout", "status", "-n", NAMESPACE, f"deployment/{RELEASE}", "--timeout=90s")
        try:
            self.place.kubectl(*rollout, timeout=100)
        except KubectlFailed as error:
            raise NotRolledOut(f"{error}\n{self.troubles()}") from None

    def troubles(self) -> str:
        """Of every pod that is not ready: the state of its container, and the last lines of this and the last one."""
        found = []
        for pod in self.pods():
            if not is_ready(pod):
                found += [f"--- pod {name_of(pod)} ---", json.dumps(pod["status"].get("containerStatuses"))]
                for which in ("--previous=true", "--previous=false"):
                    with contextlib.suppress(KubectlFailed):
                        found.append(self.place.kubectl("logs", "-n", NAMESPACE, name_of(pod), "--tail=30", which))
        return "\n".join(found)

    def holder(self) -> str:
        """Who holds the Lease: the name of a pod and a random suffix; empty when it was given back."""
        lease = self.place.find("lease", RELEASE, namespace=NAMESPACE)
        held: str = ((lease or {}).get("spec") or {}).get("holderIdentity") or ""
        return held

    def leader(self, *, other_than: str = "", timeout: float = 60.0) -> Object:
        """The pod that leads."""

        def leading() -> Object | None:
            holder = self.holder()
            pods = (pod for pod in self.pods() if holder.startswith(name_of(pod)) and name_of(pod) != other_than)
            return next(pods, None)

        pod: Object = self.place.wait(leading, timeout, what="a leader")
        return pod

    def standby(self) -> Object:
        leader = name_of(self.leader())
        return next(pod for pod in self.wait_ready() if name_of(pod) != leader)

    def logs(self, pod: str) -> list[Object]:
        text = self.place.kubectl("logs", "-n", NAMESPACE, pod)
        return [json.loads(line) for line in text.splitlines()]


def name_of(manifest: Object) -> str:
    name: str = manifest["metadata"]["name"]
    return name


def is_ready(pod: Object) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
