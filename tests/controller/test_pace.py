"""How often a status is written."""

from __future__ import annotations

from controller.pace import BURST, SECONDS, StatusPace


def test_a_burst_then_one_at_a_time() -> None:
    pace = StatusPace()
    assert sum(pace.allow("a", number / 1000) for number in range(1000)) == BURST
    assert sum(pace.allow("a", 1 + number / 10) for number in range(10 * 60)) in (60 / SECONDS, 60 / SECONDS - 1)


def test_objects_do_not_wait_for_each_other() -> None:
    pace = StatusPace()
    assert all(pace.allow(f"uid-{number}", 0.0) for number in range(1000))


def test_what_rests_may_hurry_again() -> None:
    pace = StatusPace()
    for _ in range(BURST):
        assert pace.allow("a", 0.0)
    assert not pace.allow("a", 0.0)
    assert all(pace.allow("a", BURST * SECONDS) for _ in range(BURST))
