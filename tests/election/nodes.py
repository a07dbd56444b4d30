"""Processes that compete for the Lease, each with a clock and a network of its own, and an observer who sees them all.

A node is what the operator is, as far as election goes: an elector, a fence, a watchdog, and work that writes all the
time through the fence. `World` keeps true time and the intervals in which each node's fence was open.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from controller import families as f
from controller.elector import Elector, LeadershipLost, State
from controller.fence import Fence, FencedTransport
from controller.metrics import Metrics
from controller.terms import Terms
from controller.watchdog import EXIT_CODE, PERIOD, Watchdog
from informers.errors import ApiError
from informers.resource import ObjectKey
from tests.election.leaseserver import LeaseServer, Network, NodeTransport, now
from tests.support.virtualtime import START

KEY = ObjectKey("system", "autobackup")
QUICK = Terms(lease=4, renew=2.5, retry=0.5)


class NodeClock:
    """One machine's clocks. `rate` is how fast they run; `wall` is as wrong as anybody sets it."""

    def __init__(self, node: Node, *, rate: float = 1.0, boot: float = 0.0) -> None:
        self.rate = rate
        self.boot = boot
        self.skew = 0.0
        self.frozen = 0.0
        self._node = node
        self._random = random.Random(node.name)

    def monotonic(self) -> float:
        return (now() - self.frozen) * self.rate

    def boottime(self) -> float:
        return now() * self.rate + self.boot

    def true(self, boottime: float) -> float:
        """The true time of an instant on this clock."""
        return (boottime - self.boot) / self.rate

    def wall(self) -> datetime:
        return START + timedelta(seconds=now() + self.skew)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.rate)
        await self._node.gate()

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def token(self, nbytes: int = 4) -> str:
        return self._random.randbytes(nbytes).hex()


class SeenFence(Fence):
    """A fence whose open intervals, in true time, are written down."""

    def __init__(self, clock: NodeClock) -> None:
        super().__init__(clock)
        self._true = clock.true
        self.intervals: list[tuple[float, float]] = []

    def extend(self, until: float) -> None:
        super().extend(until)
        if self.until == until and self._true(until) > now():
            self.intervals.append((now(), self._true(until)))

    def shut(self, why: str) -> None:
        super().shut(why)
        self._cut()

    def condemn(self, why: str) -> None:
        super().condemn(why)
        self._cut()

    def _cut(self) -> None:
        self.intervals = [(start, min(end, now())) for start, end in self.intervals if start < now()]


class Gone(asyncio.CancelledError):
    """The node's process does not exist any more."""


class Node:
    """One process."""

    def __init__(
        self,
        world: World,
        name: str,
        *,
        terms: Terms = QUICK,
        rate: float = 1.0,
        elector: type[Elector] = Elector,
        clock: type[NodeClock] = NodeClock,
    ) -> None:
        self.name = name
        self.exit_code: int | None = None
        self.works = 0
        self.broken: Exception | None = None
        self._running = asyncio.Event()
        self._running.set()
        self._stopped = False
        self._stopped_at = 0.0
        self.clock = clock(self, rate=rate, boot=world.chance.uniform(0, 1e6))
        self.network = Network(random.Random(f"network of {name}"))
        self.fence = SeenFence(self.clock)
        self.metrics = Metrics(version="test")
        self.transport = NodeTransport(world.server, self.network, node=name, gate=self.gate, sending=self._sending)
        self.fenced = FencedTransport(self.transport, self.fence)
        self.watchdog = Watchdog(self.fence, self.clock, end=self.end)
        self.elector = elector(
            self.transport, self.clock, self.fence, key=KEY, identity=name, terms=terms, metrics=self.metrics
        )
        self._hold_pauses()
        self.ready = asyncio.Event()
        self.ready.set()
        self.refused = 0
        self._world = world
        self._task: asyncio.Task[None] | None = None
        self._writing = 0.3

    @property
    def leads(self) -> bool:
        return self.exit_code is None and self.elector.state is State.LEADING

    @property
    def status(self) -> float:
        """The metric that says who leads."""
        value = self.metrics.registry.get_sample_value(f.LEADING.name, {"name": KEY.name})
        assert value is not None
        return value

    @property
    def slow_renewals(self) -> float:
        value = self.metrics.registry.get_sample_value(f.LEADING_SLOWPATH.name, {"name": KEY.name})
        assert value is not None
        return value

    def _hold_pauses(self) -> None:
        """Pauses end by a timer of the loop, which all nodes share: a node that is stopped does not go on with it."""
        pause = self.elector._pause

        async def held(seconds: float) -> None:
            await pause(seconds)
            await self.gate()

        self.elector._pause = held  # type: ignore[method-assign]

    async def gate(self) -> None:
        """Go on only while the process is neither stopped nor dead."""
        while not self._running.is_set():
            await self._running.wait()
        if self.exit_code is not None:
            raise Gone

    def _sending(self) -> None:
        self._world.sends.append((now(), self.name))

    # ---- the process

    def start(self, tasks: asyncio.TaskGroup) -> None:
        self._task = tasks.create_task(self._main(), name=self.name)

    async def _main(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_over())
            try:
                await self.elector.run(self.work, ready=self.ready)
                await asyncio.Event().wait()  # resigned; whoever asked for that ends the process
            except* LeadershipLost:
                self.end(1)
            except* Gone:
                pass
            except* Exception as group:
                self.broken = group.exceptions[0]
                self.end(1)
            finally:
                watch.cancel()

    async def _watch_over(self) -> None:
        """The watchdog thread, as a task: it does not depend on what the node's own tasks do."""
        while self.exit_code is None:
            await asyncio.sleep(PERIOD)
            if not self._stopped:
                self.watchdog.look()

    async def work(self) -> None:
        """Write, without a pause and without a thought about who leads."""
        self.works += 1
        while True:
            try:
                await self.fenced.request("PATCH", "/object", body=b"{}", timeout=5.0)
            except ApiError:
                self.refused += 1
            await self.clock.sleep(self._writing)

    def end(self, code: int) -> None:
        """The process does not exist any more: nothing it would do is done."""
        if self.exit_code is None:
            self.exit_code = code
            self.fence._cut()
            self._running.set()
            if self._task is not None:
                self._task.cancel()

    # ---- what happens to it

    def kill(self) -> None:
        self.end(-9)

    def stop(self) -> None:
        """SIGSTOP, a paused machine: nothing of it runs, time goes on."""
        self._stopped = True
        self._stopped_at = now()
        self.hang()

    def hang(self) -> None:
        """Its event loop does not turn any more; its threads do."""
        self._running.clear()

    def go_on(self, *, signalled: bool = True) -> None:
        """SIGCONT, with its handler; a machine that was paused gets no signal."""
        if self._running.is_set():
            return
        self.clock.frozen += now() - self._stopped_at
        self._stopped = False
        if signalled:
            self.watchdog.look()
        self._running.set()

    async def terminate(self) -> bool:
        """SIGTERM."""
        released = await self.elector.resign()
        self.end(0)
        return released


