"""Whatever happens to processes, clocks and networks, no two may write at the same time; and afterwards one leads.

Hypothesis writes the history: what is stopped, cut, delayed, lost, set to another time, killed, terminated, and when.
`World.overlaps` knows the intervals in which each fence was open, in true time, so nothing hides between two looks.

A model that finds nothing proves little. So the second half puts known mistakes of other electors back in, one at a
time, and the model has to find an overlap.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.elector import Elector
from controller.lease import held_by, parse_time
from controller.terms import Terms
from tests.election.leaseserver import Network
from tests.election.nodes import QUICK, Node, NodeClock, World, now
from tests.support.virtualtime import run_virtual

DRIFT = 0.01
"""How differently clocks may run: a hundredth is a hundred times what machines do."""


@dataclass(frozen=True, slots=True)
class Event:
    """After `gap` seconds, this happens to one of the slots, for `amount` seconds or of that size."""

    gap: float
    slot: int
    what: str
    amount: float


NETWORK = ("cut", "refuse", "slow", "late", "lossy", "unwatch", "deaf")
PROCESS = ("stop", "pause", "ahead", "back", "kill", "terminate", "touch", "close")
EVENTS = st.lists(
    st.builds(
        Event,
        gap=st.sampled_from([0.0, 0.05, 0.3, 1.0, 3.0, 7.0]),
        slot=st.integers(0, 1),
        what=st.sampled_from(PROCESS + NETWORK),
        amount=st.sampled_from([0.2, 1.0, 2.0, 3.5, 4.5, 10.0]),
    ),
    max_size=14,
)


def spoil(network: Network, what: str, amount: float) -> None:
    """Make the network so; "mend" makes it as it was."""
    network.cut = what == "cut"
    network.refused = what == "refuse"
    network.deaf = what == "deaf"
    network.watches = what != "unwatch"
    network.lose_requests = network.lose_replies = 0.3 if what == "lossy" else 0.0
    network.delay = {"slow": (0.0, amount), "late": (amount, amount)}.get(what, (0.001, 0.01))


class History:
    """Two slots in which processes live; one that ends is replaced by another, as the kubelet does."""

    def __init__(
        self, world: World, *, terms: tuple[Terms, Terms], elector: type[Elector], clock: type[NodeClock]
    ) -> None:
        self._world = world
        self._terms = terms
        self._elector = elector
        self._clock = clock
        self._born = 0
        self.slots = [self._new(0), self._new(1)]

    def _new(self, slot: int) -> Node:
        self._born += 1
        return self._world.node(
            f"{'ab'[slot]}-{self._born}",
            terms=self._terms[slot],
            rate=1 + DRIFT * (1 if slot else -1),
            elector=self._elector,
            clock=self._clock,
        )

    def replace_ended(self) -> None:
        for slot, node in enumerate(self.slots):
            if node.exit_code is not None:
                self.slots[slot] = self._new(slot)
                self.slots[slot].clock.skew = node.clock.skew

    async def happen(self, event: Event, tasks: asyncio.TaskGroup) -> None:
        await asyncio.sleep(event.gap)
        self.replace_ended()
        node = self.slots[event.slot]
        match event.what:
            case "stop" | "pause":
                node.stop()
                tasks.create_task(self._go_on(node, event.amount, signalled=event.what == "stop"))
            case "ahead" | "back":
                node.clock.skew += (1000 if event.what == "ahead" else -1000) * event.amount
            case "kill":
                node.kill()
            case "terminate":
                tasks.create_task(self._terminate(node))
            case "touch":
                self._world.server.touch()
            case "close":
                self._world.server.close_watches()
        if event.what in NETWORK:
            spoil(node.network, event.what, event.amount)
            tasks.create_task(self._mend(node, event.amount))

    async def _go_on(self, node: Node, after: float, *, signalled: bool) -> None:
        await asyncio.sleep(after)
        node.go_on(signalled=signalled)

    async def _mend(self, node: Node, after: float) -> None:
        await asyncio.sleep(2 + after)
        spoil(node.network, "mend", 0.0)

    async def _terminate(self, node: Node) -> None:
        if node.exit_code is None:
            await node.terminate()


def play(
    events: list[Event],
    *,
    terms: tuple[Terms, Terms] = (QUICK, QUICK),
    elector: type[Elector] = Elector,
    clock: type[NodeClock] = NodeClock,
    settle: bool = True,
) -> World:
    async def main() -> World:
        async with World().running() as world:
            history = History(world, terms=terms, elector=elector, clock=clock)
            async with asyncio.TaskGroup() as tasks:
                for event in events:
                    await history.happen(event, tasks)
            if settle:
                # All faults are over. What was held runs out, and then there is a leader, for good.
                history.replace_ended()
                patience = now() + 4 * max(term.lease for term in terms)
                while now() < patience:
                    await asyncio.sleep(1)
                    history.replace_ended()
                assert len(world.leaders) == 1, [(node.name, node.elector.state) for node in history.slots]
                settled = world.leaders[0]
                await asyncio.sleep(20)
                assert world.leaders == [settled]
                assert world.sends[-1][1] == settled.name
                assert now() - world.sends[-1][0] < 2
        return world

    return run_virtual(main())


@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS)
def test_never_two_and_at_last_one(events: list[Event]) -> None:
    world = play(events)
    assert not world.overlaps()
    assert not world.stray_writes()
    assert not world.interleavings()


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS)
def test_never_two_when_their_settings_differ(events: list[Event]) -> None:
    """As during a rolling change of the configuration."""
    world = play(events, terms=(QUICK, Terms(lease=12, renew=9, retry=1)))
    assert not world.overlaps()
    assert not world.stray_writes()
    assert not world.interleavings()


# Mistakes that others make, put back in.


class StampsAfterTheAnswer(Elector):
    """L5: client-go counts validity from when the answer arrived."""

    async def _write(self) -> None:
        document = held_by(
            self._identity, seconds=self._terms.lease, at=self._clock.wall(), key=self._key, last=self._lease
        )
        await self._put(document)
        self._renewed_at = self._clock.boottime()
        self._due = self._renewed_at + self._terms.retry
        self._fence.extend(self._renewed_at + self._terms.lease)


class WaitsAsLongAsItsOwnSettingsSay(Elector):
    """L-g: the follower's own duration instead of the record's."""

    def _seconds_to_wait(self) -> float:
        if self._record.holder in ("", self._identity):
            return 0.0
        return max(0.0, self._changed_at + self._terms.lease - self._clock.boottime())


class BelievesRemoteTimes(Elector):
    """L1: another machine's time compared with one's own."""

    def _seconds_to_wait(self) -> float:
        renewed = parse_time(self._record.renewed)
        if self._record.holder in ("", self._identity) or renewed is None:
            return 0.0
        return max(0.0, (self._record.seconds or 0) - (self._clock.wall() - renewed).total_seconds())


class TakesWhatItDidNotLookAt(Elector):
    """L1: an attempt on the version that is there now, whatever that says."""

    async def _write(self) -> None:
        await self._look()
        await super()._write()


class WallClock(NodeClock):
    """L-e: deadlines by the wall clock, which people set."""

    def boottime(self) -> float:
        return super().boottime() + self.skew


class StopsInSuspend(NodeClock):
    """T5: CLOCK_MONOTONIC, which does not count the time a machine was suspended."""

    def boottime(self) -> float:
        asleep = now() - self._node._stopped_at if self._node._stopped else 0.0
        return super().boottime() - (self.frozen + asleep) * self.rate


LONG = Terms(lease=12, renew=9, retry=6)
PAUSES = [Event(gap, slot, "pause", 10.0) for gap in (1.0, 7.0, 7.0) for slot in (0, 1)]
STEPS = [Event(1.0, slot, what, amount) for amount in (1.0, 3.5) for slot in (0, 1) for what in ("ahead", "back")]
A_LEADS = [Event(1.0, 1, "kill", 0.0), Event(20.0, 1, "touch", 0.0), Event(3.0, 1, "touch", 0.0)]
STEP_AND_CUT = [*A_LEADS, Event(0.0, 0, "back", 1.0), Event(0.0, 0, "cut", 10.0), Event(7.0, 0, "touch", 0.0)]
LATE_AND_PAUSED = [*A_LEADS, Event(0.0, 0, "late", 0.2), Event(1.0, 0, "pause", 4.5), Event(7.0, 0, "touch", 0.0)]
DEAF = [*A_LEADS, Event(0.0, 1, "deaf", 10.0), Event(20.0, 0, "touch", 0.0)]
HISTORIES = {
    StampsAfterTheAnswer: (LATE_AND_PAUSED, QUICK),
    WaitsAsLongAsItsOwnSettingsSay: ([*A_LEADS, Event(20.0, 0, "touch", 0.0)], LONG),
    BelievesRemoteTimes: (STEPS, QUICK),
    TakesWhatItDidNotLookAt: (DEAF, QUICK),
    WallClock: (STEP_AND_CUT, QUICK),
    StopsInSuspend: (PAUSES, QUICK),
}


@pytest.mark.parametrize("mistake", HISTORIES, ids=lambda mistake: str(mistake.__name__))
def test_the_model_finds(mistake: type[Elector] | type[NodeClock]) -> None:
    events, terms = HISTORIES[mistake]
    elector = mistake if issubclass(mistake, Elector) else Elector
    clock = mistake if issubclass(mistake, NodeClock) else NodeClock
    world = play(events, terms=(terms, QUICK), elector=elector, clock=clock, settle=False)
    assert world.overlaps() or world.interleavings()


def test_the_same_histories_are_harmless_without_the_mistakes() -> None:
    for events, terms in HISTORIES.values():
        world = play(events, terms=(terms, QUICK), settle=False)
        assert not world.overlaps()
        assert not world.interleavings()
