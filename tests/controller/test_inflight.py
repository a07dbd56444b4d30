"""The bound on writes in flight."""

from __future__ import annotations

import asyncio

from controller.inflight import InFlight


async def test_admits_no_more_than_the_limit() -> None:
    bound, running, most = InFlight(3), 0, 0

    async def hold() -> None:
        nonlocal running, most
        async with bound:
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(hold())
    assert most == 3


async def test_halves_when_throttled_and_grows_again() -> None:
    bound = InFlight(8)
    bound.throttled()
    assert bound.limit == 4
    for _ in range(10):
        bound.throttled()
    assert bound.limit == 1
    for _ in range(100):
        bound.succeeded()
    assert bound.limit == 8


async def test_cancelled_waiter_gives_its_place_to_the_next() -> None:
    bound = InFlight(1)
    order: list[str] = []

    async def hold(name: str) -> None:
        async with bound:
            order.append(name)

    async with asyncio.TaskGroup() as group:
        await bound.__aenter__()
        first = group.create_task(hold("first"))
        group.create_task(hold("second"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        await bound.__aexit__(None, None, None)
    assert order == ["second"]


async def test_waiter_cancelled_after_admission_leaks_nothing() -> None:
    bound = InFlight(1)

    async def hold() -> None:
        async with bound:
            pass

    async with asyncio.TaskGroup() as group:
        await bound.__aenter__()
        waiter = group.create_task(hold())
        await asyncio.sleep(0)
        await bound.__aexit__(None, None, None)  # admits the waiter, which has not run yet
        waiter.cancel()
    async with asyncio.timeout(1):
        await hold()


async def test_waiters_cancelled_together_end_as_cancelled() -> None:
    bound = InFlight(1)

    async def hold() -> None:
        async with bound:
            pass

    await bound.__aenter__()
    waiters = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    for waiter in waiters:
        waiter.cancel()
    await bound.__aexit__(None, None, None)  # passes over all of them before any of them runs
    assert await asyncio.gather(*waiters, return_exceptions=True)
    assert all(waiter.cancelled() for waiter in waiters)
