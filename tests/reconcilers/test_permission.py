"""Who may use a blueprint: names, labels, the unknown, and what becomes of a target that is denied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilers import marks
from reconcilers.errors import Refusal
from reconcilers.keys import Key
from reconcilers.namespace import NamespaceRow
from reconcilers.permission import check, is_denied, parse
from reconcilers.plan import Plan, State
from reconcilers.reasons import Reason
from tests.reconcilers import objects
from tests.reconcilers.world import World

BY_NAME = {"names": ["demo", "blog"]}
BY_LABEL = {"selector": {"matchLabels": {"backup": "yes"}}}
SHOP = objects.deployment_key()
NIGHTLY = Key("BackupBlueprint", "", "nightly")


def row(**labels: str) -> NamespaceRow:
    return NamespaceRow(name="demo", uid="u", resource_version=1, labels=tuple(sorted(labels.items())))


def verdict(policy: Any, namespace: NamespaceRow | None, *, seen: bool = True, required: bool = False) -> Reason | None:
    spec = {} if policy is None else {"allowedNamespaces": policy}
    try:
        check(parse(spec), blueprint="nightly", namespace="demo", row=namespace, seen=seen, required=required)
    except Refusal as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    ("policy", "namespace", "expected"),
    [
        (None, row(), None),
        (None, None, None),
        (BY_NAME, row(), None),
        (BY_NAME, None, None),
        ({"names": ["blog"]}, row(), Reason.NAMESPACE_NOT_ALLOWED),
        ({"names": ["blog"]}, None, Reason.NAMESPACE_NOT_ALLOWED),
        ({"names": []}, row(), Reason.NAMESPACE_NOT_ALLOWED),
        ({}, row(), Reason.NAMESPACE_NOT_ALLOWED),
        (BY_LABEL, row(backup="yes"), None),
        (BY_LABEL, row(backup="no"), Reason.NAMESPACE_NOT_ALLOWED),
        (BY_LABEL, row(), Reason.NAMESPACE_NOT_ALLOWED),
        (BY_LABEL, None, Reason.NAMESPACE_UNKNOWN),
        ({"selector": {}}, row(), None),
        ({"selector": {}}, None, Reason.NAMESPACE_UNKNOWN),
        ({**BY_NAME, **BY_LABEL}, row(), None),
        ({"names": ["blog"], **BY_LABEL}, row(backup="yes"), None),
        ("demo", row(), Reason.NAMESPACE_NOT_ALLOWED),
        ({"names": "demo"}, row(), Reason.NAMESPACE_NOT_ALLOWED),
        ({"names": ["demo"], "from": "All"}, row(), Reason.NAMESPACE_NOT_ALLOWED),
        ({"names": ["demo"], "selector": {"matchLabels": 1}}, row(), Reason.NAMESPACE_NOT_ALLOWED),
    ],
)
def test_who_is_allowed(policy: Any, namespace: NamespaceRow | None, expected: Reason | None) -> None:
    assert verdict(policy, namespace) is expected


def test_an_operator_may_require_that_a_blueprint_says_whom_it_allows() -> None:
    assert verdict(None, row(), required=True) is Reason.NAMESPACE_NOT_ALLOWED
    assert verdict(BY_NAME, row(), required=True) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
_POLICY = st.dictionaries(st.sampled_from(["names", "selector", "from", "Names"]), _JSON, max_size=3)


@given(policy=_JSON | _POLICY, known=st.booleans())
def test_no_policy_however_garbled_allows_what_it_does_not_name(policy: Any, known: bool) -> None:
    found = verdict(policy, row() if known else None)
    if policy is None:
        assert found is None
        return
    named = isinstance(policy, Mapping) and isinstance(policy.get("names"), list) and "demo" in policy["names"]
    if not named and not (isinstance(policy, Mapping) and policy.get("selector") is not None):
        assert found is Reason.NAMESPACE_NOT_ALLOWED
    if not known and not named:
        assert found is not None


def world(**spec: Any) -> World:
    return World(objects.blueprint(**spec), objects.target())


def outcome(plan: Plan) -> tuple[State, Reason]:
    (found,) = plan.outcomes
    return found.state, found.reason


def paused(world: World) -> bool:
    (found,) = world.configurations()
    return bool(found["spec"].get("paused"))


def relabel(world: World, **labels: str) -> None:
    key = Key("Namespace", "", objects.NAMESPACE)
    if key not in world.objects:
        world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": objects.NAMESPACE}})
    world.edit(key, lambda obj: obj["metadata"].update(labels=labels))


def test_nothing_is_made_for_a_target_that_is_denied() -> None:
    there = world(allowedNamespaces={"names": ["blog"]})
    plan = there.reconcile(SHOP)
    assert outcome(plan) == (State.FAILED, Reason.NAMESPACE_NOT_ALLOWED)
    assert plan.steps == plan.claims == plan.needs == ()
    assert there.template_reads == 0
    assert is_denied(plan.outcomes[0])
    there.plan(NIGHTLY)
    there.execute(there.plan(NIGHTLY))
    (failure,) = there.objects[NIGHTLY]["status"]["failures"]
    assert failure["reason"] == "NamespaceNotAllowed"
    assert "namespace demo" in failure["message"]
    assert "blog" not in failure["message"], "whom else a blueprint serves is nobody's business"


def test_denied_later_it_is_suspended_and_allowed_again_it_goes_on_as_it_was() -> None:
    there = world(allowedNamespaces=BY_LABEL)
    relabel(there, backup="yes")
    there.converge(SHOP)
    before = [there.repositories(), there.configurations()[0]["spec"]]
    assert not paused(there)

    relabel(there, backup="no")
    plan = there.reconcile(SHOP)
    assert outcome(plan) == (State.FAILED, Reason.NAMESPACE_NOT_ALLOWED)
    assert [step.event for step in plan.steps] == [Reason.CONFIGURATION_SUSPENDED]  # type: ignore[union-attr]
    assert paused(there)
    (configuration,) = there.configurations()
    assert configuration["metadata"]["annotations"][marks.SUSPENDED] == "NamespaceNotAllowed"
    assert there.repositories() == before[0]
    assert there.reconcile(SHOP).steps == (), "told once"
    there.restart()
    assert there.reconcile(SHOP).steps == ()

    relabel(there, backup="yes")
    plan = there.reconcile(SHOP)
    assert [step.event for step in plan.steps] == [Reason.CONFIGURATION_RESUMED]  # type: ignore[union-attr]
    assert [there.repositories(), there.configurations()[0]["spec"]] == before
    assert marks.SUSPENDED not in there.configurations()[0]["metadata"]["annotations"]
    assert there.reconcile(SHOP).steps == ()


def test_somebody_who_goes_on_nevertheless_is_suspended_again() -> None:
    there = world()
    there.converge(SHOP)
    there.respec("nightly", allowedNamespaces={})
    there.converge(SHOP)
    key = Key("BackupConfiguration", objects.NAMESPACE, "deploy-shop")
    there.edit(key, lambda obj: obj["spec"].update(paused=False))
    there.converge(SHOP)
    assert paused(there)
    there.respec("nightly", allowedNamespaces=None)
    there.converge(SHOP)
    assert not paused(there)


def test_a_blueprint_that_cannot_be_used_at_all_still_says_who_may_not() -> None:
    there = world()
    there.converge(SHOP)
    there.respec("nightly", schedule="nonsense", allowedNamespaces={})
    assert outcome(there.reconcile(SHOP)) == (State.FAILED, Reason.NAMESPACE_NOT_ALLOWED)
    assert paused(there)
    there.respec("nightly", allowedNamespaces=BY_NAME)
    assert outcome(there.reconcile(SHOP)) == (State.FAILED, Reason.INVALID_BLUEPRINT)
    assert not paused(there), "the last good configuration goes on: it is allowed"


def test_a_namespace_of_which_nothing_is_known_is_denied_and_waited_for() -> None:
    there = world(allowedNamespaces=BY_LABEL)
    relabel(there, backup="yes")
    there.converge(SHOP)
    there.unknown_namespaces.add(objects.NAMESPACE)
    assert outcome(there.reconcile(SHOP)) == (State.WAITING, Reason.NAMESPACE_UNKNOWN)
    assert paused(there)
    there.unknown_namespaces.clear()
    there.converge(SHOP)
    assert not paused(there)


def test_where_namespaces_may_not_be_read_labels_deny_and_names_allow() -> None:
    there = world(allowedNamespaces=BY_LABEL)
    there.missing_kinds.add("Namespace")
    plan = there.reconcile(SHOP)
    assert outcome(plan) == (State.FAILED, Reason.NAMESPACE_UNKNOWN)
    assert "autobackup-namespaces" in plan.outcomes[0].message
    there.respec("nightly", allowedNamespaces=BY_NAME)
    there.converge(SHOP)
    assert not paused(there)


def test_one_blueprint_denied_does_not_stand_in_the_way_of_another() -> None:
    there = World(
        objects.blueprint(allowedNamespaces={}),
        objects.blueprint("hourly", backend=objects.s3("hourly/${TARGET_NAMESPACE}/${TARGET_NAME}")),
        objects.target(annotated=objects.opting_in("nightly,hourly")),
    )
    there.converge(SHOP)
    (found,) = there.configurations()
    assert found["metadata"]["annotations"][marks.BLUEPRINT] == "hourly"
    assert not paused(there)


def test_what_only_goes_on_because_its_replacement_is_missing_is_suspended_as_well() -> None:
    there = world()
    there.converge(SHOP)
    there.annotate(SHOP, backup_blueprint="misspelt")
    there.converge(SHOP)
    assert not paused(there)
    there.respec("nightly", allowedNamespaces={})
    there.converge(SHOP)
    assert paused(there)


def test_opting_out_while_denied_takes_the_configuration_away() -> None:
    there = world()
    there.converge(SHOP)
    there.respec("nightly", allowedNamespaces={})
    there.converge(SHOP)
    there.annotate(SHOP, backup_blueprint=None)
    there.converge(SHOP)
    assert there.configurations() == []
    assert len(there.repositories()) == 1


def test_a_required_policy_is_missing() -> None:
    there = world()
    there.closed = True
    assert outcome(there.reconcile(SHOP)) == (State.FAILED, Reason.NAMESPACE_NOT_ALLOWED)
    there.respec("nightly", allowedNamespaces=BY_NAME)
    there.converge(SHOP)
    assert len(there.configurations()) == 1
