"""Rules Q1-Q14 of the work queue, by name, and the queue against a reference model."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.entries import ItemState
from controller.fanout import LEAST, URGENT_BANDS, FanOut
from controller.priorities import BANDS, CHILD_DRIFT, FAN_OUT, INITIAL_LIST, USER_EVENT
from controller.ratelimit import RetryBucket, RetryLimiter
from controller.workqueue import TURN_SECONDS, ShutDown, WorkQueue
from reconcilers.keys import Key
from tests.support.virtualtime import LoopClock, VirtualLoop, highest, run_scenario

A = Key("Deployment", "shop", "a")
B = Key("Deployment", "shop", "b")
C = Key("Deployment", "shop", "c")


def slow_limiter(clock: LoopClock) -> RetryLimiter[Key]:
    """Backoff of 8, 16, 32 s..., so that seconds are visible; no bucket in the way."""
    return RetryLimiter(clock.uniform, base=8.0, cap=300.0, bucket=RetryBucket(burst=10**6))


async def take(queue: WorkQueue[Key]) -> Key | None:
    """The next key, or None when a worker would have to wait."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.get())
        for _ in range(4):
            await asyncio.sleep(0)
        if not task.done():
            task.cancel()
    return None if task.cancelled() else task.result()


async def drain_order(queue: WorkQueue[Key]) -> list[Key]:
    order = []
    while (key := await take(queue)) is not None:
        order.append(key)
        queue.done(key)
    return order


def test_q1_many_adds_are_one_run() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        for _ in range(5):
            queue.add(A)
        assert await drain_order(queue) == [A]
        assert queue.items() == []

    run_scenario(scenario)


def test_q1_add_while_processed_runs_once_more_after_done() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A)
        assert await take(queue) == A
        queue.add(A)
        queue.add(A)
        assert [item.state for item in queue.items()] == [ItemState.DIRTY]
        assert await take(queue) is None
        queue.done(A)
        assert await drain_order(queue) == [A]

    run_scenario(scenario)


def test_q2_no_key_is_with_two_workers_and_none_is_lost() -> None:
    async def scenario(clock: LoopClock) -> None:
        chance = random.Random(3)
        queue: WorkQueue[Key] = WorkQueue(clock)
        keys = [Key("PersistentVolumeClaim", f"ns-{n % 7}", f"pvc-{n}") for n in range(40)]
        held: set[Key] = set()
        asked_at: dict[Key, int] = {}
        ran_at: dict[Key, int] = {}
        tick = 0

        async def work() -> None:
            nonlocal tick
            while True:
                try:
                    key = await queue.get()
                except ShutDown:
                    return
                assert key not in held
                held.add(key)
                tick += 1
                ran_at[key] = tick
                await clock.sleep(chance.choice([0, 0.001, 0.02]))
                held.remove(key)
                queue.done(key)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(work())
            for _ in range(2000):
                key = chance.choice(keys)
                tick += 1
                asked_at[key] = tick
                queue.add(key, priority=chance.choice(BANDS), after=chance.choice([0, 0, 0.003]))
                if chance.random() < 0.1:
                    await clock.sleep(0.005)
            await clock.sleep(10)
            assert len(queue) == 0
            assert await queue.drain(1.0)
        # The last ask of every key was followed by the start of a run.
        assert all(ran_at[key] > tick for key, tick in asked_at.items())

    run_scenario(scenario)


def test_q3_the_earlier_delay_wins_and_the_later_is_ignored() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        started = clock.monotonic()
        for after in (30.0, 10.0, 20.0):
            queue.add(A, after=after)
        assert await queue.get() == A
        assert clock.monotonic() - started == pytest.approx(10.0)
        queue.done(A)
        await clock.sleep(100)
        assert await take(queue) is None, "a stale timer ran the key again"

    run_scenario(scenario)


def test_q3_a_delayed_add_coalesces_with_a_ready_key() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, after=5.0)
        queue.add(A)
        queue.add(A, after=7.0)
        assert await drain_order(queue) == [A]
        await clock.sleep(60)
        assert await take(queue) is None

    run_scenario(scenario)


def test_q3_a_delayed_add_while_processed_keeps_its_time() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A)
        await queue.get()
        queue.add(A, after=10.0)
        await clock.sleep(4)
        queue.done(A)
        started = clock.monotonic()
        assert await queue.get() == A
        assert clock.monotonic() - started == pytest.approx(6.0)

    run_scenario(scenario)


