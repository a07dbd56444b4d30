"""T4: a namespace that was deleted and made anew inherits no Repository."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconcilers import marks
from reconcilers.incarnation import is_earlier
from reconcilers.keys import Key
from reconcilers.namespace import NamespaceRow
from reconcilers.permission import is_denied
from reconcilers.plan import State
from reconcilers.reasons import Reason
from reconcilers.rows import RepositoryRow, project_repository
from tests.reconcilers import objects
from tests.reconcilers.world import World

DEMO = Key("Namespace", "", objects.NAMESPACE)
SHOP = Key("PersistentVolumeClaim", objects.NAMESPACE, "shop")
CENTRAL = Key("Repository", "vault", "demo-pvc-shop")
VOLUME = objects.target("PersistentVolumeClaim")


def namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": objects.NAMESPACE}}


def world(**spec: Any) -> World:
    """A namespace with a volume whose Repository is in another namespace, and so outlives it."""
    return World(namespace(), objects.blueprint(repoNamespace="vault", **spec), VOLUME)


def reincarnate(there: World, *, watched: bool = True) -> None:
    """Somebody deletes the namespace, somebody makes it again, with a volume of the same name."""
    there.vanish(SHOP)
    if watched:
        there.reconcile(SHOP)
    else:
        there.collect_garbage()
    there.vanish(DEMO)
    there.create(namespace())
    there.create(VOLUME)


def adopt(there: World, key: Key = CENTRAL) -> None:
    uid = there.objects[DEMO]["metadata"]["uid"]
    there.edit(key, lambda obj: obj["metadata"]["annotations"].update({marks.NAMESPACE_UID: uid}), manager="adopter")


def reason(there: World) -> Reason:
    (outcome,) = there.reconcile(SHOP).outcomes
    return outcome.reason


def test_the_uid_of_the_namespace_is_written_down() -> None:
    there = world()
    there.converge(SHOP)
    annotations = there.objects[CENTRAL]["metadata"]["annotations"]
    assert annotations[marks.NAMESPACE_UID] == there.objects[DEMO]["metadata"]["uid"]


def test_the_next_namespace_of_the_name_inherits_nothing() -> None:
    there = world()
    there.converge(SHOP)
    there.back_up(CENTRAL)
    before = there.objects[CENTRAL]
    reincarnate(there)
    plan = there.reconcile(SHOP)
    (outcome,) = plan.outcomes
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.NAMESPACE_REUSED)
    assert "autobackup adopt persistentvolumeclaim/shop -n demo" in outcome.message
    assert is_denied(outcome)
    assert plan.steps == ()
    assert there.configurations() == []
    assert there.objects[CENTRAL] == before


def test_a_configuration_that_is_left_is_suspended() -> None:
    there = world(backupNamespace="vault")
    there.converge(SHOP)
    reincarnate(there, watched=False)
    there.converge(SHOP)
    (configuration,) = there.configurations()
    assert configuration["spec"]["paused"] is True


def test_what_somebody_adopted_is_gone_on_with() -> None:
    there = world()
    there.converge(SHOP)
    uid = there.objects[CENTRAL]["metadata"]["uid"]
    reincarnate(there)
    assert reason(there) is Reason.NAMESPACE_REUSED
    adopt(there)
    there.converge(SHOP)
    assert there.objects[CENTRAL]["metadata"]["uid"] == uid
    assert len(there.configurations()) == 1
    assert reason(there) is Reason.CONFIGURED


def test_annotations_of_the_target_are_no_consent() -> None:
    there = world()
    there.converge(SHOP)
    reincarnate(there)
    uid = there.objects[DEMO]["metadata"]["uid"]
    there.edit(SHOP, lambda obj: obj["metadata"]["annotations"].update({marks.NAMESPACE_UID: uid}))
    assert reason(there) is Reason.NAMESPACE_REUSED


def test_another_location_is_a_fresh_start_beside_the_old_repository() -> None:
    there = world()
    there.converge(SHOP)
    there.back_up(CENTRAL)
    before = there.objects[CENTRAL]
    reincarnate(there)
    there.respec("nightly", backend=objects.s3("new/${TARGET_NAMESPACE}/${TARGET_NAME}"))
    there.converge(SHOP)
    assert there.objects[CENTRAL] == before, "not even a mark of its succession"
    assert len(there.repositories()) == 2
    assert reason(there) is Reason.CONFIGURED


def test_one_from_before_is_judged_by_its_age_and_costs_no_write() -> None:
    there = world()
    there.missing_kinds.add("Namespace")
    there.converge(SHOP)
    assert marks.NAMESPACE_UID not in there.objects[CENTRAL]["metadata"]["annotations"]
    there.missing_kinds.clear()
    there.restart()
    assert there.reconcile(SHOP).steps == ()
    there.respec("nightly", wipeOut=True)
    there.converge(SHOP)
    recorded = there.objects[CENTRAL]["metadata"]["annotations"].get(marks.NAMESPACE_UID)
    assert recorded == there.objects[DEMO]["metadata"]["uid"], "with the next write that there is"

    old = world()
    old.missing_kinds.add("Namespace")
    old.converge(SHOP)
    old.missing_kinds.clear()
    reincarnate(old)
    assert reason(old) is Reason.NAMESPACE_REUSED


def test_nothing_is_made_before_the_namespace_is_known() -> None:
    there = world()
    there.unknown_namespaces.add(objects.NAMESPACE)
    plan = there.reconcile(SHOP)
    (outcome,) = plan.outcomes
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.NAMESPACE_UNKNOWN)
    assert plan.steps == ()
    there.unknown_namespaces.clear()
    there.converge(SHOP)
    assert reason(there) is Reason.CONFIGURED


def test_an_earlier_life() -> None:
    obj = {"metadata": {"name": "r", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2024-05-01T00:00:10Z"}}
    mark = marks.Mark(SHOP, "nightly")
    obj["metadata"] |= {"labels": marks.labels_of(mark), "annotations": marks.annotations_of(mark)}  # type: ignore[dict-item]
    bare: RepositoryRow = project_repository(obj)
    space = NamespaceRow(name="demo", uid="now", resource_version=1, created="2024-05-01T00:00:00Z")
    assert not is_earlier(bare, None)
    assert not is_earlier(bare, space)
    assert not is_earlier(bare, replace(space, created="2024-05-01T00:00:10Z")), "in one second, the namespace first"
    assert is_earlier(bare, replace(space, created="2024-05-01T00:00:11Z"))
    assert not is_earlier(bare, replace(space, created="")), "what cannot be compared refuses nobody"
    assert not is_earlier(replace(bare, namespace_uid="now"), replace(space, created="2024-05-01T00:00:11Z"))
    assert is_earlier(replace(bare, namespace_uid="then"), space)
