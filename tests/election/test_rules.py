"""The rules of election one by one (L1 to L14), on nodes with clocks and networks of their own, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise

import pytest

from controller.elector import State, WorkEnded
from controller.fence import NotLeading
from controller.terms import Terms
from tests.election.leaseserver import PATH
from tests.election.nodes import EXIT_CODE, QUICK, Node, World, now, until
from tests.support.virtualtime import run_virtual

Story = Callable[[World], Coroutine[None, None, None]]


def play(story: Story) -> World:
    """Run a story; whatever happens in it, no two nodes may ever write at the same time."""

    async def main() -> World:
        async with World().running() as world:
            await story(world)
        assert not world.overlaps()
        assert not world.stray_writes()
        assert not world.interleavings()
        return world

    return run_virtual(main())


async def pair(world: World, **options: object) -> tuple[Node, Node]:
    """A leader and a standby that knows of it."""
    leader = world.node("a", **options)
    assert await world.leader() is leader
    standby = world.node("b", **options)
    await asyncio.sleep(1)
    return leader, standby


# L1: local clocks, the record's duration, resourceVersion


def test_l1_one_of_three_leads_and_the_lease_says_so() -> None:
    async def story(world: World) -> None:
        for name in "abc":
            world.node(name)
        leader = await world.leader()
        await asyncio.sleep(60)
        assert world.leaders == [leader]
        assert world.server.spec["holderIdentity"] == leader.name
        assert world.server.spec["leaseDurationSeconds"] == QUICK.lease
        assert world.server.spec["leaseTransitions"] == 0
        assert {name for _, name in world.sends} == {leader.name}
        assert [node.status for node in world.nodes] == [node is leader for node in world.nodes]

    play(story)


@pytest.mark.parametrize("skew", [-9 * 3600.0, 9 * 3600.0, 1e9])
def test_l1_wall_clocks_may_be_wrong_by_any_amount(skew: float) -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.clock.skew, standby.clock.skew = skew, -skew / 2
        await asyncio.sleep(30)
        assert world.leaders == [leader]
        leader.kill()
        died = now()
        assert await world.leader() is standby
        assert QUICK.lease - 1 <= now() - died <= QUICK.lease + 2

    play(story)


def test_l1_the_wall_clock_may_jump_under_a_leader_and_under_a_follower() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        for jump in (-3600.0, 3600.0, 86400.0, -1e6):
            leader.clock.skew += jump
            await asyncio.sleep(3)
            standby.clock.skew -= jump
            await asyncio.sleep(3)
        assert world.leaders == [leader]
        assert (leader.exit_code, standby.exit_code) == (None, None)

    play(story)


def test_l1_a_follower_waits_as_long_as_the_record_says_not_as_its_own_settings_say() -> None:
    async def story(world: World) -> None:
        leader = world.node("a", terms=Terms(lease=30, renew=20, retry=5))
        await world.leader()
        standby = world.node("b", terms=QUICK)
        await asyncio.sleep(60)
        assert world.leaders == [leader]
        leader.kill()
        died = now()
        assert await world.leader(within=120) is standby
        assert now() - died > 24

    play(story)


def test_l1_a_change_of_anything_but_the_record_is_no_sign_of_life() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.kill()
        died = now()
        while not world.leaders and now() - died < 30:
            world.server.touch()
            await asyncio.sleep(0.5)
        assert world.leaders == [standby]
        assert now() - died < QUICK.lease + 2

    play(story)


def test_l1_the_clock_of_a_follower_begins_when_it_sees_the_record() -> None:
    """However old the times in it look: a holder whose clock is wrong is not robbed."""

    async def story(world: World) -> None:
        leader = world.node("a")
        leader.clock.skew = -1e8
        await world.leader()
        world.node("b")
        await asyncio.sleep(20)
        assert world.leaders == [leader]

    play(story)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"holderIdentity": "", "renewTime": "not a time", "leaseTransitions": "x"},
        {"holderIdentity": None, "leaseDurationSeconds": None, "renewTime": None},
    ],
)
def test_l1_a_lease_that_nobody_holds_is_taken_at_once_whatever_is_in_it(spec: dict[str, object]) -> None:
    async def story(world: World) -> None:
        world.server.handle("PUT", PATH, b'{"metadata": {"name": "autobackup"}, "spec": {}}', node="x", sent=0)
        world.server.spec.update(spec)
        world.node("a")
        await world.leader(within=0.5)

    play(story)


@pytest.mark.parametrize("seconds", [None, "60", True, -5])
def test_l1_a_foreign_holder_without_a_duration_is_given_ours(seconds: object) -> None:
    async def story(world: World) -> None:
        world.server.handle("PUT", PATH, b'{"metadata": {"name": "autobackup"}, "spec": {}}', node="x", sent=0)
        world.server.spec.update({"holderIdentity": "somebody", "leaseDurationSeconds": seconds})
        world.node("a")
        await asyncio.sleep(QUICK.lease - 0.5)
        assert not world.leaders
        await world.leader(within=2)

    play(story)


def test_l1_who_loses_the_race_does_not_lead() -> None:
    async def story(world: World) -> None:
        for name in "abcdef":
            world.node(name).network.delay = (0.2, 0.2)
        await asyncio.sleep(30)
        assert len(world.leaders) == 1

    play(story)


# L2: the numbers


def test_l2_defaults() -> None:
    assert (Terms().lease, Terms().renew, Terms().retry) == (15, 10, 2)
    assert not Terms().problem()


@pytest.mark.parametrize("terms", [Terms(10, 10, 2), Terms(15, 2.4, 2), Terms(15, 16, 2), Terms(15, 2, 2)])
def test_l2_numbers_that_do_not_fit_are_named_with_the_rule(terms: Terms) -> None:
    for number in (terms.lease, terms.renew, terms.retry):
        assert f"{number:g}" in terms.problem()
    assert "lease > renew > 1.2 x retry" in terms.problem()


@pytest.mark.parametrize("terms", [Terms(), QUICK, Terms(2, 1.9, 1.5), Terms(3600, 0.2, 0.1)])
def test_l2_what_follows_from_the_numbers_leaves_room(terms: Terms) -> None:
    assert not terms.problem()
    assert terms.renew < terms.lease - terms.margin < terms.lease
    assert 0 < terms.attempt <= terms.renew


def test_l2_attempts_of_followers_are_spread() -> None:
    """Nobody can take the Lease, and all try: not in step."""

    async def story(world: World) -> None:
        for name in "abcd":
            world.node(name).network.refused = True
            world.nodes[-1].transport.request = _counting(world.nodes[-1])  # type: ignore[method-assign, assignment]
        await asyncio.sleep(120)

    times: dict[str, list[float]] = {}

    def _counting(node: Node) -> Callable[..., Coroutine[None, None, None]]:
        async def request(*given: object, **named: object) -> None:
            if now() > 0:
                times.setdefault(node.name, []).append(now())
            raise ConnectionRefusedError

        return request

    play(story)
    gaps = [later - sooner for seen in times.values() for sooner, later in pairwise(seen)]
    assert len(times) == 4
    assert max(gaps) - min(gaps) > 0.2 * QUICK.retry, "jitter"
    assert max(gaps) <= 3 * QUICK.retry
    assert not set(times["a"]) & set(times["b"])


# L3: one request for a renewal


def test_l3_a_renewal_is_one_put() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        before = len(world.server.requests)
        await asyncio.sleep(60)
        asked = [method for _, _, method in world.server.requests[before:] if method in ("PUT", "GET")]
        assert set(asked) == {"PUT"}
        assert 60 / QUICK.retry <= len(asked) <= 60 / (0.85 * QUICK.retry)
        assert leader.slow_renewals == 0

    play(story)


def test_l3_the_long_way_is_taken_when_the_version_is_another_and_counted() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        leader.network.watches = False
        await world.leader()
        world.server.touch()
        await asyncio.sleep(5)
        assert world.leaders == [leader]
        assert leader.slow_renewals == 1

    play(story)


# L4: limits and exceptions


def test_l4_an_api_that_never_answers_ends_leading_at_the_renew_deadline() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        await asyncio.sleep(3)
        leader.network.cut = True
        cut = now()
        await until(lambda: leader.exit_code is not None)
        assert QUICK.renew - QUICK.retry - 0.1 <= now() - cut <= QUICK.renew + 0.1
        assert leader.exit_code == 1

    play(story)


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("bad JSON"), KeyError("x"), TimeoutError()])
def test_l4_whatever_an_attempt_raises_is_a_failed_attempt(error: Exception) -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        genuine = leader.transport.request
        calls = 0

        async def request(method: str, path: str, **given: object) -> object:
            nonlocal calls
            if path == PATH:
                calls += 1
                if calls <= 2:
                    raise error
            return await genuine(method, path, **given)  # type: ignore[arg-type]

        leader.transport.request = request  # type: ignore[method-assign, assignment]
        await asyncio.sleep(10)
        assert world.leaders == [leader]
        calls = -(10**6)
        await asyncio.sleep(10)
        assert leader.exit_code == 1, "and if it stays so, leading ends"
        assert leader.broken is None

    play(story)


def test_l4_a_hiccup_shorter_than_the_renew_deadline_costs_nothing() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        for _ in range(5):
            leader.network.refused = True
            await asyncio.sleep(QUICK.renew - QUICK.retry - 0.6)
            leader.network.refused = False
            await asyncio.sleep(3)
        assert world.leaders == [leader]
        assert standby.elector.state is State.FOLLOWING

    play(story)


# L5, L6: validity and the fence


def test_l5_validity_counts_from_before_the_request_was_sent_and_ends_before_others_may_begin() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        leader.network.delay = (0.25, 0.25)
        await world.leader()
        sent = [at for at, _, method in world.server.requests if method == "PUT"][-1] - 0.25
        assert leader.clock.true(leader.fence.until) == pytest.approx(sent + QUICK.lease - QUICK.margin)
        assert QUICK.margin > 0

    play(story)


def test_l5_validity_goes_on_to_run_out_while_the_machine_sleeps() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        asleep = leader.clock.monotonic()
        leader.stop()
        await asyncio.sleep(QUICK.lease + 5)
        assert world.server.spec["holderIdentity"] == standby.name
        assert leader.fence.remaining == 0
        leader.go_on(signalled=False)
        assert leader.clock.monotonic() - asleep < 1, "CLOCK_MONOTONIC has seen nothing of it"
        await asyncio.sleep(3)
        assert leader.exit_code in (1, EXIT_CODE)

    play(story)


def test_l6_every_write_asks_the_fence_and_none_is_sent_when_it_is_closed() -> None:
    async def story(world: World) -> None:
        node = world.node("a")
        node.ready.clear()
        await asyncio.sleep(1)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            with pytest.raises(NotLeading, match="nothing was sent: this process does not lead"):
                await node.fenced.request(method, "/object", body=b"{}")
        await node.fenced.request("GET", "/object")
        assert not world.server.writes

    play(story)


# L7, L8: the end of leading is the end of the process


def test_l7_a_lease_that_names_another_ends_the_process_at_once() -> None:
    async def story(world: World) -> None:
        leader, _ = await pair(world)
        world.server.edit(holderIdentity="an admin's choice", leaseDurationSeconds=60)
        await asyncio.sleep(0.1)
        assert leader.exit_code == 1
        assert leader.status == 0
        edited = now()
        assert not [name for at, name in world.sends if at > edited]

    play(story)


@pytest.mark.parametrize("how", ["another", "nobody", "deleted"])
def test_l7_also_without_a_watch_it_stops_at_the_next_renewal(how: str) -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        leader.network.watches = False
        await world.leader()
        await asyncio.sleep(1)
        if how == "deleted":
            world.server.delete()
        else:
            world.server.edit(holderIdentity="x" if how == "another" else "")
        await asyncio.sleep(QUICK.retry + 0.1)
        assert leader.exit_code == 1

    play(story)


def test_l7_there_is_no_way_back() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        leader.fence.condemn("a test")
        leader.fence.extend(leader.clock.boottime() + 100)
        assert leader.fence.remaining == 0

    play(story)


def test_l8_a_loop_that_hangs_is_ended_by_the_watchdog() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)

        leader.hang()
        await asyncio.sleep(QUICK.lease + 1)
        assert leader.exit_code == EXIT_CODE
        assert await world.leader() is standby

    play(story)


def test_l8_a_lost_process_that_does_not_end_is_ended() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        leader.fence.condemn("a test: and nobody stops")
        await asyncio.sleep(2.5)
        assert leader.exit_code == EXIT_CODE

    play(story)


def test_l8_liveness_tells_when_a_leader_is_overdue() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        assert leader.elector.overdue() is None
        await world.leader()
        assert leader.elector.overdue() is None
        leader.elector._renewed_at -= QUICK.lease + 25
        assert "without having renewed the lease for 29 s" in (leader.elector.overdue() or "")

    play(story)


# L9: giving it back


def test_l9_sigterm_hands_over_in_a_round_trip() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        asked = now()
        assert await leader.terminate()
        assert await world.leader() is standby
        assert now() - asked < 0.1
        assert world.server.spec["leaseTransitions"] == 2 - 1

    play(story)


def test_l9_what_is_given_back_says_so() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        await leader.terminate()
        assert world.server.spec["holderIdentity"] == ""
        assert world.server.spec["leaseDurationSeconds"] == 1

    play(story)


def test_l9_writers_are_stopped_before() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.network.delay = (0.05, 0.05)
        await asyncio.sleep(1)
        await leader.terminate()
        given = next(at for at, holder in world.server.holders if holder == "")
        assert all(at < given for at, name in world.sends if name == leader.name)
        assert all(write.arrived <= given for write in world.server.writes if write.node == leader.name)
        await world.leader()
        assert standby.leads

    play(story)


def test_l9_work_that_does_not_stop_keeps_the_lease_and_ends_the_process() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")

        async def stubborn() -> None:
            while leader.exit_code is None:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    continue

        leader.work = stubborn  # type: ignore[method-assign]
        await world.leader()
        await asyncio.sleep(0.1)
        assert not await leader.elector.resign()
        assert world.server.spec["holderIdentity"] == leader.name
        await asyncio.sleep(3)
        assert leader.exit_code in (1, EXIT_CODE)
        leader._task.cancel()  # type: ignore[union-attr]

    play(story)


def test_l9_release_tries_again_on_conflict() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.network.watches = False
        world.server.close_watches()
        await asyncio.sleep(0.05)
        world.server.touch()
        assert await leader.terminate()
        assert await world.leader() is standby

    play(story)


def test_l9_an_involuntary_loss_releases_nothing() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.network.refused = True
        await until(lambda: leader.exit_code is not None)
        leader.network.refused = False
        assert world.server.spec["holderIdentity"] == leader.name
        assert world.server.spec["leaseDurationSeconds"] == QUICK.lease
        assert await world.leader() is standby

    play(story)


def test_l9_a_server_that_does_not_answer_does_not_keep_sigterm_waiting() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")
        await world.leader()
        leader.network.cut = True
        asked = now()
        assert not await leader.terminate()
        assert now() - asked < 4

    play(story)


def test_l9_a_standby_that_just_won_gives_it_back() -> None:
    """SIGTERM in the middle of the attempt: nobody is left holding the Lease."""

    async def story(world: World) -> None:
        node = world.node("a")
        node.network.delay = (0.15, 0.15)
        await asyncio.sleep(0.5)
        assert not world.leaders
        await node.terminate()
        assert world.server.lease is None or world.server.spec["holderIdentity"] == ""

    play(story)


def test_l9_a_standby_that_may_have_won_looks_and_gives_it_back() -> None:
    async def story(world: World) -> None:
        node = world.node("a")
        node.network.unanswered = frozenset({"PUT"})
        node.network.watches = False
        await asyncio.sleep(0.3)
        assert world.server.spec["holderIdentity"] == "a"
        assert not world.leaders
        node.network.unanswered = frozenset()
        assert await node.terminate()
        assert world.server.spec["holderIdentity"] == ""

    play(story)


# L10, L11


def test_l10_a_restarted_process_does_not_think_that_it_still_leads() -> None:
    """Same pod, another suffix: it waits until what its predecessor held ran out."""

    async def story(world: World) -> None:
        first = world.node("pod-0-aaaa")
        await world.leader()
        await asyncio.sleep(1)
        first.kill()
        restarted = world.node("pod-0-bbbb")
        again = now()
        assert await world.leader() is restarted
        assert now() - again >= QUICK.lease - 1

    play(story)


def test_l11_work_that_fails_ends_leading() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")

        async def fail() -> None:
            await asyncio.sleep(1)
            raise RuntimeError("a defect")

        leader.work = fail  # type: ignore[method-assign]
        standby = world.node("b")
        await until(lambda: leader.exit_code is not None)
        assert leader.exit_code == 1
        assert isinstance(leader.broken, RuntimeError)
        assert await world.leader() is standby

    play(story)


def test_l11_work_that_just_ends_ends_leading_too() -> None:
    async def story(world: World) -> None:
        leader = world.node("a")

        async def end() -> None:
            await asyncio.sleep(1)

        leader.work = end  # type: ignore[method-assign]
        await asyncio.sleep(3)
        assert isinstance(leader.broken, WorkEnded)

    play(story)


# L12, L13


def test_l12_who_is_not_ready_does_not_compete_but_knows_who_leads() -> None:
    async def story(world: World) -> None:
        cold = world.node("cold")
        cold.ready.clear()
        await asyncio.sleep(10)
        assert not world.leaders
        leader = world.node("a")
        await world.leader()
        await asyncio.sleep(QUICK.lease)
        leader.kill()
        died = now()
        await asyncio.sleep(QUICK.lease - 1)
        cold.ready.set()
        assert await world.leader() is cold
        assert now() - died < QUICK.lease + 1, "it had counted since it saw the record"
        assert cold.works == 1

    play(story)


def test_l13_a_follower_sends_nothing_while_it_waits() -> None:
    async def story(world: World) -> None:
        _, standby = await pair(world)
        before = len(world.server.requests)
        await asyncio.sleep(120)
        assert not [1 for _, node, _ in world.server.requests[before:] if node == standby.name]

    play(story)


def test_l13_without_a_watch_it_reads_now_and_then() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        standby.network.watches = False
        world.server.close_watches()
        await asyncio.sleep(30)
        asked = [method for _, node, method in world.server.requests if node == standby.name and method == "GET"]
        assert 30 / (2.5 * QUICK.retry) <= len(asked) <= 30 / QUICK.retry + 2
        assert world.leaders == [leader]
        asked_at = now()
        await leader.terminate()
        assert await world.leader() is standby
        assert now() - asked_at < 3 * QUICK.retry

    play(story)


def test_l13_a_watch_that_went_silent_robs_nobody() -> None:
    """The follower's clock runs out, it tries, and the server's version says no."""

    async def story(world: World) -> None:
        leader, standby = await pair(world)
        standby.network.cut = True
        await asyncio.sleep(QUICK.lease + 10)
        standby.network.cut = False
        await asyncio.sleep(10)
        assert world.leaders == [leader]

    play(story)


def test_a_deleted_lease_is_not_taken_before_its_holders_time_is_over() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.network.cut = True  # it cannot hear of it
        await asyncio.sleep(0.05)
        world.server.delete()
        deleted = now()
        assert await world.leader(within=30) in (leader, standby)
        await until(lambda: standby in world.leaders)
        assert now() - deleted > QUICK.lease - QUICK.retry - 0.5

    play(story)


def test_a_deleted_lease_is_made_again() -> None:
    async def story(world: World) -> None:
        leader, standby = await pair(world)
        world.server.delete()
        await asyncio.sleep(0.1)
        assert leader.exit_code == 1, "what it held is gone"
        assert await world.leader() is standby
        assert world.server.spec["holderIdentity"] == standby.name

    play(story)


def test_the_lost_answer_of_a_won_attempt_is_found_out() -> None:
    async def story(world: World) -> None:
        node = world.node("a")
        node.network.unanswered = frozenset({"PUT"})
        node.network.watches = False
        await asyncio.sleep(3)
        assert not world.leaders
        assert world.server.spec["holderIdentity"] == "a"
        node.network.unanswered = frozenset()
        healed = now()
        await world.leader()
        assert now() - healed < 3 * QUICK.retry, "no need to wait for oneself"

    play(story)
