"""A retention that keeps less waits, and what is written down about the wait is enough for anybody to go on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconcilers import grace, marks, retention
from reconcilers.layers import Layer
from reconcilers.plan import Plan, State
from reconcilers.reasons import Reason
from tests.reconcilers.objects import blueprint, opting_in, target
from tests.reconcilers.sights import NIGHTLY, SHOP, bc, only, refused, settled
from tests.reconcilers.world import World

HOUR = 3600.0
OPEN = {"retention": {"allowShorter": True}}


def world(overrides: dict[str, Any] | None = None, **annotations: str) -> World:
    found = World(
        blueprint(overrides=OPEN if overrides is None else overrides), target(annotated=opting_in(**annotations))
    )
    found.converge(SHOP)
    return found


def kept(found: World) -> str:
    return retention.canonical(found.objects[bc()]["spec"]["retentionPolicy"])


def pending(found: World) -> dict[str, Any] | None:
    text = found.objects[bc()]["metadata"]["annotations"].get(marks.RETENTION_PENDING)
    return json.loads(text) if text else None


def overrides_of(found: World) -> dict[str, list[str]]:
    text = found.objects[bc()]["metadata"]["annotations"].get(marks.OVERRIDES)
    return dict(json.loads(text)) if text else {}


def note(plan: Plan) -> str:
    return next((note.message for note in only(plan).warnings if note.reason is Reason.RETENTION_PENDING), "")


def test_longer_is_at_once() -> None:
    found = world(retention_policy="last=9,daily=3")
    assert kept(found) == "last=9,daily=3"
    assert overrides_of(found) == {"target": ["retentionPolicy.keepDaily", "retentionPolicy.keepLast"]}
    assert pending(found) is None
    assert found.plan(SHOP).due is None
    settled(found)


def test_shorter_waits_for_three_days() -> None:
    found = world()
    began = found.time
    found.annotate(SHOP, retention_policy="last=2")
    plan = found.reconcile(SHOP)
    assert kept(found) == "last=5"
    assert pending(found) == {"since": grace.when(began), "policy": {"keepLast": 2}}
    assert plan.due == 72 * HOUR
    assert only(plan).state is State.CONFIGURED
    assert f"last=2 keeps less than last=5, which stays in force until {grace.when(began + 72 * HOUR)}" in note(plan)
    settled(found)

    found.time += 71 * HOUR
    found.restart()
    plan = found.reconcile(SHOP)
    assert not plan.steps, "the wait is written down: nobody writes it again"
    assert plan.due == HOUR
    assert kept(found) == "last=5"

    found.time += 2 * HOUR
    plan = found.reconcile(SHOP)
    assert kept(found) == "last=2"
    assert pending(found) is None
    assert overrides_of(found) == {"target": ["retentionPolicy.keepLast"]}
    assert plan.due is None
    assert not note(plan)
    settled(found)


def test_everything_else_goes_on_while_it_waits() -> None:
    found = world()
    found.annotate(SHOP, retention_policy="last=2", schedule="@weekly")
    found.converge(SHOP)
    assert kept(found) == "last=5"
    assert found.objects[bc()]["spec"]["schedule"] == "@weekly"


def test_a_change_that_is_taken_back_leaves_no_trace() -> None:
    found = world()
    before = found.objects[bc()]
    found.annotate(SHOP, retention_policy="last=2")
    found.converge(SHOP)
    found.annotate(SHOP, retention_policy=None)
    found.converge(SHOP)
    assert found.objects[bc()]["spec"] == before["spec"]
    assert found.objects[bc()]["metadata"]["annotations"] == before["metadata"]["annotations"]


def test_an_even_shorter_wish_begins_anew_and_a_longer_one_goes_on() -> None:
    found = world()
    found.annotate(SHOP, retention_policy="last=3")
    found.converge(SHOP)
    found.time += 71 * HOUR
    found.annotate(SHOP, retention_policy="last=1")
    assert found.reconcile(SHOP).due == 72 * HOUR
    found.time += HOUR
    found.annotate(SHOP, retention_policy="last=4")
    assert found.reconcile(SHOP).due == 71 * HOUR


def test_taking_away_a_longer_retention_waits_as_well() -> None:
    found = world(overrides={"retention": {}}, retention_policy="last=30")
    found.annotate(SHOP, retention_policy=None)
    found.converge(SHOP)
    assert kept(found) == "last=30"
    assert overrides_of(found) == {"target": ["retentionPolicy.keepLast"]}, "who decided what is in force"
    found.time += 73 * HOUR
    found.converge(SHOP)
    assert kept(found) == "last=5"
    assert overrides_of(found) == {}


def test_an_edit_of_the_blueprint_alone_is_at_once() -> None:
    found = world()
    found.respec("nightly", retentionPolicy={"name": "brief", "keepLast": 1, "prune": True})
    found.converge(SHOP)
    assert kept(found) == "last=1"
    assert pending(found) is None


def test_the_blueprint_sets_the_grace() -> None:
    found = world(overrides={"retention": {"allowShorter": True, "gracePeriod": "2h"}})
    found.annotate(SHOP, retention_policy="last=2")
    assert found.reconcile(SHOP).due == 2 * HOUR
    found.respec("nightly", overrides={"retention": {"allowShorter": True, "gracePeriod": "0s"}})
    found.converge(SHOP)
    assert kept(found) == "last=2"


def test_opting_out_and_in_again_is_no_way_around() -> None:
    found = world()
    found.annotate(SHOP, backup_blueprint=None)
    found.converge(SHOP)
    assert bc() not in found.objects
    found.annotate(SHOP, backup_blueprint="nightly", retention_policy="last=1")
    found.converge(SHOP)
    assert kept(found) == "last=5", "what is new waits too: its Repository may be old"
    assert pending(found)


def test_what_somebody_else_wrote_into_it_is_not_what_is_held() -> None:
    found = world(retention_policy="last=9")
    found.edit(bc(), lambda obj: obj["spec"]["retentionPolicy"].update(keepLast=99))
    found.converge(SHOP)
    assert kept(found) == "last=9"


def test_somebody_who_forges_the_beginning_waits_from_now() -> None:
    found = world()
    found.annotate(SHOP, retention_policy="last=2")
    found.converge(SHOP)
    forged = json.dumps({"since": "2001-01-01T00:00:00Z", "policy": {"keepLast": 2}})
    found.edit(bc(), lambda obj: obj["metadata"]["annotations"].update({marks.RETENTION_PENDING: forged}))
    found.converge(SHOP)
    assert kept(found) == "last=5"
    assert pending(found) == {"since": grace.when(found.time), "policy": {"keepLast": 2}}


def test_a_refusal_leaves_what_was_applied() -> None:
    found = world(overrides={"retention": {}}, retention_policy="last=30")
    found.annotate(SHOP, retention_policy="last=3")
    outcome = refused(found)
    assert outcome.reason is Reason.OVERRIDE_OUT_OF_BOUNDS
    assert "retention-policy 'last=3'" in outcome.message
    assert "blueprint nightly" in outcome.message
    assert kept(found) == "last=30"


def test_the_blueprint_tells_of_it() -> None:
    found = world()
    found.converge(NIGHTLY)
    assert "RetentionPending" not in conditions(found)
    found.annotate(SHOP, retention_policy="last=2")
    found.converge(SHOP)
    found.converge(NIGHTLY)
    told = conditions(found)["RetentionPending"]
    assert (told["status"], told["reason"]) == ("True", "GracePeriod")
    assert "Deployment demo/shop: last=2 keeps less than last=5" in told["message"]
    found.time += 73 * HOUR
    found.converge(SHOP)
    found.converge(NIGHTLY)
    assert "RetentionPending" not in conditions(found)


def conditions(found: World) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in found.objects[NIGHTLY]["status"]["conditions"]}


policies = st.dictionaries(st.sampled_from(["keepLast", "keepDaily"]), st.integers(0, 4))
DECIDED = '{"target":["retentionPolicy.keepLast"]}'


@given(
    wishes=st.lists(st.tuples(policies, st.integers(0, 40)), min_size=1, max_size=6),
    held=policies,
)
def test_nothing_is_lost_that_was_not_announced_a_grace_period_before(
    wishes: list[tuple[dict[str, int], int]], held: dict[str, int]
) -> None:
    """Whatever is asked for and whenever: less than is in force now was asked for, without a break, for 24 hours."""
    now, waiting, in_force = 0, "", dict(held)
    log: list[tuple[int, dict[str, int]]] = []
    for wanted, hours in wishes:
        for _ in range(hours):
            log.append((now, wanted))
            found = grace.settle(
                wanted,
                {"retentionPolicy": Layer.TARGET},
                blueprint={},
                held=json.dumps(in_force),
                held_origins=DECIDED,
                waiting=waiting,
                now=now,
                grace=24 * 3600,
            )
            if not retention.covers(found.policy, in_force):
                lately = [wish for at, wish in log if at >= now - 24 * 3600]
                assert len(lately) == 25
                assert all(
                    retention.covers(found.policy, wish) or retention.covers(wish, found.policy) for wish in lately
                )
                assert not any(retention.covers(wish, in_force) for wish in lately)
            in_force = dict(found.policy)
            waiting = found.pending.record() if found.pending else ""
            now += 3600


@given(st.text())
def test_a_record_of_somebody_else_is_none(text: str) -> None:
    assert grace.recall(text) is None
