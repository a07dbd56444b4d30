"""Whether this process takes part in an election, under which name, and what it is given for that.

Contract: `Election.of` decides it once, from the settings and from how the API server was found. A process that runs
with a kubeconfig is somebody at a desk, or a test: by default it competes with nobody (`auto`). A pod competes.
Without an election the fence is open and there is nothing to win.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from controller.config import Settings
from controller.elector import Elector
from controller.fence import Fence
from controller.metrics import Metrics
from informers import Transport
from informers.clock import Clock
from informers.credentials import Credentials, InClusterCredentials
from informers.resource import ObjectKey

_log = structlog.get_logger("leader-election")


@dataclass(frozen=True, slots=True)
class Election:
    """The fence of this process, and who keeps it; nobody does without an election."""

    fence: Fence
    elector: Elector | None

    @classmethod
    def of(
        cls,
        settings: Settings,
        credentials: Credentials,
        transport: Transport,
        *,
        clock: Clock,
        metrics: Metrics,
        identity: str,
    ) -> Election:
        wanted = settings.leader_election
        if wanted == "never" or (wanted == "auto" and not isinstance(credentials, InClusterCredentials)):
            _log.info("No leader election: no other operator may run for these namespaces", leaderElection=wanted)
            return cls(Fence.without_election(clock), None)
        fence = Fence(clock)
        key = ObjectKey(settings.lease_namespace or credentials.namespace, settings.lease_name)
        elector = Elector(transport, clock, fence, key=key, identity=identity, terms=settings.terms, metrics=metrics)
        return cls(fence, elector)

    async def resign(self, note: str) -> None:
        """Stop what the leader does and let others lead; the note is for the next one."""
        if self.elector is not None:
            await self.elector.resign(note)

    def overdue(self) -> str | None:
        """For liveness."""
        return self.elector.overdue() if self.elector is not None else None
