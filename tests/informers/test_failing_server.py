"""A server that fails, comes back and fails again: found soon each time, and never asked too often (R18)."""

from __future__ import annotations

import random

import pytest

from tests.informers.rig import Rig, one
from tests.support.fakeapi import Answer, Refuse, Spoil
from tests.support.virtualtime import run_virtual


def is_open(rig: Rig) -> bool:
    return any(not stream.left for stream in rig.api.streams)


@pytest.mark.parametrize(("held", "longest"), [(9.0, 51.2), (11.0, 1.6)])
def test_r18_the_backoff_begins_anew_when_a_watch_was_held(held: float, longest: float) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Answer(500), times=4)
            rig.api.cut_streams()
            await rig.settle()
            while not is_open(rig):
                await rig.settle(0.1)
            await rig.settle(held)
            rig.api.fail(Answer(500))
            rig.api.cut_streams()
            await rig.settle(0.1)
            pause = rig.observer.of("attempt_failed")[-1]["retry_in"]
            assert longest / 2 <= pause <= longest

    run_virtual(main())


@pytest.mark.parametrize("seed", range(10))
def test_r18_a_server_that_is_restarted_again_and_again_is_found_as_soon_each_time(seed: int) -> None:
    """What was slow in coming back the last time is no sign that it will be this time."""

    async def main() -> None:
        rig = Rig(one(), seed=seed)
        async with rig.running():
            for _ in range(4):
                restarted = rig.clock.monotonic()
                rig.api.fail(Refuse(listens=False), times=10_000)
                rig.api.cut_streams()
                await rig.settle(2)
                rig.api.heal()
                rig.api.fail(Answer(429, "TooManyRequests", retry_after=1), times=10_000)
                await rig.settle(4)
                rig.api.heal()
                await rig.settle(6.4)  # the delay that goes beyond these four seconds at the latest
                assert is_open(rig)
                await rig.settle(restarted + 30 - rig.clock.monotonic())

    run_virtual(main())


@pytest.mark.parametrize("seed", range(8))
def test_r18_at_most_eight_failures_a_minute_whatever_a_server_does_in_between(seed: int) -> None:
    chance = random.Random(seed)
    failed: list[float] = []

    async def main() -> None:
        rig = Rig(one(), seed=seed)
        async with rig.running():
            while rig.clock.monotonic() < 900:
                rig.api.heal()
                rig.api.fail(chance.choice([Answer(429), Answer(500), Spoil(after=0, how="close")]), times=10_000)
                rig.api.cut_streams()
                already = len(rig.api.requests)
                more = chance.randint(1, 3)
                while len(rig.api.requests) < already + more:
                    await rig.settle(0.1)
                failed.extend(seen.at for seen in rig.api.requests[already:])
                rig.api.heal()
                rig.api.fail(Refuse(listens=False), times=chance.randint(0, 2))
                while not is_open(rig):
                    await rig.settle(0.1)
                await rig.settle(chance.choice([0.5, 11.0, 11.0]))

    run_virtual(main())
    assert max(sum(1 for at in failed if start <= at < start + 60) for start in failed) <= 8
