"""Which Repository serves: changed backends and blueprints, several blueprints, other namespaces, taken locations."""

from __future__ import annotations

from typing import Any

import pytest

from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.plan import Delete, State
from reconcilers.reasons import Reason
from tests.reconcilers.objects import annotations, blueprint, deployment_key, repository, s3, target
from tests.reconcilers.sights import (
    NIGHTLY,
    SHOP,
    bc,
    names,
    only,
    opted_in,
    prefix,
    refused,
    repo,
    serving,
    settled,
    successor,
)
from tests.reconcilers.world import World

OTHER = "other/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"
THIRD = "third/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"


# the backend of the blueprint changes


def test_an_unused_repository_is_repointed() -> None:
    world = opted_in()
    uid = world.objects[repo()]["metadata"]["uid"]
    world.respec("nightly", backend=s3(OTHER))
    plan = world.reconcile(SHOP)
    assert [step.event for step in plan.steps] == [Reason.REPOSITORY_UPDATED]
    assert prefix(world.objects[repo()]) == "other/demo/deployment/shop"
    assert world.objects[repo()]["metadata"]["uid"] == uid
    assert names(world.repositories()) == ["deploy-shop"]
    settled(world)


def test_a_repository_with_snapshots_gets_a_successor() -> None:
    world = opted_in()
    world.back_up(repo())
    spec = world.objects[repo()]["spec"]
    world.respec("nightly", backend=s3(OTHER))
    plan = world.reconcile(SHOP)
    assert [step.event for step in plan.steps] == [
        Reason.REPOSITORY_SUCCEEDED,
        None,
        Reason.CONFIGURATION_UPDATED,
    ]
    assert world.objects[repo()]["spec"] == spec, "a Repository that holds snapshots is never repointed"
    assert prefix(serving(world)) == "other/demo/deployment/shop"
    assert successor(world.objects[repo()]) == f"demo/{serving(world)['metadata']['name']}"
    assert len(world.repositories()) == 2
    settled(world)


def test_changed_back_the_old_repository_serves_again() -> None:
    world = opted_in()
    world.back_up(repo())
    world.respec("nightly", backend=s3(OTHER))
    world.converge(SHOP)
    second = repo(serving(world)["metadata"]["name"])
    world.back_up(second)
    world.respec("nightly", backend=s3())
    world.converge(SHOP)
    assert serving(world) == world.objects[repo()]
    assert successor(world.objects[repo()]) == ""
    assert successor(world.objects[second]) == "demo/deploy-shop"
    assert len(world.repositories()) == 2
    settled(world)


def test_each_changed_backend_gets_one_repository_however_often_it_returns() -> None:
    world = opted_in()
    for backend in (s3(OTHER), s3(THIRD), s3(), s3(OTHER), s3(THIRD), s3()):
        for held in world.repositories():
            world.back_up(repo(held["metadata"]["name"]))
        world.respec("nightly", backend=backend)
        world.converge(SHOP)
        settled(world)
    assert len(world.repositories()) == 3
    assert serving(world) == world.objects[repo()]
    assert [successor(held) for held in world.repositories()].count("") == 1


def test_a_changed_secret_or_endpoint_spelling_is_no_changed_location() -> None:
    world = opted_in()
    world.back_up(repo())
    backend = s3(secret="rotated")
    backend["s3"]["endpoint"] = "https://S3.amazonaws.com/"
    backend["s3"]["prefix"] = "/" + backend["s3"]["prefix"] + "//"
    world.respec("nightly", backend=backend)
    plan = world.reconcile(SHOP)
    assert [step.event for step in plan.steps] == [Reason.REPOSITORY_UPDATED]
    assert world.objects[repo()]["spec"]["backend"]["storageSecretName"] == "rotated"
    settled(world)


@pytest.mark.parametrize("crash", range(4))
def test_a_succession_that_is_cut_off_is_completed(crash: int) -> None:
    whole, cut = opted_in(), opted_in()
    for world in (whole, cut):
        world.back_up(repo())
        world.respec("nightly", backend=s3(OTHER))
    whole.converge(SHOP)
    cut.execute(cut.plan(SHOP), steps=crash)
    cut.restart()
    cut.converge(SHOP)
    assert specs(cut) == specs(whole)
    settled(cut)


def specs(world: World) -> dict[Key, Any]:
    """Everything about the generated objects that a person would compare."""
    return {
        Key(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): (
            obj["spec"],
            obj["metadata"]["labels"],
            obj["metadata"]["annotations"],
        )
        for obj in world.repositories() + world.configurations()
    }