def test_q3_a_delay_that_is_over_counts_even_if_the_loop_is_late_with_its_timer() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, after=5.0)
        clock.spent += 6.0
        assert await take(queue) == A
        queue.done(A)
        await clock.sleep(10)
        assert await take(queue) is None

    run_scenario(scenario)


def test_q4_backoff_doubles_to_the_cap_and_forget_resets_it() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        waits = []
        queue.add(A)
        for _ in range(20):
            await queue.get()
            waits.append(queue.retry(A))
            queue.done(A)
        assert waits[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
        assert waits[-1] == 300.0
        assert queue.failures(A) == 20
        await queue.get()
        queue.forget(A)
        assert queue.failures(A) == 0
        assert queue.retry(A) == pytest.approx(0.005)

    run_scenario(scenario)


def test_q4_after_the_longest_outage_a_key_waits_twenty_seconds_and_what_fails_then_starts_from_there() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        waits = []
        queue.add(A)
        for answered in [True] * 3 + [False] * 100 + [True] * 2:
            await queue.get()
            waits.append(queue.retry(A, answered=answered))
            queue.done(A)
        assert waits[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
        assert max(waits[3:103]) == 20.0
        assert waits[103:] == pytest.approx([20.48, 40.96])
        assert (queue.failures(A), queue.refusals(A)) == (105, 2)

    run_scenario(scenario)


def test_q5_ten_thousand_failures_wait_no_longer_than_the_bound_and_events_pass_by() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        waits = [queue.retry(Key("Deployment", "shop", str(n))) for n in range(10_000)]
        assert max(waits) == 30.0
        assert sum(wait > 1.0 for wait in waits) > 9_000, "the bucket does not slow retries at all"
        queue.add(A)
        assert await take(queue) == A

    run_scenario(scenario)


def test_q6_an_unchanged_event_never_cuts_a_backoff_short() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue = WorkQueue(clock, limiter=slow_limiter(clock))
        queue.add(A)
        await queue.get()
        queue.add(A, changed=False)  # arrived while the run that failed was on
        queue.retry(A)
        queue.done(A)
        started = clock.monotonic()
        queue.add(A, changed=False)
        assert await queue.get() == A
        assert clock.monotonic() - started == pytest.approx(8.0)

    run_scenario(scenario)


def test_q6_a_changed_event_expedites_at_once_and_then_once_a_second() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue = WorkQueue(clock, limiter=slow_limiter(clock))
        runs: list[float] = []
        started = clock.monotonic()

        async def fail_always() -> None:
            while True:
                key = await queue.get()
                runs.append(clock.monotonic() - started)
                queue.retry(key)
                queue.done(key)

        async with asyncio.TaskGroup() as group:
            worker = group.create_task(fail_always())
            for _ in range(100):  # ten changes a second, ten seconds long
                queue.add(A)
                await clock.sleep(0.1)
            worker.cancel()
        assert runs[0] == 0.0
        assert runs[1] == pytest.approx(0.1)
        gaps = [later - earlier for earlier, later in pairwise(runs[1:])]
        assert gaps == pytest.approx([1.0] * len(gaps))
        assert 9 <= len(runs) <= 12

    run_scenario(scenario)


def test_q6_an_event_during_each_failing_run_does_not_make_a_hot_loop() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue = WorkQueue(clock, limiter=slow_limiter(clock))
        queue.add(A)
        started = clock.monotonic()
        runs = []
        for _ in range(5):
            key = await queue.get()
            runs.append(clock.monotonic() - started)
            queue.add(key)  # our own write comes back as an event, say
            queue.retry(key)
            queue.done(key)
        assert runs == pytest.approx([0.0, 0.0, 1.0, 2.0, 3.0])

    run_scenario(scenario)


def test_q6_success_lifts_the_limit_for_an_event_that_came_meanwhile() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue = WorkQueue(clock, limiter=slow_limiter(clock))
        queue.add(A)
        await queue.get()
        queue.retry(A)
        queue.done(A)
        queue.add(A)  # expedites
        assert await take(queue) == A
        queue.add(A)  # would have to wait for a second if the run failed
        queue.forget(A)
        queue.done(A)
        assert await take(queue) == A

    run_scenario(scenario)


def test_q7_bands_order_and_a_raised_key_stands_at_the_end() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, priority=INITIAL_LIST)
        queue.add(B, priority=FAN_OUT)
        queue.add(C, priority=CHILD_DRIFT)
        queue.add(A, priority=CHILD_DRIFT)
        queue.add(C, priority=INITIAL_LIST)  # lower: ignored
        assert await drain_order(queue) == [C, A, B]

    run_scenario(scenario)


def test_q7_a_raise_is_kept_by_a_delayed_key() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, priority=INITIAL_LIST, after=1.0)
        queue.add(A, priority=USER_EVENT, after=9.0)
        queue.add(B, priority=CHILD_DRIFT, after=1.0)
        await clock.sleep(2)
        assert await drain_order(queue) == [A, B]

    run_scenario(scenario)


