"""Which Repository serves when the backend or the blueprint changes, and what becomes of the one before."""

from __future__ import annotations

import pytest

from reconcilers import marks
from reconcilers.reasons import Reason
from tests.reconcilers import ssa
from tests.reconcilers.objects import blueprint, s3, target
from tests.reconcilers.sights import (
    SHOP,
    bc,
    completed_after,
    events,
    names,
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


# the backend of the blueprint changes


def test_an_unused_repository_is_repointed() -> None:
    world = opted_in()
    uid = world.objects[repo()]["metadata"]["uid"]
    world.respec("nightly", backend=s3(OTHER))
    plan = world.reconcile(SHOP)
    assert events(plan) == [Reason.REPOSITORY_UPDATED]
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
    assert events(plan) == [
        Reason.REPOSITORY_SUCCEEDED,
        Reason.CONFIGURATION_UPDATED,
        None,
    ]
    assert world.objects[repo()]["spec"] == spec, "a Repository that holds snapshots is never repointed"
    assert prefix(serving(world)) == "other/demo/deployment/shop"
    assert successor(world.objects[repo()]) == f"demo/{serving(world)['metadata']['name']}"
    assert len(world.repositories()) == 2
    settled(world)


def test_a_first_backup_that_no_cache_shows_yet_is_seen_by_the_server() -> None:
    """The Repository looked empty when the plan was made; pointed elsewhere, its snapshots would have been lost."""
    world = opted_in()
    world.respec("nightly", backend=s3(OTHER))
    plan = world.plan(SHOP)
    world.back_up(repo())
    with pytest.raises(ssa.ConflictError):
        world.execute(plan)
    world.converge(SHOP)
    assert prefix(world.objects[repo()]) == "stash-backup/demo/deployment/shop"
    assert prefix(serving(world)) == "other/demo/deployment/shop"
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
    assert events(plan) == [Reason.REPOSITORY_UPDATED]
    assert world.objects[repo()]["spec"]["backend"]["storageSecretName"] == "rotated"
    settled(world)


@pytest.mark.parametrize("crash", range(4))
def test_a_succession_that_is_cut_off_is_completed(crash: int) -> None:
    def succeeded() -> World:
        world = opted_in()
        world.back_up(repo())
        world.respec("nightly", backend=s3(OTHER))
        return world

    settled(completed_after(crash, succeeded))


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
    assert events(plan) == [Reason.REPOSITORY_UPDATED, Reason.CONFIGURATION_UPDATED]
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
