"""Statistics, goals and the table."""

from __future__ import annotations

import pytest

from bench.figures import Figure, Goal, markdown, number, percentile
from bench.fleet import Fleet


def figure(*samples: float, goal: Goal | None = None, statistic: str = "median") -> Figure:
    return Figure("group", "name", "title", "ms", samples, statistic, goal)


def test_a_percentile_is_a_sample_that_enough_others_do_not_exceed() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert percentile(hundred, 0.99) == 99.0
    assert percentile(hundred[:10], 0.99) == 10.0
    assert percentile([7.0], 0.5) == 7.0


@pytest.mark.parametrize(
    ("samples", "goal", "met"),
    [
        ((1.0, 2.0, 9.0), Goal(2.0), True),
        ((1.0, 3.0, 9.0), Goal(2.0), False),
        ((2.0, 2.0), Goal(2.0, exact=True), True),
        ((1.0, 2.0, 3.0), Goal(2.0, exact=True), False),
        ((1.0,), None, None),
    ],
)
def test_a_bound_is_for_the_statistic_and_an_exact_goal_for_every_sample(
    samples: tuple[float, ...], goal: Goal | None, met: bool | None
) -> None:
    assert figure(*samples, goal=goal).met is met


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.0, "2"),
        (10000.0, "10000"),
        (0.12345, "0.123"),
        (1.2345, "1.23"),
        (33.86, "33.9"),
        (1234.5, "1234"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_says_what_was_missed_and_how_far_samples_lie_apart() -> None:
    lines = markdown([figure(1.0, 2.0, 9.0, goal=Goal(1.5)), figure(4.0, 5.0, statistic="p99")]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")] == [
        "", "title", "2", "ms", "1 to 9 (3)", "≤ 1.50", "**no**", "",
    ]  # fmt: skip
    assert "title, p99" in lines[3]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(("objects", "annotated"), [(10_000, 1_000), (7, 3), (5, 5), (9, 1)])
def test_exactly_as_many_ask_for_backup_as_were_asked_for(objects: int, annotated: int) -> None:
    fleet = Fleet(objects, annotated)
    assert sum(map(fleet.asks, range(objects))) == annotated
