"""The control plane of a benchmark: kinds, rights and objects are there, and the operator can be started on it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from bench.connection import Connection
from bench.figures import Figure
from bench.fleet import BLUEPRINTS, CONFIGURATIONS, Fleet, blueprint
from bench.operator import Operator
from bench.seeding import copy, seed
from reconcilers.kinds import CONFIGURATION
from reconcilers.marks import MANAGED_BY, PRODUCT
from tools.controlplane import OPERATOR, AuditEvent, ControlPlane, install_crds
from tools.demo.rights import Identity, grant

BESIDES = frozenset({"events", "selfsubjectaccessreviews", "selfsubjectreviews"})
"""What the operator may send besides its work: Events, and questions about its own rights, which store nothing."""

_QUIET_SECONDS = 1.5
_PATIENCE = 120.0


class Scene:
    """What all measurements share."""

    def __init__(self, plane: ControlPlane, fleet: Fleet) -> None:
        self.plane = plane
        self.fleet = fleet
        self.kubeconfig = plane.kubeconfig("operator")

    def prepare(self, *, seeded: bool = False, empty: bool = False) -> None:
        """CRDs, the operator's rights, the blueprint, and the fleet; seeded is much faster when it is large."""
        admin = self.plane.client()
        install_crds(admin)
        identity = Identity("autobackup-system")
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": identity.namespace}})
        grant(admin.create, identity)
        asyncio.run(self._populate(seeded=seeded, empty=empty))

    async def _populate(self, *, seeded: bool, empty: bool) -> None:
        async with Connection(self.plane) as connection:
            await connection.request("POST", BLUEPRINTS, body=blueprint())
            if empty:
                await self.fleet.create_namespaces(connection)
            elif seeded:
                await self.fleet.create_namespaces(connection)
                await seed(self.plane, connection, self.fleet)
            else:
                await self.fleet.create(connection)

    def copy(self, other: Scene) -> None:
        """The fleet of another scene, and what was made for it there, into this one that was prepared empty."""
        asyncio.run(self._copy(other))

    async def _copy(self, other: Scene) -> None:
        async with Connection(self.plane) as connection:
            await copy(other.plane, self.plane, connection, self.fleet)

    @contextmanager
    def operator(self) -> Iterator[Operator]:
        """The operator as a process, from its start to its orderly end."""
        operator = Operator(self.kubeconfig, self.plane.folder)
        operator.start()
        try:
            yield operator
        finally:
            operator.stop()

    def configurations(self) -> list[dict[str, Any]]:
        """The BackupConfigurations that the operator made."""
        admin = self.plane.client()
        label = {"labelSelector": f"{MANAGED_BY}={PRODUCT}"}
        found: list[dict[str, Any]] = admin.request("GET", CONFIGURATIONS, query=label)["items"]
        kind = {"apiVersion": CONFIGURATION.api_version, "kind": CONFIGURATION.kind}
        return [{**kind, **item} for item in found]

    def describe_fleet(self) -> Figure:
        """The size of one Deployment as the server returns it."""
        path = f"/apis/apps/v1/namespaces/{self.fleet.namespace_names[0]}/deployments/svc-00000"
        size = len(json.dumps(self.plane.client().request("GET", path), separators=(",", ":")))
        return Figure("fleet", "object", "one Deployment in JSON", "B", (float(size),))

    # -- what the operator asked of the API server ---------------------------------------------------------

    def requests(self, mark: int) -> list[AuditEvent]:
        """Everything but watches."""
        found = self.plane.audit_log.requests(mark, user=OPERATOR)
        return [event for event in found if event.verb != "watch"]

    def wait_quiet(self) -> None:
        """Until the operator has sent nothing for a while."""
        deadline = monotonic() + _PATIENCE
        mark, since = self.plane.audit_log.mark(), monotonic()
        while monotonic() - since < _QUIET_SECONDS:
            if monotonic() > deadline:
                raise TimeoutError(f"the operator is not quiet after {_PATIENCE:.0f} s: {tally(self.requests(mark))}")
            sleep(0.1)
            now = self.plane.audit_log.mark()
            if now != mark and self.requests(mark):
                since = monotonic()
            mark = now

    def versions(self) -> dict[str, str]:
        """Of the servers, as they say themselves."""
        served = self.plane.client().request("GET", "/version")
        etcd = subprocess.run([self.plane.program("etcd"), "--version"], capture_output=True, text=True, check=True)
        return {"kube-apiserver": served["gitVersion"], "etcd": etcd.stdout.split("\n", 1)[0].rpartition(" ")[2]}


def object_writes(events: list[AuditEvent]) -> list[AuditEvent]:
    """Writes of Repositories and BackupConfigurations."""
    return [event for event in events if event.is_write and event.resource in ("repositories", "backupconfigurations")]


def other_writes(events: list[AuditEvent]) -> list[AuditEvent]:
    """Writes of anything else that the server stores, Events aside: statuses of blueprints, in fact."""
    ours = object_writes(events)
    return [event for event in events if event.is_write and event not in ours and event.resource not in BESIDES]


def reads(events: list[AuditEvent]) -> list[AuditEvent]:
    """Reads of objects; the version of the server, which is asked for at the start, is none."""
    return [event for event in events if event.verb in ("get", "list") and event.resource]


def tally(events: list[AuditEvent]) -> dict[str, int]:
    """How many of each, for people."""
    return dict(Counter(f"{event.verb} {event.resource}/{event.subresource}".rstrip("/") for event in events))
