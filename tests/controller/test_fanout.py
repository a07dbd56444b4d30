"""How much of a fan-out is worked on at once, on simulated servers."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.fanout import LEAST, WINDOW_SECONDS, FanOut


def play(fan_out: FanOut, *, cores: int, each: float, travel: float = 0.0, writes: int = 400) -> list[int]:
    """Writes one after the other as the limit allows, at a server that works on `cores` of them at a time, `each` so
    long, and is `travel` away. Returns the limit after each of them."""
    now, free, limits = 0.0, [0.0] * cores, []
    under_way: list[tuple[float, float]] = []
    for _ in range(writes):
        while fan_out.room(fan_out.taken):
            fan_out.taken += 1
            done = max(heapq.heappop(free), now + travel / 2) + each
            heapq.heappush(free, done)
            heapq.heappush(under_way, (done + travel / 2, now))
        now, sent = heapq.heappop(under_way)
        fan_out.wrote(now - sent, now)
        fan_out.taken -= 1
        limits.append(fan_out.limit())
    return limits


def test_a_server_of_two_cores_gets_little_more_than_it_can_work_on() -> None:
    limits = play(FanOut(16), cores=2, each=0.005)
    assert max(limits) <= 6
    assert set(limits[-100:]) == {5}


def test_a_server_that_is_far_away_and_has_room_gets_all_workers_but_one() -> None:
    assert play(FanOut(8), cores=32, each=0.004, travel=0.03)[-1] == 7


def test_a_server_that_becomes_slow_gets_less_and_more_again_when_it_is_as_before() -> None:
    fan_out = FanOut(8)
    assert play(fan_out, cores=32, each=0.004)[-1] == 7
    for _ in range(200):
        fan_out.wrote(0.05, 5.0)
    assert fan_out.limit() == LEAST
    for _ in range(200):
        fan_out.wrote(0.004, 6.0)
    assert fan_out.limit() == 7


def test_what_was_fast_long_ago_is_forgotten() -> None:
    fan_out = FanOut(8)
    for number in range(200):
        fan_out.wrote(0.004, 0.01 * number)
    for number in range(200):
        fan_out.wrote(0.05, 3 * WINDOW_SECONDS + 0.01 * number)
    assert fan_out.limit() == 7


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_a_fan_out_never_has_the_last_worker_unless_there_is_only_one(workers: int) -> None:
    fan_out = FanOut(workers)
    for number in range(500):
        fan_out.wrote(0.004, 0.01 * number)
    assert fan_out.limit() == max(1, workers - 1)


def test_beside_what_a_person_waits_for_there_is_one_of_a_fan_out() -> None:
    fan_out = FanOut(8)
    assert [fan_out.room(0), fan_out.room(1)] == [LEAST, 1]
    fan_out.taken = 1
    assert [fan_out.room(1), fan_out.room(2)] == [LEAST - 1, 0]


def test_without_a_number_of_workers_there_is_no_limit() -> None:
    fan_out = FanOut()
    fan_out.taken = 10_000
    assert fan_out.room(10_001) > 0


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 100)), max_size=200), st.integers(1, 16))
def test_whatever_writes_take_a_fan_out_goes_on(writes: list[tuple[float, float]], workers: int) -> None:
    fan_out = FanOut(workers)
    now = 0.0
    for seconds, pause in writes:
        now += pause
        fan_out.wrote(seconds, now)
        assert min(LEAST, max(1, workers - 1)) <= fan_out.limit() <= max(1, workers - 1)
