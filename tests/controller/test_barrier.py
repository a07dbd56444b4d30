"""Claims and the barrier: what is remembered of our own writes until the caches show them."""

from __future__ import annotations

from controller.applier import Written
from controller.barrier import WriteBarrier
from controller.claims import Claims
from informers.resource import ObjectKey, Resource
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.plan import Claim
from tests.support.virtualtime import StoppedClock

KEY = Key("Deployment", "demo", "a")
OTHER = Key("Deployment", "demo", "b")


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
    claims.take(KEY, [Claim("location x", "a")])
    assert claims.claimant("location x") == "a"
    claims.release([Claim("location x", "b")])
    assert claims.claimant("location x") == "a"
    claims.release([Claim("location x", "a")])
    assert claims.claimant("location x") is None
    assert not len(claims)


def test_a_claim_does_not_end_by_itself() -> None:
    clock = StoppedClock()
    claims = Claims(clock)
    claims.take(KEY, [Claim("location x", "a")])
    clock.spent += 3600
    assert claims.claimant("location x") == "a"


def test_a_plan_that_does_without_a_claim_gives_it_up() -> None:
    claims = Claims(StoppedClock())
    claims.take(KEY, [Claim("location x", "a"), Claim("name y", "a")])
    assert claims.give_up(OTHER, ()) == (False, 0)
    assert claims.give_up(KEY, [Claim("name y", "a")]) == (True, 0)
    assert claims.claimant("location x") is None
    assert claims.claimant("name y") == "a"
    assert claims.give_up(KEY, [Claim("name y", "a")]) == (False, 0), "nothing became free this time"
    assert claims.give_up(KEY, ()) == (True, 0)
    assert not len(claims)


def test_a_claim_whose_write_may_yet_take_effect_is_given_up_later() -> None:
    clock = StoppedClock()
    claims = Claims(clock)
    claims.take(KEY, [Claim("location x", "a")])
    claims.doubt(KEY)
    assert claims.give_up(KEY, ()) == (False, 60)
    clock.spent += 50
    assert claims.give_up(KEY, ()) == (False, 10)
    assert claims.claimant("location x") == "a"
    clock.spent += 10
    assert claims.claimant("location x") is None
    assert claims.give_up(KEY, ()) == (True, 0), "whoever was kept waiting can be told"
    assert not len(claims)


def test_a_doubt_that_is_over_keeps_nobody_from_taking_it() -> None:
    clock = StoppedClock()
    claims = Claims(clock)
    claims.take(KEY, [Claim("location x", "a")])
    claims.doubt(KEY)
    claims.give_up(KEY, ())
    clock.spent += 60
    claims.take(OTHER, [Claim("location x", "b")])
    assert claims.give_up(KEY, ()) == (False, 0)
    assert claims.claimant("location x") == "b"


class TestOwnWritesComeBack:
    """What a cache shows is compared with what was written, whichever comes first: the watch or the answer."""

    def barrier(self) -> WriteBarrier:
        return WriteBarrier(lambda resource, namespace: 0)

    def test_an_update_needs_no_second_look(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        barrier.wrote(KEY, wrote(CONFIGURATION, 8))
        assert not barrier.end(KEY, then_look=False)
        assert barrier.is_own(KEY, "uid", 8)
        assert barrier.wait(KEY) == 0, "what was shown is not waited for"
        assert not barrier.is_own(KEY, "uid", 8), "once"

    def test_a_watch_may_be_faster_than_the_answer(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        assert barrier.is_own(KEY, "uid", 8)
        barrier.wrote(KEY, wrote(CONFIGURATION, 8))
        assert not barrier.end(KEY, then_look=False)

    def test_what_somebody_else_wrote_meanwhile_calls_for_a_look(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        assert barrier.is_own(KEY, "uid", 7), "undecided until the answers are here"
        barrier.wrote(KEY, wrote(CONFIGURATION, 8))
        assert barrier.end(KEY, then_look=False)

    def test_what_somebody_else_wrote_later_calls_for_a_look(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        barrier.wrote(KEY, wrote(CONFIGURATION, 8))
        barrier.end(KEY, then_look=False)
        assert not barrier.is_own(KEY, "uid", 9)
        assert not barrier.is_own(KEY, "another", 8)
        assert not barrier.is_own(Key("Deployment", "demo", "b"), "uid", 8)

    def test_a_write_without_an_answer_calls_for_a_look_when_it_is_shown(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        assert barrier.is_own(KEY, "uid", 8)
        assert barrier.end(KEY, then_look=False)

    def test_the_last_of_several_calls_for_a_look_where_that_is_wanted(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        barrier.wrote(KEY, wrote(REPOSITORY, 7))
        barrier.wrote(KEY, wrote(CONFIGURATION, 8))
        assert barrier.is_own(KEY, "uid", 7)
        assert not barrier.end(KEY, then_look=True)
        assert not barrier.is_own(KEY, "uid", 8)

    def test_all_of_them_shown_before_the_answers_call_for_a_look_at_once(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        barrier.is_own(KEY, "uid", 7)
        barrier.wrote(KEY, wrote(REPOSITORY, 7))
        assert barrier.end(KEY, then_look=True)

    def test_the_next_writes_forget_what_was_never_shown(self) -> None:
        barrier = self.barrier()
        barrier.begin(KEY)
        barrier.wrote(KEY, wrote(CONFIGURATION, 8))
        barrier.end(KEY, then_look=False)
        barrier.begin(KEY)
        barrier.end(KEY, then_look=False)
        assert not barrier.is_own(KEY, "uid", 9)