@pytest.mark.parametrize("again", ["retry", "requeue"])
def test_q7_priority_is_kept_when_the_worker_asks_again(again: str) -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, priority=FAN_OUT)
        await queue.get()
        if again == "retry":
            queue.retry(A)
        else:
            queue.requeue(A, after=1.0)
        queue.done(A)
        (item,) = queue.items()
        assert (item.state, item.priority) == (ItemState.DELAYED, FAN_OUT)

    run_scenario(scenario)


def test_q7_a_priority_that_is_no_band_is_refused() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        with pytest.raises(ValueError, match="priority 7 is none of"):
            queue.add(A, priority=7)

    run_scenario(scenario)


def test_q8_a_waiting_key_rises_one_band_a_minute() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, priority=INITIAL_LIST)
        queue.add(B)
        for second in range(300):
            queue.add(Key("Deployment", "shop", f"busy-{second}"))  # the top band is never empty
            key = await take(queue)
            assert key is not None
            queue.done(key)
            if key == A:
                assert 180 <= second <= 185
                return
            await clock.sleep(1)
        pytest.fail("starved for five minutes")

    run_scenario(scenario)


def test_q8_a_key_that_rose_is_not_lowered_by_a_later_add() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, priority=INITIAL_LIST)
        for _ in range(2):
            await clock.sleep(61)
            queue.add(B)
            assert await take(queue) == B
            queue.done(B)
        assert queue.depth()[CHILD_DRIFT] == 1
        queue.add(A, priority=FAN_OUT)
        assert queue.depth()[CHILD_DRIFT] == 1
        queue.add(A, priority=USER_EVENT)
        assert queue.depth()[USER_EVENT] == 1

    run_scenario(scenario)


def test_q8_a_band_that_is_served_does_not_rise_before_what_people_do() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        for number in range(1000):
            queue.add(Key("Deployment", "shop", f"target-{number}"), priority=FAN_OUT)
        for _ in range(300):
            key = await take(queue)
            assert key is not None
            queue.done(key)
            await clock.sleep(1)
        assert queue.depth()[FAN_OUT] == 700
        queue.add(B)
        assert await take(queue) == B

    run_scenario(scenario)


def test_q8_keys_of_a_fan_out_wait_for_each_other_and_nobody_waits_for_them() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock, fan_out=FanOut(8))
        for number in range(LEAST + 3):
            queue.add(Key("Deployment", "shop", f"target-{number}"), priority=FAN_OUT)
        taken = [await take(queue) for _ in range(LEAST)]
        assert None not in taken
        assert await take(queue) is None  # who waits parks: nothing polls
        queue.add(A)
        assert await take(queue) == A
        for key in taken:
            assert key is not None
            queue.done(key)
        one = await take(queue)
        assert one is not None
        assert one != A
        assert await take(queue) is None, "one of a fan-out beside what a person waits for"
        queue.done(A)
        assert await take(queue) is not None

    run_scenario(scenario)