# the annotation names another blueprint


def switched(*, snapshots: bool) -> World:
    world = World(blueprint(), blueprint("hourly", backend=s3(OTHER), schedule="@hourly"), target())
    world.converge(SHOP)
    if snapshots:
        world.back_up(repo())
    world.annotate(SHOP, **{"backup-blueprint": "hourly"})
    return world


def test_another_blueprint_without_snapshots() -> None:
    world = switched(snapshots=False)
    plan = world.reconcile(SHOP)
    assert [step.event for step in plan.steps] == [Reason.REPOSITORY_UPDATED, Reason.CONFIGURATION_UPDATED]
    assert names(world.repositories()) == names(world.configurations()) == ["deploy-shop"]
    assert prefix(world.objects[repo()]) == "other/demo/deployment/shop"
    assert world.objects[bc()]["spec"]["schedule"] == "@hourly"
    assert world.objects[bc()]["metadata"]["labels"][marks.BLUEPRINT] == "hourly"
    settled(world)


def test_another_blueprint_with_snapshots_and_back() -> None:
    world = switched(snapshots=True)
    kept = world.objects[repo()]
    uid = world.objects[bc()]["metadata"]["uid"]
    world.converge(SHOP)
    assert world.objects[repo()]["spec"] == kept["spec"]
    assert prefix(serving(world)) == "other/demo/deployment/shop"
    assert world.objects[bc()]["metadata"]["uid"] == uid, "the BackupConfiguration is kept, with its history"
    second = serving(world)["metadata"]["name"]
    assert successor(world.objects[repo()]) == f"demo/{second}"
    settled(world)
    world.annotate(SHOP, **{"backup-blueprint": "nightly"})
    world.converge(SHOP)
    assert serving(world) == world.objects[repo()]
    assert serving(world)["spec"] == kept["spec"]
    settled(world)


def test_another_blueprint_of_the_same_backend_keeps_the_repository() -> None:
    world = World(blueprint(), blueprint("hourly", schedule="@hourly"), target())
    world.converge(SHOP)
    world.back_up(repo())
    world.annotate(SHOP, **{"backup-blueprint": "hourly"})
    world.converge(SHOP)
    assert names(world.repositories()) == ["deploy-shop"]
    assert world.objects[repo()]["metadata"]["annotations"][marks.BLUEPRINT] == "hourly"
    settled(world)


def test_a_missing_blueprint_keeps_what_was_there() -> None:
    world = opted_in()
    before = specs(world)
    world.annotate(SHOP, **{"backup-blueprint": "nihgtly"})
    assert refused(world).reason is Reason.BLUEPRINT_NOT_FOUND
    assert specs(world) == before
    world.annotate(SHOP, **{"backup-blueprint": "nightly"})
    settled(world)


def test_an_invalid_blueprint_keeps_what_was_there() -> None:
    world = opted_in()
    world.create(blueprint("hourly", schedule="hourly"))
    world.annotate(SHOP, **{"backup-blueprint": "hourly"})
    assert refused(world).reason is Reason.INVALID_BLUEPRINT


# several blueprints


def several(*listed: str) -> World:
    world = World(
        blueprint(),
        blueprint("hourly", backend=s3(OTHER), schedule="@hourly"),
        blueprint("weekly", backend=s3(THIRD), schedule="@weekly"),
        target(annotated=annotations(",".join(listed))),
    )
    world.converge(SHOP)
    return world


def test_several_blueprints_get_a_pair_each() -> None:
    world = several("nightly", " hourly")
    pair = ["deploy-shop-hourly", "deploy-shop-nightly"]
    assert names(world.repositories()) == names(world.configurations()) == pair
    assert {prefix(held) for held in world.repositories()} == {
        "stash-backup/demo/deployment/shop",
        "other/demo/deployment/shop",
    }
    for name in pair:
        assert serving(world, name) == world.objects[repo(name)]
    assert world.template_reads == 1
    settled(world)


