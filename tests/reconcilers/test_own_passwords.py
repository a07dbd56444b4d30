"""Repositories with a password of their own, and how a target waits for its copy."""

from __future__ import annotations

from typing import Any

import pytest

from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.plan import Note, State
from reconcilers.ports import SecretSight, SecretState
from reconcilers.reasons import Reason
from tests.reconcilers.objects import blueprint, s3, target
from tests.reconcilers.sights import SHOP, bc, only, repo
from tests.reconcilers.world import World

SOURCE = {"source": {"namespace": "vault", "name": "bucket"}}
NAME = "storage-${TARGET_KIND}-${TARGET_NAME}"
OWN: dict[str, Any] = {
    "backend": s3(secret=NAME),
    "storageSecret": {**SOURCE, "passwordPerRepository": True},
}
HERE, COPY = SecretSight(SecretState.FOUND), ObjectKey("demo", "storage")


def world_with(sight: SecretSight, **spec: Any) -> World:
    world = World(blueprint(**spec), target())
    key = ObjectKey("demo", "storage-deployment-shop") if "backend" in spec else COPY
    world.secrets[key] = sight
    return world


def test_a_repository_says_how_its_password_came_about() -> None:
    world = world_with(HERE, **OWN)
    plan = world.reconcile(SHOP)
    wish = only(plan).wish
    assert wish is not None
    row = world.repository(ObjectKey("demo", "deploy-shop"))
    assert row is not None
    assert wish.identity == f"v1 {row.location}"
    made = world.objects[repo()]
    assert made["metadata"]["annotations"][marks.PASSWORD] == "v1"


@pytest.mark.parametrize(("before", "after"), [({}, OWN), (OWN, {"backend": s3(), "storageSecret": None})])
def test_a_repository_with_snapshots_keeps_its_password(before: dict[str, Any], after: dict[str, Any]) -> None:
    world = world_with(HERE, **before)
    world.secrets[ObjectKey("demo", "storage-deployment-shop")] = HERE
    world.reconcile(SHOP)
    world.respec("nightly", **after)
    assert only(world.plan(SHOP)).state is State.CONFIGURED, "it holds nothing yet"
    world.back_up(repo())
    was = world.objects[repo()]["spec"]
    plan = world.reconcile(SHOP)
    assert (only(plan).reason, only(plan).state) == (Reason.PASSWORD_WOULD_CHANGE, State.FAILED)
    assert world.objects[repo()]["spec"] == was


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (SecretState.UNCHECKED, (State.WAITING, Reason.STORAGE_SECRET_PENDING)),
        (SecretState.MISSING, (State.FAILED, Reason.STORAGE_SECRET_NOT_COPIED)),
        (SecretState.FORBIDDEN, (State.FAILED, Reason.STORAGE_SECRET_FORBIDDEN)),
        (SecretState.CONFLICT, (State.FAILED, Reason.STORAGE_SECRET_CONFLICT)),
    ],
)
def test_a_new_target_waits_for_its_copy_and_a_configured_one_goes_on(
    state: SecretState, expected: tuple[State, Reason]
) -> None:
    world = world_with(SecretSight(state, note="example"), storageSecret=SOURCE)
    plan = world.reconcile(SHOP)
    assert (only(plan).state, only(plan).reason) == expected
    assert repo() in world.objects, "the Repository is what the copy is found by"
    assert bc() not in world.objects
    wish = only(plan).wish
    assert wish is not None
    assert only(plan).storage_secret == COPY
    world.secrets[COPY] = HERE
    assert only(world.reconcile(SHOP)).state is State.CONFIGURED
    assert bc() in world.objects
    world.secrets[COPY] = SecretSight(state, note="example")
    after = only(world.reconcile(SHOP))
    assert after.state is State.CONFIGURED
    assert (Note(expected[1], "example") in after.warnings) is True


def test_the_source_itself_is_no_copy() -> None:
    world = World(blueprint(storageSecret={"source": {"namespace": "demo", "name": "storage"}}), target())
    assert only(world.reconcile(SHOP)).wish is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"storageSecret": {}}, "does not name a Secret"),
        ({"storageSecret": {"source": {"namespace": "A", "name": "b"}}}, "does not name a Secret"),
        ({"storageSecret": SOURCE, "backend": s3(secret="s-${TARGET_NAME}")}, "has variables"),
        ({"storageSecret": {**SOURCE, "passwordPerRepository": True}}, "is the same for several repositories"),
    ],
)
def test_a_blueprint_that_cannot_be_meant(spec: dict[str, Any], said: str) -> None:
    outcome = only(World(blueprint(**spec), target()).reconcile(SHOP))
    assert outcome.reason is Reason.INVALID_BLUEPRINT
    assert said in outcome.message
