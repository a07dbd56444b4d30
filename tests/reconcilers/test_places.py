"""Where objects and data are put: other namespaces, one location for one target, field owners."""

from __future__ import annotations

import pytest

from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.plan import Delete, State
from reconcilers.reasons import Reason
from tests.reconcilers.objects import blueprint, deployment_key, opting_in, repository, s3, target
from tests.reconcilers.sights import (
    NIGHTLY,
    SHOP,
    bc,
    completed_after,
    names,
    only,
    opted_in,
    prefix,
    refused,
    repo,
    serving,
    settled,
    specs,
    successor,
)
from tests.reconcilers.world import World

OTHER = "other/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"
THIRD = "third/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"


# other namespaces


def test_repo_namespace() -> None:
    world = opted_in(repoNamespace="vault")
    assert list(specs(world)) == [repo("demo-deploy-shop", "vault"), bc()]
    assert world.objects[bc()]["spec"]["repository"] == {"name": "demo-deploy-shop", "namespace": "vault"}
    assert "ownerReferences" in world.objects[bc()]["metadata"]
    assert only(world.plan(SHOP)).storage_secret == ObjectKey("vault", "storage")
    settled(world)


def test_backup_namespace() -> None:
    world = opted_in(backupNamespace="vault")
    assert list(specs(world)) == [repo("demo-deploy-shop", "vault"), bc("demo-deploy-shop", "vault")]
    found = world.objects[bc("demo-deploy-shop", "vault")]
    assert found["spec"]["repository"] == {"name": "demo-deploy-shop"}
    assert found["spec"]["target"]["ref"]["namespace"] == "demo"
    assert "ownerReferences" not in found["metadata"], "an owner in another namespace would be illegal"
    settled(world)
    world.delete(SHOP)
    world.converge()
    assert world.configurations() == [], "without an owner it is deleted by us"
    assert len(world.repositories()) == 1


def test_both_namespaces() -> None:
    world = opted_in(backupNamespace="runs", repoNamespace="vault")
    assert list(specs(world)) == [repo("demo-deploy-shop", "vault"), bc("demo-deploy-shop", "runs")]
    found = world.objects[bc("demo-deploy-shop", "runs")]
    assert found["spec"]["repository"] == {"name": "demo-deploy-shop", "namespace": "vault"}
    settled(world)


def test_namespaces_that_are_the_target_s_own_change_nothing() -> None:
    world = opted_in(backupNamespace="demo", repoNamespace="${TARGET_NAMESPACE}")
    assert specs(world) == specs(opted_in())


@pytest.mark.parametrize("snapshots", [True, False])
def test_moving_to_another_namespace_and_back(snapshots: bool) -> None:
    world = opted_in()
    if snapshots:
        world.back_up(repo())
    world.respec("nightly", backupNamespace="vault")
    plan = world.reconcile(SHOP)
    assert [type(step) for step in plan.steps][-1] is Delete, "the old goes when the new is there"
    assert [obj["metadata"]["namespace"] for obj in world.configurations()] == ["vault"]
    assert serving(world, "demo-deploy-shop", "vault")["metadata"]["namespace"] == "vault"
    assert repo() in world.objects, "a Repository is never deleted"
    assert successor(world.objects[repo()]) == "vault/demo-deploy-shop"
    settled(world)
    world.respec("nightly", backupNamespace=None)
    world.converge(SHOP)
    assert serving(world) == world.objects[repo()]
    assert len(world.configurations()) == 1
    settled(world)


@pytest.mark.parametrize("crash", range(5))
def test_a_move_that_is_cut_off_is_completed(crash: int) -> None:
    def moved() -> World:
        world = opted_in()
        world.respec("nightly", backupNamespace="runs", repoNamespace="vault")
        return world

    completed_after(crash, moved)


def test_a_namespace_that_is_not_watched_is_refused() -> None:
    world = World(blueprint(repoNamespace="vault"), target())
    world.watched = {"demo"}
    outcome = refused(world)
    assert outcome.reason is Reason.NAMESPACE_NOT_WATCHED
    assert "'vault'" in outcome.message


@pytest.mark.parametrize("field", ["backupNamespace", "repoNamespace"])
@pytest.mark.parametrize("value", ["kube/system", "..", "Vault", "a.b", "x" * 64, "-a", "${TARGET_APP_TYPE}", "a b"])
def test_a_namespace_that_cannot_be_one_is_refused(field: str, value: str) -> None:
    world = World(blueprint(**{field: value}), target("AppBinding"))
    outcome = refused(world, Key("AppBinding", "demo", "shop"))
    assert outcome.reason is (Reason.VARIABLE_REJECTED if "$" in value else Reason.INVALID_BLUEPRINT)
    assert f"spec.{field}" in outcome.message


@pytest.mark.parametrize("value", ["a/b", "..", "Storage", "x" * 254, "${TARGET_APP_TYPE}", "a b"])
def test_a_storage_secret_that_cannot_be_one_is_refused(value: str) -> None:
    world = World(blueprint(backend=s3(secret=value)), target("AppBinding"))
    outcome = refused(world, Key("AppBinding", "demo", "shop"))
    assert outcome.reason is (Reason.VARIABLE_REJECTED if "$" in value else Reason.INVALID_BLUEPRINT)
    assert "spec.backend.storageSecretName" in outcome.message