def test_q8_workers_that_wait_go_on_with_the_fan_out_when_the_limit_lets_them() -> None:
    async def scenario(clock: LoopClock) -> None:
        fan_out = FanOut(8)
        queue: WorkQueue[Key] = WorkQueue(clock, fan_out=fan_out)
        most = 0

        async def work() -> None:
            nonlocal most
            while True:
                key = await queue.get()
                most = max(most, queue.states()[ItemState.PROCESSING])
                await clock.sleep(0.01)
                queue.wrote(key, 0.01)
                queue.done(key)

        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work()) for _ in range(8)]
            for number in range(200):
                queue.add(Key("Deployment", "shop", f"target-{number}"), priority=FAN_OUT)
            while queue.states()[ItemState.READY] or queue.states()[ItemState.PROCESSING]:
                await clock.sleep(0.01)
            for worker in workers:
                worker.cancel()
        assert most == 7, "a server that answers as fast as ever is given all workers but one"

    run_scenario(scenario)


def test_q9_namespaces_take_turns() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        for number in range(1000):
            queue.add(Key("Deployment", "tenant-with-many", str(number)), priority=FAN_OUT)
        lone = Key("Deployment", "tenant-with-one", "x")
        queue.add(lone, priority=FAN_OUT)
        first = [await take(queue), await take(queue)]
        assert lone in first

    run_scenario(scenario)


def test_q10_requeue_forgets_failures() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.retry(A)
        queue.requeue(A, after=60.0)
        assert queue.failures(A) == 0

    run_scenario(scenario)


def test_q11_drain_waits_for_what_is_processed_and_no_longer_than_the_grace() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        for key in (A, B, C):
            queue.add(key)
        assert [await queue.get(), await queue.get()] == [A, B]
        started = clock.monotonic()
        async with asyncio.TaskGroup() as group:
            drained = group.create_task(queue.drain(10.0))
            await clock.sleep(1)
            queue.done(A)
            queue.add(A)
            with pytest.raises(ShutDown):
                await queue.get()
            await clock.sleep(1)
            assert not drained.done()
            queue.done(B)
        assert drained.result() is True
        assert clock.monotonic() - started == pytest.approx(2.0)
        assert [item.key for item in queue.items()] == [C]

    run_scenario(scenario)


def test_q11_drain_gives_up_after_the_grace() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A)
        await queue.get()
        started = clock.monotonic()
        assert await queue.drain(3.0) is False
        assert clock.monotonic() - started == pytest.approx(3.0)
        queue.done(A)
        assert await queue.drain(3.0) is True

    run_scenario(scenario)


def test_q11_workers_that_wait_are_told_and_timers_are_gone() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A, after=5.0)
        told = 0

        async def wait() -> None:
            nonlocal told
            with pytest.raises(ShutDown):
                await queue.get()
            told += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(wait())
            await clock.sleep(1)
            queue.shut_down()
        assert told == 3
        await clock.sleep(60)
        assert queue.items()[0].state is ItemState.DELAYED, "a timer outlived the queue"

    run_scenario(scenario)


def test_q13_the_observer_hears_every_run() -> None:
    @dataclass
    class Heard:
        said: list[tuple[object, ...]] = field(default_factory=list)

        def ran(self, waited: float, worked: float) -> None:
            self.said.append(("ran", waited, worked))

        def retried(self) -> None:
            self.said.append(("retried",))

    async def scenario(clock: LoopClock) -> None:
        heard = Heard()
        queue = WorkQueue(clock, limiter=slow_limiter(clock), observer=heard)
        queue.add(A, priority=FAN_OUT)
        queue.add(A, priority=CHILD_DRIFT)
        await clock.sleep(2)
        assert queue.depth()[CHILD_DRIFT] == 1
        await queue.get()
        await clock.sleep(3)
        queue.add(B, after=1.0)
        assert queue.unfinished() == (3.0, 3.0)
        assert queue.added == 1
        queue.retry(A)
        queue.done(A)
        assert await queue.get() == B
        assert queue.added == 2
        queue.done(B)
        assert heard.said == [("retried",), ("ran", 2.0, 3.0), ("ran", 0.0, 0.0)]

    run_scenario(scenario)


def test_q14_a_key_that_is_ready_needs_no_coroutine() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A)
        queue.add(B)
        queue.add(C, after=1.0)
        assert await queue.get() == A, "which opens a turn"
        assert (queue.try_get(), queue.try_get()) == (B, None)
        await clock.sleep(1)
        assert queue.try_get() is None, "others first"
        assert await queue.get() == C
        queue.add(Key("Deployment", "shop", "d"))
        queue.shut_down()
        assert queue.try_get() is None

    run_scenario(scenario)


