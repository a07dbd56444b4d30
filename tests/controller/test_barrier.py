"""Claims and the barrier: what is remembered of our own writes until the caches show them."""

from __future__ import annotations

from controller.applier import Written
from controller.barrier import WriteBarrier
from controller.claims import Claims
from informers.resource import ObjectKey, Resource
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.plan import Claim
from tests.controller.virtual import StoppedClock

KEY = Key("Deployment", "demo", "a")


def wrote(resource: Resource, revision: int) -> Written:
    return Written(resource, ObjectKey("demo", "a"), "uid", revision)


def test_a_key_waits_until_every_cache_has_passed_its_writes() -> None:
    seen = {REPOSITORY: 5, CONFIGURATION: 5}
    barrier = WriteBarrier(lambda resource, namespace: seen[resource])
    assert barrier.wait(KEY) == 0
    barrier.wrote(KEY, wrote(REPOSITORY, 7))
    barrier.wrote(KEY, wrote(CONFIGURATION, 8))
    assert barrier.wait(KEY) > 0
    seen[REPOSITORY] = 7
    assert barrier.wait(KEY) > 0
    seen[CONFIGURATION] = 100  # events coalesce, bookmarks jump: past it is enough
    assert barrier.wait(KEY) == 0
    seen[REPOSITORY] = seen[CONFIGURATION] = 0
    assert barrier.wait(KEY) == 0, "what was seen once is not asked for again"


def test_waiting_grows_and_is_bounded() -> None:
    barrier = WriteBarrier(lambda resource, namespace: 0)
    barrier.wrote(KEY, wrote(REPOSITORY, 7))
    waits = [barrier.wait(KEY) for _ in range(12)]
    assert waits == sorted(waits)
    assert waits[0] <= 0.05
    assert waits[-1] == 5.0


def test_a_deletion_needs_no_barrier() -> None:
    barrier = WriteBarrier(lambda resource, namespace: 0)
    barrier.wrote(KEY, wrote(CONFIGURATION, 0))
    assert barrier.wait(KEY) == 0


def test_a_claim_holds_until_it_is_released_by_its_owner() -> None:
    clock = StoppedClock()
    claims = Claims(clock)
    claims.take([Claim("location x", "a")])
    assert claims.claimant("location x") == "a"
    claims.release([Claim("location x", "b")])
    assert claims.claimant("location x") == "a"
    claims.release([Claim("location x", "a")])
    assert claims.claimant("location x") is None


def test_a_claim_ends_by_itself() -> None:
    clock = StoppedClock()
    claims = Claims(clock)
    claims.take([Claim("location x", "a")])
    clock.spent += 61
    assert claims.claimant("location x") is None
