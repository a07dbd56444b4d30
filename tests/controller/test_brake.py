"""The oscillation brake: same content, again and again, is stopped; everything else passes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.brake import CLOSED_SECONDS, WINDOW_SECONDS, WRITES, Brake


def write_until_closed(brake: Brake, key: str, fingerprint: str, now: float) -> None:
    for number in range(WRITES + 1):
        assert brake.allow(key, fingerprint, now)
        assert brake.wrote(key, fingerprint, now) == (number == WRITES)


def test_a7_the_sixth_write_within_a_minute_closes_for_five_minutes() -> None:
    brake = Brake()
    write_until_closed(brake, "uid", "f", 10.0)
    assert not brake.allow("uid", "f", 10.0)
    assert brake.closed_until("uid", "f", 10.0) == 10.0 + CLOSED_SECONDS
    assert not brake.allow("uid", "f", 10.0 + CLOSED_SECONDS - 0.01)
    assert brake.allow("uid", "f", 10.0 + CLOSED_SECONDS)


def test_a7_after_it_opened_five_writes_are_free_again() -> None:
    brake = Brake()
    write_until_closed(brake, "uid", "f", 0.0)
    write_until_closed(brake, "uid", "f", CLOSED_SECONDS)


def test_a7_slow_writes_never_close_it() -> None:
    brake = Brake()
    for number in range(100):
        now = number * WINDOW_SECONDS / WRITES
        assert brake.allow("uid", "f", now)
        assert not brake.wrote("uid", "f", now)


def test_a7_other_content_and_other_objects_pass() -> None:
    brake = Brake()
    write_until_closed(brake, "uid", "f", 0.0)
    assert brake.allow("uid", "edited", 0.0)
    assert brake.allow("other", "f", 0.0)


def test_a7_asking_is_not_writing() -> None:
    brake = Brake()
    for _ in range(100):
        assert brake.allow("uid", "f", 0.0)
    assert len(brake) == 0


def test_memory_is_bounded() -> None:
    brake = Brake(remembered=10)
    for number in range(1000):
        brake.wrote(str(number), "f", float(number))
    assert len(brake) == 10


@given(st.lists(st.floats(min_value=0.0, max_value=30.0), min_size=1, max_size=60))
def test_whatever_the_rhythm_no_window_sees_more_than_six_writes(gaps: list[float]) -> None:
    brake = Brake()
    now, sent = 0.0, []
    for gap in gaps:
        now += gap
        if brake.allow("uid", "f", now):
            brake.wrote("uid", "f", now)
            sent.append(now)
    for start in sent:
        assert len([at for at in sent if start <= at < start + WINDOW_SECONDS]) <= WRITES + 1
