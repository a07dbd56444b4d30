"""The slope that stands for the growth of memory, and what the churn asks of the server."""

from __future__ import annotations

import random

import pytest

from bench.measures.churn import line


def test_a_straight_line_is_found_without_error() -> None:
    slope, error = line([(10.0 * at, 70e6 + 250.0 * at) for at in range(60)])
    assert slope == pytest.approx(25.0)
    assert error == pytest.approx(0.0, abs=1e-6)


def test_noise_is_told_as_error_and_not_as_growth() -> None:
    chance = random.Random(7)
    slope, error = line([(10.0 * at, 70e6 + chance.gauss(0, 1e5)) for at in range(120)])
    assert abs(slope) < 3 * error
    assert error == pytest.approx(1e5 / (10 * (120**3 / 12) ** 0.5), rel=0.2)
