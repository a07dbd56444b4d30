"""What all reflectors of a process share: how many may read whole collections at once, what the server cannot do
or does not have, and whether it is still the same (`history.py`).

Contract: at most three initial reads at a time, in the order of registration, so that the kinds registered
first are there first and the server's and our own buffers stay bounded; at most two relists at a time, so
that a wave of them after an outage cannot flood a server that has just come back (R27). A server that refused
the streaming list for a resource is asked again after hours, not at each reconnect (R6).

Source of the idea: machinery rules R6, R27; client-go asks again each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from informers.clock import Clock
from informers.history import History
from informers.presence import Presence
from informers.resource import Resource

INITIAL_READS = 3
RELISTS = 2
REPROBE_SECONDS = 6 * 3600.0


class Gates:
    """One per factory. `presence` says what is known of the group and version of a kind."""

    __slots__ = ("_clock", "_refused_until", "history", "initial", "presence", "relist")

    def __init__(self, clock: Clock) -> None:
        self.presence: Callable[[Resource], Presence] = lambda resource: Presence.UNKNOWN
        self._clock = clock
        self.history = History(clock)
        self._refused_until: dict[Resource, float] = {}
        self.initial = asyncio.Semaphore(INITIAL_READS)
        self.relist = asyncio.Semaphore(RELISTS)

    def may_stream(self, resource: Resource) -> bool:
        """Whether a streaming list is worth asking for."""
        return self._clock.monotonic() >= self._refused_until.get(resource, float("-inf"))

    def refuse_streaming(self, resource: Resource) -> None:
        """The server does not offer streaming lists for this resource."""
        wait = REPROBE_SECONDS * self._clock.uniform(0.75, 1.25)
        self._refused_until[resource] = self._clock.monotonic() + wait
