"""Schedules: what a CronJob takes is taken, everything else is refused with what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers.errors import Refusal
from reconcilers.schedule import check, problem


@pytest.mark.parametrize(
    "text",
    [
        "* * * * *", "0 2 * * *", "*/5 * * * *", "5/15 * * * *", "0 0 1,15 * *", "0 9-17/2 * * mon-fri", "0 0 1 JAN *",
        "0 0 ? * SUN", "59 23 31 12 6", "00 02 * * 0", "0 0 29 2 *", "1-5,7,9-20/3 * * * *", "0 0 * * 0,6",
        "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "@every 6h", "@every 1h30m",
        "@every 90s", "0 0 1 1 sun", "*/59 * * * *",
    ],
)  # fmt: skip
def test_good(text: str) -> None:
    assert problem(text) is None
    assert check(text, field="f") == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * 32 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * jam *", "month field"),
        ("* * * * 8", "day-of-week"),
        ("0 0 * * 7", "Sunday is 0"),
        ("0 0 * * 1-7", "Sunday is 0"),
        ("0 0 L * *", "day of month field"),
        ("0 0 LW * *", "day of month field"),
        ("0 0 * * 5L", "weekday field"),
        ("0 0 * * 5L/2", "weekday field"),
        ("0 0 * * 5#1", "weekday field"),
        ("0 0 mon * *", "day of month field"),
        ("* * * mon *", "month field"),
        ("*/0 * * * *", "minute"),
        ("*/5/5 * * * *", "minute field"),
        ("9-5 * * * *", "minute"),
        ("1,,2 * * * *", "minute field"),
        ("-5 * * * *", "minute field"),
        ("\u0663 * * * *", "minute field"),
        ("0 0 30 2 *", "is not valid"),
        ("TZ=UTC 0 0 * * *", "fields"),
        ("@reboot", "descriptor"),
        ("@midnigth", "@monthly, @yearly, @every 6h"),
        ("@Daily", "descriptor"),
        ("@every", "a second or more"),
        ("@every 0s", "a second or more"),
        ("@every 0h0m", "a second or more"),
        ("@every 5", "a second or more"),
        ("@every \u0663h", "a second or more"),
        ("@every -1h", "a second or more"),
        ("every day", "fields"),
        ("0 2 * * *\x00", "weekday field"),
        ("x" * 129, "longer than"),
        ("* " * 100_000, "longer than"),
    ],
)
def test_bad(text: str, said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        check(text, field="stash.appscode.com/schedule")
    assert said in str(refusal.value)


def test_blanks_are_folded() -> None:
    assert check("  0\t2 *  * *\n", field="f") == "0 2 * * *"


@given(st.one_of(st.text(max_size=40), st.text(alphabet="0123456789*/,-?LW#@ADMONFRIevryhms ", max_size=30)))
@example("0 0 * * 5L/2")
@example("0 0 29 2 */6")
@example("@every 999999999999999999h")
def test_any_text(text: str) -> None:
    said = problem(text)
    assert said is None or said
