"""Operator processes that compete on a real API server, and what the server's audit log says about each of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.autobackup import probes
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ApiClient, AuditLog, wait_for
from tools.controlplane.audit import AuditEvent

NAMESPACE = "autobackup-system"
LEASE = "coordination.k8s.io/v1/Lease"
SECONDS = 60.0
QUICK = (5, 3.5, 0.5)
"""Long enough that a leader on a busy machine does not lose the Lease by itself."""
DEFAULT = (15, 10.0, 2.0)


class Replica:
    """One process of several."""

    def __init__(self, kubeconfig: Path, *, terms: tuple[int, float, float] = QUICK) -> None:
        lease, renew, retry = terms
        self.process = OperatorProcess(
            kubeconfig,
            "--health-address=127.0.0.1:0",
            "--metrics-address=127.0.0.1:0",
            "--leader-election=always",
            f"--leader-election-lease-duration-seconds={lease}",
            f"--leader-election-renew-deadline-seconds={renew}",
            f"--leader-election-retry-period-seconds={retry}",
        )

    # ---- what it says

    def lines(self, message: str, **fields: Any) -> list[Mapping[str, Any]]:
        found = []
        quoted = json.dumps(message)
        for text in self.process.log().splitlines():
            if quoted not in text:  # parsing each line at each look is most of what a test of election computes
                continue
            with contextlib.suppress(ValueError):
                line = json.loads(text)
                if line.get("msg") == message and all(line.get(key) == value for key, value in fields.items()):
                    found.append(line)
        return found

    @property
    def identity(self) -> str:
        return str(self.lines("Starting")[-1]["identity"])

    @property
    def leads(self) -> bool:
        return self.process.exit_code is None and bool(self.lines("Leading"))

    def wait_ready(self) -> None:
        """Warm: the caches are complete, and it takes part."""
        wait_for(lambda: self.lines("Ready to lead"), SECONDS, what="a warm replica", state=self.process.tail)

    def wait_leading(self, within: float = SECONDS) -> None:
        wait_for(lambda: self.leads, within, what="this replica to lead", state=self.process.tail)

    def wait_ended(self, within: float = SECONDS) -> int:
        wait_for(lambda: self.process.exit_code is not None, within, what="the process to end", state=self.process.tail)
        code = self.process.exit_code
        assert code is not None
        return code

    def get(self, option: str, path: str) -> tuple[int, str]:
        return probes.fetch(str(self.lines("Serving", option=option)[-1]["url"]) + path)

    def metric(self, name: str) -> float:
        _, text = self.get("metricsAddress", "/metrics")
        found = re.search(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? ([0-9.e+-]+)$", text, re.MULTILINE)
        assert found, f"{name} is not exported"
        return float(found.group(1))

    # ---- what is done to it

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def signal(self, number: signal.Signals) -> datetime:
        """Send it; the instant before."""
        at = datetime.now(UTC)
        os.kill(self.process.pid, number)
        return at


class Fleet:
    """Starts replicas; those that are left are killed at the end."""

    def __init__(self, kubeconfig: Path, *, terms: tuple[int, float, float] = QUICK) -> None:
        self.kubeconfig = kubeconfig
        self._terms = terms
        self._stack = contextlib.ExitStack()

    def start(self, kubeconfig: Path | None = None) -> Replica:
        """One more, warm and taking part."""
        replica = Replica(kubeconfig or self.kubeconfig, terms=self._terms)
        self._stack.enter_context(replica.process)
        replica.wait_ready()
        return replica

    def start_leader(self, kubeconfig: Path | None = None) -> Replica:
        """The first."""
        replica = self.start(kubeconfig)
        replica.wait_leading()
        return replica

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


@dataclass(frozen=True, slots=True)
class Story:
    """What the audit log tells of one process after a mark."""

    events: list[AuditEvent]

    @classmethod
    def of(cls, log: AuditLog, mark: int, identity: str) -> Story:
        return cls([event for event in log.requests(mark, user=OPERATOR) if identity in event.user_agent])

    @property
    def writes(self) -> list[AuditEvent]:
        """Accepted or not: what matters is that it was sent. Reviews of one's own rights store nothing."""
        return [
            event
            for event in self.events
            if event.is_write and event.resource not in ("leases", "selfsubjectaccessreviews")
        ]

    @property
    def renewals(self) -> list[AuditEvent]:
        return [event for event in self.events if event.resource == "leases" and event.verb in ("update", "create")]


def at(event: AuditEvent) -> datetime:
    return datetime.fromisoformat(event.time)


def spec(api: ApiClient) -> dict[str, Any]:
    lease = api.find(LEASE, "autobackup", namespace=NAMESPACE)
    found: dict[str, Any] = lease["spec"] if lease else {}
    return found


def edit(api: ApiClient, **changes: Any) -> datetime:
    """Change the Lease by hand; the instant after."""
    api.patch(LEASE, "autobackup", {"spec": changes}, namespace=NAMESPACE)
    return datetime.now(UTC)