def test_q14_ten_thousand_delayed_keys_cost_one_timer_and_no_task() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        tasks = len(asyncio.all_tasks())
        for number in range(10_000):
            queue.add(Key("Deployment", "shop", str(number)), after=10.0 - number / 10_000)
        assert len(asyncio.all_tasks()) == tasks
        live = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert len(live) == 1
        await clock.sleep(11)
        assert len(queue) == 10_000

    run_scenario(scenario)


def test_workers_cancelled_together_end_as_cancelled() -> None:
    """Found by killing processes at every request: with a key added in the same turn, as a child's change does."""

    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        for worker in workers:
            worker.cancel()
        queue.add(A)  # looks for somebody to wake, and passes over all of them before any of them runs
        await asyncio.wait(workers)
        assert all(worker.cancelled() for worker in workers)

    run_scenario(scenario)


def test_a_cancelled_worker_passes_its_turn_on() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(queue.get())
            second = group.create_task(queue.get())
            await clock.sleep(1)
            queue.add(A)  # wakes the first, which is cancelled before it runs
            first.cancel()
        assert second.result() == A

    run_scenario(scenario)


def test_work_that_never_waits_lets_the_loop_breathe() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        for number in range(500):
            queue.add(Key("Deployment", "shop", str(number)))
        done = 0
        seen: list[int] = []

        async def work() -> None:
            nonlocal done
            while done < 500:
                try:
                    key = await queue.get()
                except ShutDown:
                    return
                clock.spent += TURN_SECONDS / 10  # a plan that finds nothing to do
                queue.done(key)
                done += 1
            queue.shut_down()

        async def listen() -> None:
            while done < 500:
                seen.append(done)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(work())
            group.create_task(work())
            group.create_task(listen())
        longest = max(later - earlier for earlier, later in pairwise(seen))
        assert longest <= 12, f"{longest} keys in a row kept the loop from everything else"

    run_scenario(scenario)


def test_done_of_a_key_that_nobody_holds_is_a_mistake_worth_hearing_of() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue: WorkQueue[Key] = WorkQueue(clock)
        queue.add(A)
        with pytest.raises(ValueError, match="no worker holds that key"):
            queue.done(A)

    run_scenario(scenario)


def test_items_show_state_reason_and_time() -> None:
    async def scenario(clock: LoopClock) -> None:
        queue = WorkQueue(clock, limiter=slow_limiter(clock))
        queue.add(A, reason="Deployment changed")
        await queue.get()
        queue.add(B, reason="blueprint edited", priority=FAN_OUT)
        queue.add(C, after=5.0, reason="look again")
        assert queue.reason(A) == "Deployment changed"
        await clock.sleep(2)
        shown = [(i.key, i.state, i.priority, i.reason, i.seconds) for i in queue.items()]
        assert shown == [
            (A, ItemState.PROCESSING, USER_EVENT, "Deployment changed", 2.0),
            (B, ItemState.READY, FAN_OUT, "blueprint edited", 2.0),
            (C, ItemState.DELAYED, USER_EVENT, "look again", 3.0),
        ]
        assert [[i.key for i in queue.items(most)] for most in range(4)] == [[], [A], [A, B], [A, B, C]]
        assert [queue.item(key) for key in (A, B, C)] == queue.items()
        assert queue.item(A._replace(name="unknown")) is None
        queue.add(A)
        assert queue.states() == {
            ItemState.PROCESSING: 0,
            ItemState.DIRTY: 1,
            ItemState.READY: 1,
            ItemState.DELAYED: 1,
        }
        queue.retry(A)
        queue.done(A)
        assert [(i.key, i.failures) for i in queue.items() if i.key == A] == [(A, 1)]

    run_scenario(scenario)


# --- the queue against a model that is too slow and too simple to be wrong ---

KEYS = [Key("Deployment", namespace, name) for namespace in ("x", "y") for name in ("1", "2", "3")]
AGEING = 60.0


@dataclass
class Slot:
    state: ItemState
    priority: int
    due: float = 0.0
    since: float = 0.0
    again: list[tuple[str, float]] = field(default_factory=list)
    again_priority: int = INITIAL_LIST
    placed: int = 0


