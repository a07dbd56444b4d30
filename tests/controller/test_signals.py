"""Signals become an event once, and are the system's again afterwards."""

from __future__ import annotations

import os
import signal

import pytest

from controller.signals import stop_on_signal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event_and_the_next_one_is_the_systems(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await stop.wait()
        assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    assert signal.getsignal(number) in (before, signal.SIG_DFL, signal.default_int_handler)
