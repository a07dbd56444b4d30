"""The table of outcomes: what changed, what is pending, who waits for whom."""

from __future__ import annotations

from dataclasses import replace

from controller.outcomes import Outcomes
from informers.resource import ObjectKey
from reconcilers.keys import Key
from reconcilers.plan import Outcome, State, Wish
from reconcilers.ports import SecretSight, SecretState
from reconcilers.reasons import Reason
from tests.controller.walk import finish

A, B = Key("Deployment", "demo", "a"), Key("StatefulSet", "demo", "b")
SECRET = ObjectKey("demo", "storage")
FINE = Outcome("nightly", State.CONFIGURED, Reason.CONFIGURED, "in place", storage_secret=SECRET)
BAD = Outcome("nightly", State.FAILED, Reason.LOCATION_CONFLICT, "taken")


def counting(table: Outcomes, generation: int, *matched: Key):
    return table.counting(
        "nightly", generation=generation, matched=matched, secret=lambda key, wish: SecretSight(SecretState.MISSING)
    )


def summary(table: Outcomes, generation: int, *matched: Key):
    return finish(counting(table, generation, *matched))


def test_a_target_counts_as_pending_until_it_was_looked_at_with_this_generation() -> None:
    table = Outcomes()
    assert summary(table, 1, A, B).pending == 2
    table.record(A, (FINE,), lambda name: 1)
    assert (summary(table, 1, A, B).configured, summary(table, 1, A, B).pending) == (1, 1)
    assert summary(table, 2, A, B).pending == 2
    table.record(A, (FINE,), lambda name: 2)
    table.record(B, (BAD,), lambda name: 2)
    found = summary(table, 2, A, B)
    assert (found.configured, found.failed, found.pending) == (1, 1, 0)
    assert found.failures == ((B, BAD),)
    assert found.secrets == ((SECRET, SecretSight(SecretState.MISSING)),)


def test_a_target_that_is_gone_is_not_counted() -> None:
    table = Outcomes()
    table.record(A, (FINE,), lambda name: 1)
    assert summary(table, 1).matched == 0


def test_only_changes_are_reported() -> None:
    table = Outcomes()
    changes, touched = table.record(A, (FINE,), lambda name: 1)
    assert [change.before for change in changes] == [None]
    assert touched == {"nightly"}
    assert table.record(A, (FINE,), lambda name: 1) == ([], set())
    changes, touched = table.record(A, (FINE,), lambda name: 2)
    assert (changes, touched) == ([], {"nightly"}), "nothing to tell, but one less is pending"
    changes, _ = table.record(A, (BAD,), lambda name: 2)
    assert [(change.before, change.after) for change in changes] == [(FINE, BAD)]
    changes, touched = table.record(A, (), lambda name: 2)
    assert (changes, touched) == ([], {"nightly"})
    assert table.of(A) == ()


def test_credentials_that_people_wrote_do_not_get_into_the_table() -> None:
    table = Outcomes()
    quoting = Outcome("nightly", State.FAILED, Reason.LOCATION_CONFLICT, "'https://me:hunter2@example.com' is taken")
    (change,), _ = table.record(A, (quoting,), lambda name: 1)
    assert "hunter2" not in change.after.message
    assert "example.com" in change.after.message
    assert summary(table, 1, A).failures == ((A, change.after),)
    assert table.record(A, (quoting,), lambda name: 1) == ([], set())


def test_conflicted_targets_are_known_until_they_are_not() -> None:
    table = Outcomes()
    table.record(A, (BAD,), lambda name: 1)
    assert table.conflicted() == (A,)
    table.record(A, (FINE,), lambda name: 1)
    assert table.conflicted() == ()


def test_secrets_know_who_relies_on_them() -> None:
    table = Outcomes()
    table.record(A, (FINE,), lambda name: 1)
    assert table.relying_on(SECRET) == ([A], {"nightly"})
    assert table.storage_secrets() == {SECRET: {"nightly"}}
    wish = Wish(ObjectKey("vault", "bucket"), "nightly", "s3")
    table.record(A, (replace(FINE, wish=wish),), lambda name: 1)
    assert (table.storage_secrets(), table.wishes()) == ({}, {SECRET: {wish}})
    assert table.relying_on(SECRET) == ([A], {"nightly"})
    table.record(A, (BAD,), lambda name: 1)
    assert (table.relying_on(SECRET), table.wishes()) == (([], set()), {})
    table.record(A, (FINE,), lambda name: 1)
    table.record(A, (), lambda name: 1)
    assert (table.relying_on(SECRET), table.storage_secrets()) == (([], set()), {})
