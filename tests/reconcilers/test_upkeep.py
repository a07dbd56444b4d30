"""What is kept right, reported or left alone: drift, objects that go, foreign objects, names, the storage Secret."""

from __future__ import annotations

from typing import Any

import pytest

from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.plan import Apply, Plan, State
from reconcilers.ports import SecretSight, SecretState
from reconcilers.reasons import Reason
from tests.reconcilers.objects import (
    blueprint,
    configuration,
    deployment_key,
    opting_in,
    repository,
    s3,
    target,
)
from tests.reconcilers.sights import SHOP, bc, events, names, only, opted_in, refused, repo, settled
from tests.reconcilers.world import World

# storage Secret


@pytest.mark.parametrize(
    ("state", "warned"),
    [
        (SecretState.FOUND, []),
        (SecretState.MISSING, [Reason.STORAGE_SECRET_MISSING]),
        (SecretState.INCOMPLETE, [Reason.STORAGE_SECRET_INCOMPLETE]),
        (SecretState.UNCHECKED, []),
    ],
)
def test_storage_secret(state: SecretState, warned: list[Reason]) -> None:
    world = World(blueprint(), target())
    world.secrets[ObjectKey("demo", "storage")] = SecretSight(state)
    plan = world.reconcile(SHOP)
    assert len(plan.steps) == 2, "objects are made all the same"
    assert [note.reason for note in only(plan).warnings] == warned


def test_without_a_storage_secret_there_is_none_to_look_for() -> None:
    local = {"local": {"nfs": {"server": "nas", "path": "/b"}, "mountPath": "/safe", "subPath": "${TARGET_NAME}"}}
    world = World(blueprint(backend=local), target())
    assert only(world.reconcile(SHOP)).storage_secret is None


# drift


@pytest.mark.parametrize("manager", ["kubectl", "argocd"])
def test_manual_edits_of_our_fields_are_reverted_and_others_kept(manager: str) -> None:
    world = opted_in()

    def drift(obj: dict[str, Any]) -> None:
        obj["spec"]["schedule"] = "* * * * *"
        obj["spec"]["paused"] = True
        obj["metadata"]["labels"]["team"] = "shop"
        del obj["spec"]["retentionPolicy"]

    world.edit(bc(), drift, manager=manager)
    plan = world.reconcile(SHOP)
    assert events(plan) == [Reason.CONFIGURATION_UPDATED]
    found = world.objects[bc()]
    assert (found["spec"]["schedule"], found["spec"]["paused"]) == ("0 2 * * *", True)
    assert found["spec"]["retentionPolicy"]["prune"] is True
    assert found["metadata"]["labels"]["team"] == "shop"
    settled(world)


def test_status_and_foreign_fields_are_no_drift() -> None:
    world = opted_in()
    world.edit(bc(), lambda obj: obj.update(status={"phase": "Ready"}), manager="stash")
    world.edit(bc(), lambda obj: obj["metadata"].update(finalizers=["stash.appscode.com"]), manager="stash")
    settled(world)


def test_an_object_deleted_by_hand_comes_back() -> None:
    world = opted_in()
    world.delete(bc())
    world.delete(repo())
    world.converge(SHOP)
    assert (names(world.repositories()), names(world.configurations())) == (["deploy-shop"], ["deploy-shop"])


def test_a_configuration_that_is_being_deleted_is_waited_for() -> None:
    world = opted_in()
    world.edit(bc(), lambda obj: obj["metadata"].update(finalizers=["stash.appscode.com"]))
    world.delete(bc())
    outcome = refused(world)
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.BEING_DELETED)
    world.finalize(bc())
    world.converge(SHOP)
    assert bc() in world.objects


def test_a_repository_that_is_being_deleted_is_waited_for() -> None:
    world = opted_in()
    world.edit(repo(), lambda obj: obj["metadata"].update(finalizers=["stash"]))
    world.delete(repo())
    outcome = refused(world)
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.BEING_DELETED)
    world.finalize(repo())
    world.converge(SHOP)
    assert repo() in world.objects


# names


def test_a_foreign_repository_with_our_name_is_reported_and_left_alone() -> None:
    world = World(blueprint(), target(), repository("deploy-shop"))
    before = world.objects[repo()]
    outcome = refused(world)
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.NAME_CONFLICT)
    assert "demo/deploy-shop" in outcome.message
    assert world.objects[repo()] == before
    world.delete(repo())
    world.converge(SHOP)
    assert world.objects[repo()]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "autobackup"


def test_a_foreign_configuration_with_our_name_is_reported_and_left_alone() -> None:
    world = World(blueprint(), target(), configuration("deploy-shop"))
    assert refused(world).reason is Reason.NAME_CONFLICT
    world.annotate(SHOP, **{"backup-blueprint": None})
    assert world.plan(SHOP) == Plan()
    assert bc() in world.objects


def test_a_foreign_object_that_the_cache_does_not_show_yet_is_not_taken_over() -> None:
    world = World(blueprint(), target())
    with world.lag():
        world.create(repository("deploy-shop"))
        step = world.plan(SHOP).steps[0]
        assert isinstance(step, Apply)
        assert not step.force, "the server must be free to refuse"


def test_long_names_are_cut_and_stay_distinct() -> None:
    one, two = "x" * 70 + "-one", "x" * 70 + "-two"
    world = World(blueprint(), target(name=one), target(name=two))
    world.converge()
    found = names(world.repositories())
    assert len(set(found)) == 2
    assert names(world.configurations()) == found
    assert all(len(name) <= 63 for name in found)
    labels = {obj["metadata"]["labels"][marks.TARGET_NAME] for obj in world.repositories()}
    assert len(labels) == 2
    assert all(len(value) <= 63 for value in labels)
    settled(world)


def test_two_targets_that_want_one_name_get_two() -> None:
    world = World(
        blueprint("b"),
        blueprint("c"),
        blueprint("b-c"),
        target(name="a-b", annotated=opting_in("c,b")),
        target(name="a", annotated=opting_in("b-c,b")),
    )
    world.converge()
    assert all(o.reason is Reason.LOCATION_CONFLICT for t in world.outcomes.values() for o in t[1:])
    world.respec("b", backend=s3("b/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"))
    world.converge()
    found = names(world.configurations())
    assert len(found) == len(set(found)) == 4
    assert "deploy-a-b-c" in found
    settled(world)


def test_two_targets_that_want_one_name_before_any_cache_shows_it() -> None:
    spec = {"backend": s3("${TARGET_UID}")}
    world = World(
        blueprint("c", **spec),
        blueprint("b-c", **spec),
        blueprint("z", backend=s3("z/${TARGET_UID}")),
        target(name="a-b", annotated=opting_in("c,z")),
        target(name="a", annotated=opting_in("b-c,z")),
    )
    with world.lag():
        for key in (deployment_key("a-b"), deployment_key("a")):
            world.reconcile(key)
    assert len(world.repositories()) == 4
    world.converge()
    settled(world)
