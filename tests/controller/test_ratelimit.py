"""Backoff and buckets on their own: jitter, bounds, and rows that nobody waits for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.delays import Delays
from controller.ratelimit import RetryBucket, RetryLimiter, TokenBucket
from tests.support.virtualtime import highest


def test_q4_jitter_is_full() -> None:
    asked: list[tuple[float, float]] = []

    def lowest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    limiter: RetryLimiter[str] = RetryLimiter(lowest)
    assert [limiter.fail("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert asked == [(0.0, 0.005), (0.0, 0.01), (0.0, 0.02)]


def test_q4_a_year_of_failures_does_not_overflow() -> None:
    limiter: RetryLimiter[str] = RetryLimiter(highest, bucket=RetryBucket(rate=1e9, burst=10**9))
    for _ in range(5000):
        wait = limiter.fail("a", 0.0)
    assert wait == 300.0
    assert limiter.failures("a") == 5000


def test_q4_what_the_server_asked_for_is_kept_and_spread() -> None:
    limiter: RetryLimiter[str] = RetryLimiter(highest)
    assert limiter.fail("a", 0.0, floor=7.0) == 7.005


def test_q4_success_leaves_nothing_behind() -> None:
    limiter: RetryLimiter[str] = RetryLimiter(highest)
    limiter.fail("a", 0.0)
    limiter.forget("a")
    assert not limiter.failing
    limiter.forget("never seen")


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="base 10 s must be above 0 and not above the cap 5 s"):
        RetryLimiter(highest, base=10, cap=5)


def test_q5_the_bucket_recovers_from_a_storm() -> None:
    bucket = RetryBucket(rate=10.0, burst=100, max_wait=30.0)
    waits = [bucket.reserve(0.0) for _ in range(10_000)]
    assert waits[:100] == [0.0] * 100
    assert max(waits) == 30.0
    # What was refused took no token: the debt is 30 s of tokens, not a quarter of an hour of them.
    assert bucket.reserve(31.0) == pytest.approx(0.0)


def test_q5_those_who_were_refused_do_not_come_back_together() -> None:
    bucket = RetryBucket(rate=10.0, burst=1, max_wait=30.0, uniform=lambda low, high: (low + high) / 2)
    waits = [bucket.reserve(0.0) for _ in range(1000)]
    assert waits[-1] == 22.5


@given(st.lists(st.floats(min_value=0, max_value=10), max_size=200))
def test_a_token_bucket_never_gives_more_than_its_rate(gaps: list[float]) -> None:
    bucket = TokenBucket(rate=0.5, burst=3)
    now, given_at = 0.0, []
    for gap in gaps:
        now += gap
        if bucket.take(now):
            given_at.append(now)
    for index, start in enumerate(given_at):
        for taken, at in enumerate(given_at[index:], start=1):
            assert taken <= 3 + (at - start) * 0.5 + 1e-6


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    bucket = TokenBucket(rate=1.0, burst=1)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(min_value=0, max_value=100), st.booleans()), max_size=300))
def test_delays_keep_one_time_an_entry_and_sweep_the_rest(moves: list[tuple[int, float, bool]]) -> None:
    delays: Delays[int] = Delays()
    expected: dict[int, float] = {}
    for entry, due, keep in moves:
        if keep:
            delays.put(entry, due)
            expected[entry] = due
        else:
            delays.discard(entry)
            expected.pop(entry, None)
        assert len(delays) == len(expected)
        assert delays.next_due() == min(expected.values(), default=None)
        assert len(delays._rows) <= 2 * len(expected) + 65
    assert set(delays) == set(expected)
    order = []
    while (popped := delays.pop_due(100.0)) is not None:
        order.append(expected.pop(popped))
    assert order == sorted(order)
    assert not expected


def test_delays_hand_out_nothing_early() -> None:
    delays: Delays[str] = Delays()
    delays.put("a", 5.0)
    assert delays.pop_due(4.999) is None
    assert delays.pop_due(5.0) == "a"