def test_a_second_blueprint_leaves_the_first_its_names() -> None:
    world = several("nightly")
    before = specs(world)
    world.annotate(SHOP, **{"backup-blueprint": "nightly,hourly"})
    world.converge(SHOP)
    assert names(world.configurations()) == names(world.repositories()) == ["deploy-shop", "deploy-shop-hourly"]
    assert {key: value for key, value in specs(world).items() if key in before} == before
    settled(world)
    world.annotate(SHOP, **{"backup-blueprint": "hourly"})
    world.converge(SHOP)
    assert names(world.configurations()) == ["deploy-shop-hourly"]
    assert names(world.repositories()) == ["deploy-shop", "deploy-shop-hourly"]
    settled(world)
    world.annotate(SHOP, **{"backup-blueprint": "hourly,nightly"})
    world.converge(SHOP)
    assert serving(world, "deploy-shop-nightly") == world.objects[repo()], "the kept Repository serves again"
    assert successor(world.objects[repo()]) == ""
    settled(world)


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("left", ["hourly,weekly", "weekly,hourly", "nightly,weekly", "nightly", "weekly"])
def test_one_of_three_goes(left: str, snapshots: bool) -> None:
    world = several("nightly", "hourly", "weekly")
    for held in world.repositories() if snapshots else ():
        world.back_up(repo(held["metadata"]["name"]))
    before = {held["metadata"]["name"]: held["spec"] for held in world.repositories()}
    world.annotate(SHOP, **{"backup-blueprint": left})
    world.converge(SHOP)
    assert names(world.configurations()) == sorted(f"deploy-shop-{name}" for name in left.split(","))
    assert {held["metadata"]["name"]: held["spec"] for held in world.repositories()} == before
    settled(world)


def test_one_bad_blueprint_does_not_stand_in_the_way_of_the_others() -> None:
    world = several("nightly", "missing", "hourly")
    assert [outcome.state for outcome in world.outcomes[SHOP]] == [State.CONFIGURED, State.FAILED, State.CONFIGURED]
    assert names(world.configurations()) == ["deploy-shop-hourly", "deploy-shop-nightly"]


def test_a_replacement_that_cannot_be_used_yet_spares_what_it_replaces() -> None:
    world = several("nightly", "hourly")
    world.annotate(SHOP, **{"backup-blueprint": "hourly,missing"})
    world.converge(SHOP)
    assert "deploy-shop-nightly" in names(world.configurations())
    world.annotate(SHOP, **{"backup-blueprint": "hourly"})
    world.converge(SHOP)
    assert names(world.configurations()) == ["deploy-shop-hourly"]


def test_one_blueprint_replaced_by_two() -> None:
    for snapshots in (True, False):
        world = several("nightly")
        if snapshots:
            world.back_up(repo())
        world.annotate(SHOP, **{"backup-blueprint": "hourly,weekly"})
        world.converge(SHOP)
        found = {prefix(serving(world, name)) for name in names(world.configurations())}
        assert found == {"other/demo/deployment/shop", "third/demo/deployment/shop"}
        assert len(world.configurations()) == 2
        settled(world)


def test_two_blueprints_of_one_location_are_refused_for_the_second() -> None:
    world = World(blueprint(), blueprint("twin"), target(annotated=annotations("nightly,twin")))
    world.converge(SHOP)
    first, second = world.outcomes[SHOP]
    assert (first.state, second.reason) == (State.CONFIGURED, Reason.LOCATION_CONFLICT)
    assert len(world.repositories()) == 1
    settled(world)


@pytest.mark.parametrize("crash", range(7))
def test_several_blueprints_survive_a_crash_after_every_write(crash: int) -> None:
    whole, cut = several("nightly"), several("nightly")
    for world in (whole, cut):
        world.back_up(repo())
        world.annotate(SHOP, **{"backup-blueprint": "hourly,weekly"})
    whole.converge(SHOP)
    cut.execute(cut.plan(SHOP), steps=crash)
    cut.restart()
    cut.converge(SHOP)
    assert specs(cut) == specs(whole)


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
    whole, cut = opted_in(), opted_in()
    for world in (whole, cut):
        world.respec("nightly", backupNamespace="runs", repoNamespace="vault")
    whole.converge(SHOP)
    cut.execute(cut.plan(SHOP), steps=crash)
    cut.restart()
    cut.converge(SHOP)
    assert specs(cut) == specs(whole)


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
        target("StatefulSet", annotated=annotations("other")),
    )  # fmt: skip
    world.converge(SHOP)
    assert refused(world, Key("StatefulSet", "demo", "shop")).reason is Reason.LOCATION_CONFLICT


def test_a_nested_location_is_a_warning() -> None:
    world = World(
        blueprint(backend=s3("a/b")), blueprint("other", backend=s3("a/b/c")), target(),
        target("StatefulSet", annotated=annotations("other")),
    )  # fmt: skip
    world.converge()
    for key in world.targets():
        assert [note.reason for note in only(world.plan(key)).warnings] == [Reason.LOCATION_NESTED]
    assert "demo/sts-shop" in only(world.plan(SHOP)).warnings[0].message


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