async def until(condition: Callable[[], bool], within: float = 60.0) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - seen from outside, as a person with kubectl sees it
            await asyncio.sleep(0.01)


@dataclass(slots=True)
class World:
    """The server, all nodes there ever were, and every write that was sent, in true time."""

    chance: random.Random = field(default_factory=lambda: random.Random(0))
    server: LeaseServer = field(default_factory=LeaseServer)
    nodes: list[Node] = field(default_factory=list)
    sends: list[tuple[float, str]] = field(default_factory=list)
    _tasks: asyncio.TaskGroup | None = None

    def node(self, name: str, **options: object) -> Node:
        """A new process."""
        made = Node(self, name, **options)  # type: ignore[arg-type]
        self.nodes.append(made)
        assert self._tasks is not None
        made.start(self._tasks)
        return made

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield self
            finally:
                for node in self.nodes:
                    node.kill()

    @property
    def leaders(self) -> list[Node]:
        return [node for node in self.nodes if node.leads]

    async def leader(self, within: float = 60.0) -> Node:
        """Wait until somebody leads."""
        await until(lambda: bool(self.leaders), within)
        return self.leaders[0]

    def overlaps(self) -> list[str]:
        """Instants at which two could write: there must be none. Intervals, so nothing falls between two looks."""
        intervals = sorted(
            (start, end, node.name) for node in self.nodes for start, end in _merged(node.fence.intervals)
        )
        found = []
        for (start, end, name), (other_start, other_end, other) in pairwise(intervals):
            if other_start < end and name != other:
                found.append(f"{name} [{start:.3f}, {end:.3f}] and {other} [{other_start:.3f}, {other_end:.3f}]")
        return found

    def interleavings(self) -> list[str]:
        """Writes of a process that come after those of its successor. A process leads once, so its writes are one
        block; this looks at nothing but the writes."""
        last: dict[str, int] = {name: position for position, (_, name) in enumerate(self.sends)}
        return [
            f"{name} wrote at {at:.3f}, after {successor} had begun"
            for (at, name), (_, successor) in pairwise(self.sends)
            if name != successor and last[name] > self.sends.index((at, name))
        ]

    def stray_writes(self) -> list[str]:
        """Writes that were sent by a node whose fence was not open."""
        return [
            f"{name} at {at:.3f}"
            for at, name in self.sends
            if not any(
                start <= at <= end for node in self.nodes if node.name == name for start, end in node.fence.intervals
            )
        ]


def _merged(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


__all__ = ["EXIT_CODE", "KEY", "QUICK", "Gone", "Node", "NodeClock", "SeenFence", "World", "now", "until"]