# one location, one target


def test_the_second_claimant_of_a_location_is_refused_until_it_is_free() -> None:
    world = World(blueprint(backend=s3("shared")), target(), target("StatefulSet"))
    other = Key("StatefulSet", "demo", "shop")
    world.converge(SHOP)
    outcome = refused(world, other)
    assert outcome.reason is Reason.LOCATION_CONFLICT
    assert "Deployment demo/shop (Repository demo/deploy-shop)" in outcome.message
    assert "'shared'" in outcome.message
    world.annotate(SHOP, **{"backup-blueprint": None})
    world.converge(SHOP)
    assert refused(world, other).reason is Reason.LOCATION_CONFLICT, "the kept Repository still holds the data"
    world.delete(repo())
    world.converge(other)
    assert prefix(world.objects[repo("sts-shop")]) == "shared"


def test_two_claimants_before_any_cache_shows_the_first() -> None:
    world = World(blueprint(backend=s3("shared")), target(), target("StatefulSet"))
    with world.lag():
        world.reconcile(SHOP)
        assert refused(world, Key("StatefulSet", "demo", "shop")).reason is Reason.LOCATION_CONFLICT
        assert only(world.plan(SHOP)).state is State.CONFIGURED, "one's own claim is no conflict"
    assert names(world.repositories()) == ["deploy-shop"]


def test_spelling_does_not_make_another_location() -> None:
    world = World(
        blueprint(backend=s3("a//b/")), blueprint("other", backend=s3(" /a/b ")), target(),
        target("StatefulSet", annotated=opting_in("other")),
    )  # fmt: skip
    world.converge(SHOP)
    assert refused(world, Key("StatefulSet", "demo", "shop")).reason is Reason.LOCATION_CONFLICT


def test_a_nested_location_is_a_warning() -> None:
    world = World(
        blueprint(backend=s3("a/b")), blueprint("other", backend=s3("a/b/c")), target(),
        target("StatefulSet", annotated=opting_in("other")),
    )  # fmt: skip
    world.converge()
    for key in world.targets():
        assert [note.reason for note in only(world.plan(key)).warnings] == [Reason.LOCATION_NESTED]
    assert "demo/sts-shop" in only(world.plan(SHOP)).warnings[0].message


def test_a_location_that_somebody_uses_by_hand_is_a_warning() -> None:
    world = World(
        blueprint(), target(), repository("mine", namespace="blog", prefix="stash-backup/demo/deployment/shop")
    )
    world.converge(SHOP)
    (note,) = only(world.plan(SHOP)).warnings
    assert note.reason is Reason.LOCATION_SHARED
    assert "blog/mine" in note.message


def test_a_repository_of_somebody_else_does_not_serve_and_is_not_marked() -> None:
    world = World(blueprint(), target(), repository("mine", prefix="stash-backup/demo/deployment/shop"))
    world.back_up(repo("mine"))
    world.converge(SHOP)
    assert serving(world)["metadata"]["name"] == "deploy-shop"
    assert "annotations" not in world.objects[repo("mine")]["metadata"]


def test_the_first_holder_of_a_location_is_not_pushed_out_by_a_later_one() -> None:
    """Whoever may write Repositories can copy our marks and a location; the target that has it keeps it."""
    world = opted_in()
    forged = repository("forged", namespace="evil", prefix="stash-backup/demo/deployment/shop")
    forged["metadata"]["labels"] = {marks.MANAGED_BY: marks.PRODUCT}
    forged["metadata"]["annotations"] = {marks.TARGET: "Deployment/evil/x", marks.BLUEPRINT: "nightly"}
    world.create(forged)
    world.respec("nightly", schedule="@daily")
    assert only(world.reconcile(SHOP)).state is State.CONFIGURED
    assert world.objects[bc()]["spec"]["schedule"] == "@daily"


# what the field ownership of an object says


def test_an_object_of_ours_whose_field_owners_were_lost_is_applied_again() -> None:
    """A restore from a backup of the cluster strips managedFields."""
    world = opted_in()
    for key in (repo(), bc()):
        world.edit(key, lambda obj: obj["metadata"].update(managedFields=[]))
        world.objects[key]["metadata"]["managedFields"] = []
    world.refresh()
    assert len(world.reconcile(SHOP).steps) == 2
    settled(world)


def test_what_a_server_makes_of_an_apply_is_applied_once() -> None:
    world = World(blueprint(timeOut="30m"), target())
    world.pruned = {"timeOut"}
    world.converge(SHOP)
    assert "timeOut" not in world.objects[bc()]["spec"]
    assert world.plan(SHOP).steps == ()


def test_names_of_marks_are_read_back() -> None:
    world = opted_in()
    mark = marks.read(world.objects[bc()]["metadata"])
    assert mark == marks.Mark(deployment_key(), "nightly", world.objects[SHOP]["metadata"]["uid"])
    assert NIGHTLY.name == mark.blueprint
