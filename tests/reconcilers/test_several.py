"""Several blueprints on one target: a pair of objects each, and none stands in the way of another."""

from __future__ import annotations

import pytest

from informers.resource import ObjectKey
from reconcilers.keys import Key
from reconcilers.plan import State
from reconcilers.reasons import Reason
from reconcilers.repository import name_token, owner_of
from tests.reconcilers.objects import blueprint, opting_in, s3, target
from tests.reconcilers.sights import (
    SHOP,
    completed_after,
    events,
    names,
    opted_in,
    prefix,
    repo,
    serving,
    settled,
    specs,
    successor,
)
from tests.reconcilers.world import World

OTHER = "other/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"
THIRD = "third/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"


def several(*listed: str) -> World:
    world = World(
        blueprint(),
        blueprint("hourly", backend=s3(OTHER), schedule="@hourly"),
        blueprint("weekly", backend=s3(THIRD), schedule="@weekly"),
        target(annotated=opting_in(",".join(listed))),
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
    world = World(blueprint(), blueprint("twin"), target(annotated=opting_in("nightly,twin")))
    world.converge(SHOP)
    first, second = world.outcomes[SHOP]
    assert (first.state, second.reason) == (State.CONFIGURED, Reason.LOCATION_CONFLICT)
    assert len(world.repositories()) == 1
    settled(world)


@pytest.mark.parametrize("crash", range(7))
def test_several_blueprints_survive_a_crash_after_every_write(crash: int) -> None:
    def turned_to_others() -> World:
        world = several("nightly")
        world.back_up(repo())
        world.annotate(SHOP, **{"backup-blueprint": "hourly,weekly"})
        return world

    completed_after(crash, turned_to_others)


def test_what_one_blueprint_leaves_another_goes_on_with() -> None:
    """The old Repository is not written off by the first blueprint while the second takes it over."""
    world = several("nightly")
    world.back_up(repo())
    world.create(blueprint("again", schedule="@daily"))
    world.annotate(SHOP, **{"backup-blueprint": "hourly,again"})
    plan = world.reconcile(SHOP)
    assert events(plan) == [
        Reason.REPOSITORY_SUCCEEDED,
        Reason.CONFIGURATION_CREATED,
        Reason.REPOSITORY_UPDATED,
        Reason.CONFIGURATION_CREATED,
        Reason.CONFIGURATION_DELETED,
    ]
    assert serving(world, "deploy-shop-again") == world.objects[repo()]
    settled(world)


def test_what_a_blueprint_took_that_is_no_longer_named_stands_in_no_way() -> None:
    """Nothing is under way for a target while it is planned; an old claim of its own made it take another name."""
    world = opted_in()
    world.create(blueprint("hourly", backend=s3("hourly/${TARGET_NAME}")))
    world.annotate(SHOP, backup_blueprint="hourly")
    world.claimed[name_token(ObjectKey("demo", "deploy-shop"))] = owner_of(SHOP, "nightly")
    plan = world.reconcile(SHOP)
    assert [step.key.name for step in plan.steps] == ["deploy-shop", "deploy-shop"]
    settled(world)


def test_what_another_target_took_stays_taken() -> None:
    world = opted_in()
    world.annotate(SHOP, backup_blueprint=None)
    world.converge()
    world.vanish(repo())
    world.annotate(SHOP, backup_blueprint="nightly")
    world.claimed[name_token(ObjectKey("demo", "deploy-shop"))] = owner_of(Key("Deployment", "demo", "sho"), "nightly")
    plan = world.plan(SHOP)
    assert plan.steps[0].key.name != "deploy-shop"