class QueueAgainstModel(RuleBasedStateMachine):
    """Times are whole seconds, chance is "always the upper end": what comes next is exactly one key."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.clock = LoopClock()
        self.queue: WorkQueue[Key] = WorkQueue(
            self.clock,
            limiter=RetryLimiter(highest, base=2.0, cap=16.0, expedite_every=4.0, bucket=RetryBucket(burst=10**6)),
            fan_out=FanOut(4),
        )
        self.taken: dict[Key, int] = {}
        self.served = [float("-inf") for _ in BANDS]
        self.slots: dict[Key, Slot] = {}
        self.waiting: list[list[Key]] = [[] for _ in BANDS]
        self.turns: list[list[str]] = [[] for _ in BANDS]
        self.placed = 0
        self.backoff: dict[Key, tuple[int, float, float]] = {}  # failures, until, last expedited

    def teardown(self) -> None:
        self.queue.shut_down()
        self.loop.close()

    # the model

    def push(self, key: Key, band: int) -> None:
        self.slots[key].since = self.loop.time()
        self.waiting[band].append(key)
        if key.namespace not in self.turns[band]:
            self.turns[band].append(key.namespace)

    def leave(self, key: Key, band: int) -> None:
        self.waiting[band].remove(key)
        if all(other.namespace != key.namespace for other in self.waiting[band]):
            self.turns[band].remove(key.namespace)

    def band_of(self, key: Key) -> int:
        return next(index for index, keys in enumerate(self.waiting) if key in keys)

    def place(self, key: Key) -> None:
        slot = self.slots[key]
        if slot.due > self.loop.time():
            slot.state = ItemState.DELAYED
            self.placed += 1
            slot.placed = self.placed
        else:
            slot.state = ItemState.READY
            self.push(key, BANDS.index(slot.priority))

    def allowed(self, key: Key, due: float, changed: bool) -> float:
        _, until, expedited = self.backoff.get(key, (0, -1.0, -1.0))
        if due >= until:
            return due
        return max(due, min(until, expedited + 4.0)) if changed else until

    def note_expedited(self, key: Key, due: float) -> None:
        if key in self.backoff:
            failures, until, _ = self.backoff[key]
            if due < until:
                self.backoff[key] = (failures, until, due)

    def expected(self) -> Key | None:
        now = self.loop.time()
        for band in (3, 2, 1):
            for namespace in list(self.turns[band]):
                for key in [k for k in self.waiting[band] if k.namespace == namespace]:
                    if max(self.slots[key].since, self.served[band]) + AGEING <= now:
                        self.leave(key, band)
                        self.push(key, band - 1)
        urgent = sum(band < URGENT_BANDS for band in self.taken.values())
        full = len(self.taken) - urgent >= (1 if urgent else LEAST)
        for band, turns in enumerate(self.turns):
            if turns and not (full and band >= URGENT_BANDS):
                namespace = turns[0]
                key = next(k for k in self.waiting[band] if k.namespace == namespace)
                self.waiting[band].remove(key)
                turns.pop(0)
                if any(k.namespace == namespace for k in self.waiting[band]):
                    turns.append(namespace)
                self.taken[key] = band
                self.served[band] = now
                return key
        return None

    def processing(self) -> list[Key]:
        return [key for key, slot in self.slots.items() if slot.state is ItemState.PROCESSING]

    async def _call(self, function: object, *args: object, **kwargs: object) -> object:
        assert callable(function)
        return function(*args, **kwargs)

    def call(self, function: object, *args: object, **kwargs: object) -> object:
        return self.loop.run_until_complete(self._call(function, *args, **kwargs))

    # the rules

    @rule(
        key=st.sampled_from(KEYS),
        priority=st.sampled_from(BANDS),
        after=st.sampled_from([0.0, 0.0, 1.0, 7.0]),
        changed=st.booleans(),
    )
    def add(self, key: Key, priority: int, after: float, changed: bool) -> None:
        self.call(self.queue.add, key, priority=priority, after=after, changed=changed)
        due = self.loop.time() + after
        slot = self.slots.get(key)
        if slot is not None and slot.state is ItemState.PROCESSING:
            slot.again.append(("changed" if changed else "unchanged", due))
            slot.again_priority = max(slot.again_priority, priority)
        elif slot is None:
            due = self.allowed(key, due, changed)
            self.note_expedited(key, due)
            self.slots[key] = Slot(ItemState.READY, priority, due)
            self.place(key)
        else:
            if slot.state is ItemState.READY and priority > slot.priority:
                band = self.band_of(key)
                if BANDS.index(priority) < band:
                    self.leave(key, band)
                    self.push(key, BANDS.index(priority))
            slot.priority = max(slot.priority, priority)
            if slot.state is ItemState.DELAYED:
                due = self.allowed(key, due, changed)
                if due < slot.due:
                    self.note_expedited(key, due)
                    slot.due = due
                    self.place(key)

    @rule()
    def get(self) -> None:
        expected = self.expected()
        assert self.loop.run_until_complete(take(self.queue)) == expected
        if expected is not None:
            self.slots[expected].state = ItemState.PROCESSING

    @precondition(lambda self: self.processing())
    @rule(pick=st.integers(0, 5), floor=st.sampled_from([0.0, 20.0]))
    def retry(self, pick: int, floor: float) -> None:
        key = self.processing()[pick % len(self.processing())]
        failures, _, expedited = self.backoff.get(key, (0, 0.0, float("-inf")))
        delay = floor + min(16.0, 2.0 * 2.0**failures)
        assert self.call(self.queue.retry, key, floor=floor) == delay
        until = self.loop.time() + delay
        self.backoff[key] = (failures + 1, until, expedited)
        slot = self.slots[key]
        slot.again.append(("ordered", until))
        slot.again_priority = max(slot.again_priority, slot.priority)

    @precondition(lambda self: self.processing())
    @rule(pick=st.integers(0, 5), after=st.sampled_from([1.0, 100.0]))
    def requeue(self, pick: int, after: float) -> None:
        key = self.processing()[pick % len(self.processing())]
        self.call(self.queue.requeue, key, after=after)
        self.backoff.pop(key, None)
        slot = self.slots[key]
        slot.again.append(("ordered", self.loop.time() + after))
        slot.again_priority = max(slot.again_priority, slot.priority)

    @rule(key=st.sampled_from(KEYS))
    def forget(self, key: Key) -> None:
        self.call(self.queue.forget, key)
        self.backoff.pop(key, None)

    @precondition(lambda self: self.processing())
    @rule(pick=st.integers(0, 5))
    def done(self, pick: int) -> None:
        key = self.processing()[pick % len(self.processing())]
        self.call(self.queue.done, key)
        del self.taken[key]
        slot = self.slots.pop(key)
        if slot.again:
            ordered = min((due for what, due in slot.again if what == "ordered"), default=float("inf"))
            events = [self.allowed(key, due, what == "changed") for what, due in slot.again if what != "ordered"]
            if min(events, default=float("inf")) < ordered:
                self.note_expedited(key, min(events))
            self.slots[key] = Slot(ItemState.READY, slot.again_priority, min([ordered, *events]))
            self.place(key)

    @rule(seconds=st.sampled_from([1, 2, 5, 31, 60]))
    def wait(self, seconds: int) -> None:
        # Timers fire on the way, in order of their time; the model follows second by second.
        for _ in range(seconds):
            due = [k for k, s in self.slots.items() if s.state is ItemState.DELAYED]
            due.sort(key=lambda k: (self.slots[k].due, self.slots[k].placed))
            self.loop.run_until_complete(asyncio.sleep(1))
            for key in due:
                if self.slots[key].due <= self.loop.time():
                    self.place(key)

    @invariant()
    def nothing_is_lost_and_nothing_is_twice(self) -> None:
        shown = self.loop.run_until_complete(self._call(self.queue.items))
        assert isinstance(shown, list)
        states = {item.key: item.state for item in shown}
        assert len(states) == len(shown), "a key stands in two places (Q1, Q2)"
        expected = {
            key: ItemState.DIRTY if slot.state is ItemState.PROCESSING and slot.again else slot.state
            for key, slot in self.slots.items()
        }
        assert states == expected
        assert {item.key: item.priority for item in shown} == {k: s.priority for k, s in self.slots.items()}
        assert sum(self.queue.depth().values()) == sum(map(len, self.waiting))
        for item in shown:
            if item.state is ItemState.DELAYED:
                assert item.seconds == pytest.approx(self.slots[item.key].due - self.loop.time())


TestQueueAgainstModel = QueueAgainstModel.TestCase
TestQueueAgainstModel.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
