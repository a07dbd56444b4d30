"""Leadership does not depend on what time people think it is (L1)."""

from __future__ import annotations

import asyncio

import pytest

from tests.election.nodes import QUICK, World, now
from tests.election.test_rules import pair, play


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_l1_a_wall_clock_that_is_set_back_keeps_no_standby_waiting(step: float) -> None:
    """Nor does one that is set forward bring it there too early."""

    async def story(world: World) -> None:
        leader, standby = await pair(world)
        leader.kill()
        died = now()
        await asyncio.sleep(1)
        standby.clock.skew += step
        assert await world.leader() is standby
        assert QUICK.lease - 1 <= now() - died <= QUICK.lease + 2

    play(story)
