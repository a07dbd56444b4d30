"""The life of a target, event by event: what exists afterwards, and that a second look finds nothing to do.

Each test is a row of the behaviour that users of Stash know, as improved by the decisions of the design.
"""

from __future__ import annotations

from typing import Any

import pytest

from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.kinds import TARGETS
from reconcilers.plan import Apply, Delete, Plan, State
from reconcilers.reasons import Reason
from tests.reconcilers.objects import (
    blueprint,
    opting_in,
    pods,
    s3,
    target,
)
from tests.reconcilers.sights import NIGHTLY, SHOP, bc, events, names, only, opted_in, prefix, refused, repo, settled
from tests.reconcilers.world import World

# opting in


def test_an_annotated_deployment_gets_repository_and_configuration() -> None:
    world = World(blueprint(), target())
    plan = world.reconcile(SHOP)

    assert events(plan) == [Reason.REPOSITORY_CREATED, Reason.CONFIGURATION_CREATED]
    assert [type(step) for step in plan.steps] == [Apply, Apply]
    assert only(plan).state is State.CONFIGURED
    assert only(plan).repository == only(plan).configuration == ObjectKey("demo", "deploy-shop")
    assert only(plan).storage_secret == ObjectKey("demo", "storage")
    assert only(plan).warnings == ()
    assert world.objects[repo()]["spec"] == {"backend": s3("stash-backup/demo/deployment/shop")}
    assert world.objects[bc()]["spec"] == {
        "repository": {"name": "deploy-shop"},
        "schedule": "0 2 * * *",
        "retentionPolicy": {"name": "keep-last-5", "keepLast": 5, "prune": True},
        "target": {
            "ref": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
            "paths": ["/srv/data"],
            "volumeMounts": [{"name": "data", "mountPath": "/srv/data"}],
        },
    }
    settled(world)


def test_generated_objects_carry_our_marks_and_nothing_of_the_target() -> None:
    world = opted_in()
    uid = world.objects[SHOP]["metadata"]["uid"]
    identity = {marks.TARGET: "Deployment/demo/shop", marks.BLUEPRINT: "nightly"}
    labels = {
        "app.kubernetes.io/managed-by": "autobackup",
        marks.BLUEPRINT: "nightly",
        marks.TARGET_KIND: "Deployment",
        marks.TARGET_NAME: "shop",
    }
    held, configured = world.objects[repo()]["metadata"], world.objects[bc()]["metadata"]
    assert held["labels"] == configured["labels"] == labels
    space = {marks.NAMESPACE_UID: "uid-of-demo"}
    assert held["annotations"] == identity | space, "a Repository outlives its target and knows no uid of it"
    recorded = configured["annotations"].pop(marks.POD_TEMPLATE)
    assert recorded.startswith('{"generation":1,')
    assert configured["annotations"] == {**identity, marks.TARGET_UID: uid}
    assert "ownerReferences" not in held
    assert configured["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": uid, "controller": True}
    ]


def test_nothing_is_written_to_the_target() -> None:
    world = World(blueprint(), target())
    before = world.objects[SHOP]["metadata"]["resourceVersion"]
    world.converge(SHOP)
    world.annotate(SHOP, **{"backup-blueprint": None})
    edited = world.objects[SHOP]["metadata"]["resourceVersion"]
    world.converge(SHOP)
    assert before != edited == world.objects[SHOP]["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("kind", "name", "paths"),
    [
        ("Deployment", "deploy-shop", ["/srv/data"]),
        ("StatefulSet", "sts-shop", ["/srv/data"]),
        ("DaemonSet", "ds-shop", ["/srv/data"]),
        ("ReplicaSet", "replicaset-shop", ["/srv/data"]),
        ("ReplicationController", "rc-shop", ["/srv/data"]),
        ("DeploymentConfig", "deploymentconfig-shop", ["/srv/data"]),
        ("PersistentVolumeClaim", "pvc-shop", None),
        ("AppBinding", "app-shop", None),
    ],
)
def test_every_kind_of_target(kind: str, name: str, paths: list[str] | None) -> None:
    world = World(blueprint(), target(kind))
    key = Key(kind, "demo", "shop")
    world.converge(key)
    assert names(world.repositories()) == names(world.configurations()) == [name]
    assert prefix(world.repositories()[0]) == f"stash-backup/demo/{kind.lower()}/shop"
    found = world.configurations()[0]["spec"]["target"]
    assert found["ref"] == {"apiVersion": TARGETS[kind].resource.api_version, "kind": kind, "name": "shop"}
    assert found.get("paths") == paths
    assert world.configurations()[0]["metadata"]["ownerReferences"][0]["kind"] == kind
    settled(world)


def test_the_first_configuration_of_a_volume_takes_two_writes_and_no_read() -> None:
    world = World(blueprint(), target("PersistentVolumeClaim"))
    plan = world.reconcile(Key("PersistentVolumeClaim", "demo", "shop"))
    assert (len(plan.steps), world.template_reads) == (2, 0)


@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController"])
def test_what_a_controller_owns_is_no_target(kind: str) -> None:
    owned = target(kind)
    owned["metadata"]["ownerReferences"] = [{"kind": "Deployment", "name": "shop", "uid": "1", "controller": True}]
    world = World(blueprint(), owned)
    assert world.plan(Key(kind, "demo", "shop")) == Plan()


def test_a_deployment_owned_by_an_operator_is_a_target() -> None:
    owned = target()
    owned["metadata"]["ownerReferences"] = [{"kind": "Shop", "name": "shop", "uid": "1", "controller": True}]
    world = World(blueprint(), owned)
    assert only(world.reconcile(SHOP)).state is State.CONFIGURED


# the blueprint comes late, changes, goes


def test_blueprint_missing_then_created() -> None:
    world = World(target())
    outcome = refused(world)
    assert outcome.reason is Reason.BLUEPRINT_NOT_FOUND
    assert "'nightly'" in outcome.message
    world.create(blueprint())
    world.converge(SHOP)
    assert names(world.configurations()) == ["deploy-shop"]


def test_blueprint_deleted_keeps_everything() -> None:
    world = opted_in()
    world.delete(NIGHTLY)
    before = dict(world.objects)
    assert refused(world).reason is Reason.BLUEPRINT_NOT_FOUND
    assert world.objects == before


@pytest.mark.parametrize(
    ("changed", "read"),
    [
        ({"backup-blueprint": "missing"}, 0),
        ({"schedule": "noon"}, 0),
        ({"target-paths": "relative"}, 0),
        ({"target-paths": "/elsewhere"}, 1),
        ({"backup-blueprint": "missing,nightly"}, 1),
    ],
)
def test_a_pod_template_is_read_only_when_nothing_else_is_wrong(changed: dict[str, str], read: int) -> None:
    world = World(blueprint(), target())
    world.annotate(SHOP, **changed)
    world.converge(SHOP)
    assert world.template_reads == read


def test_opting_out_works_without_the_blueprint() -> None:
    world = opted_in()
    world.delete(NIGHTLY)
    world.annotate(SHOP, **{"backup-blueprint": None})
    world.converge(SHOP)
    assert names(world.configurations()) == []
    assert names(world.repositories()) == ["deploy-shop"]


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"schedule": "0 4 * * *"}, "schedule", "0 4 * * *"),
        ({"schedule": None}, "schedule", None),
        ({"retentionPolicy": {"name": "x", "prune": False}}, "retentionPolicy", {"name": "x", "prune": False}),
        ({"backupHistoryLimit": 3}, "backupHistoryLimit", 3),
        ({"timeOut": "30m"}, "timeOut", "30m"),
        ({"retryConfig": {"maxRetry": 2, "delay": "1m"}}, "retryConfig", {"maxRetry": 2, "delay": "1m"}),
        ({"task": {"name": "t-${TARGET_KIND}"}}, "task", {"name": "t-deployment"}),
        ({"tempDir": {"medium": "Memory"}}, "tempDir", {"medium": "Memory"}),
        ({"runtimeSettings": {"pod": {"nodeName": "n"}}}, "runtimeSettings", {"pod": {"nodeName": "n"}}),
        ({"hooks": {"preBackup": {"exec": {"command": ["sh", "-c", "echo ${HOME} $${X}"]}}}}, "hooks", ...),
        ({"interimVolumeTemplate": {"metadata": {"name": "${TARGET_NAME}-t"}}}, "interimVolumeTemplate", ...),
    ],
)
def test_a_blueprint_edit_reaches_the_target(change: dict[str, Any], field: str, value: Any) -> None:
    world = opted_in()
    world.respec("nightly", **change)
    plan = world.reconcile(SHOP)
    assert events(plan) == [Reason.CONFIGURATION_UPDATED]
    expected = {
        "hooks": change.get("hooks"),
        "interimVolumeTemplate": {"metadata": {"name": "shop-t"}},
    }.get(field, value)
    assert world.objects[bc()]["spec"].get(field) == expected
    settled(world)
    world.respec(
        "nightly", **{name: {"schedule": "0 2 * * *"}.get(name) for name in change if name != "retentionPolicy"}
    )
    world.converge(SHOP)
    settled(world)
    if field not in ("schedule", "retentionPolicy"):
        assert field not in world.objects[bc()]["spec"], "what the blueprint no longer says is removed"


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"wipeOut": True}, "wipeOut", True),
        (
            {"usagePolicy": {"allowedNamespaces": {"from": "All"}}},
            "usagePolicy",
            {"allowedNamespaces": {"from": "All"}},
        ),
    ],
)
def test_a_blueprint_edit_reaches_the_repository(change: dict[str, Any], field: str, value: Any) -> None:
    world = opted_in()
    world.back_up(repo())
    world.respec("nightly", **change)
    plan = world.reconcile(SHOP)
    assert events(plan) == [Reason.REPOSITORY_UPDATED]
    assert world.objects[repo()]["spec"][field] == value
    world.respec("nightly", **{field: None})
    world.converge(SHOP)
    assert field not in world.objects[repo()]["spec"]
    settled(world)


def test_an_edit_that_resolves_to_the_same_writes_nothing() -> None:
    world = opted_in()
    world.respec("nightly", schedule="  0  2 * * * ")
    settled(world)


def test_a_blueprint_that_turns_invalid_leaves_the_last_good_objects() -> None:
    world = opted_in()
    before = dict(world.objects)
    world.respec("nightly", schedule="every day", backend=s3("${TARGET_NAMESPACE}/${TARGET_NOPE}"))
    outcome = refused(world)
    assert outcome.reason is Reason.INVALID_BLUEPRINT
    assert "TARGET_NOPE" in outcome.message
    assert "every day" in outcome.message
    assert {key: obj for key, obj in world.objects.items() if key != NIGHTLY} == {
        key: obj for key, obj in before.items() if key != NIGHTLY
    }
    world.respec("nightly", schedule="0 5 * * *", backend=s3())
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["schedule"] == "0 5 * * *"


# opting out and returning


def test_opt_out_deletes_the_configuration_and_keeps_the_repository() -> None:
    world = opted_in()
    world.back_up(repo())
    kept = world.objects[repo()]
    world.annotate(SHOP, **{"backup-blueprint": None})
    plan = world.reconcile(SHOP)
    assert events(plan) == [Reason.CONFIGURATION_DELETED]
    assert [type(step) for step in plan.steps] == [Delete]
    assert plan.outcomes == ()
    assert bc() not in world.objects
    assert world.objects[repo()] == kept
    settled(world)
    world.annotate(SHOP, **{"backup-blueprint": "nightly"})
    plan = world.reconcile(SHOP)
    assert events(plan) == [Reason.CONFIGURATION_CREATED]
    assert world.objects[repo()] == kept, "the same Repository serves again"
    settled(world)


def test_removal_of_paths_and_mounts_is_no_opt_out() -> None:
    world = World(blueprint(), target(annotated=opting_in(target_paths="/srv/data/a", volume_mounts="data:/srv/data")))
    world.converge(SHOP)
    world.annotate(SHOP, target_paths=None, volume_mounts=None)
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["target"]["paths"] == ["/srv/data"]


def test_a_deletion_is_taken_back_when_the_target_turns_out_to_want_it() -> None:
    world = opted_in()
    with world.lag():
        world.annotate(SHOP, **{"backup-blueprint": None})
    plan = world.plan(SHOP)
    world.annotate(SHOP, **{"backup-blueprint": "nightly"})
    world.execute(plan)
    assert bc() in world.objects


# the target goes and comes back


def test_target_deleted() -> None:
    world = opted_in()
    world.delete(SHOP)
    world.converge()
    assert names(world.configurations()) == []
    assert names(world.repositories()) == ["deploy-shop"]
    settled(world)


def test_target_being_deleted_is_left_alone() -> None:
    world = opted_in()
    world.edit(SHOP, lambda obj: obj["metadata"].update(finalizers=["x"]))
    world.delete(SHOP)
    plan = world.plan(SHOP)
    assert (plan.steps, plan.outcomes) == ((), ())


@pytest.mark.parametrize("collected", [True, False])
def test_target_recreated_gets_the_same_repository(collected: bool) -> None:
    world = opted_in()
    world.back_up(repo())
    kept = world.objects[repo()]
    world.delete(SHOP)
    if collected:
        world.collect_garbage()
    uid = world.create(target())["metadata"]["uid"]
    world.converge(SHOP)
    assert world.objects[repo()] == kept
    found = world.objects[bc()]["metadata"]
    assert [owner["uid"] for owner in found["ownerReferences"]] == [uid]
    assert found["annotations"][marks.TARGET_UID] == uid
    settled(world)
    world.collect_garbage()
    assert bc() in world.objects


def test_a_record_of_an_earlier_life_of_the_target_is_not_believed() -> None:
    world = opted_in()
    world.delete(SHOP)
    world.create(target(spec=pods(mounts={"other": "/other"})))
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["target"]["paths"] == ["/other"]


def test_a_kind_that_is_not_served_deletes_nothing() -> None:
    key = Key("AppBinding", "demo", "shop")
    world = World(blueprint(), target("AppBinding"))
    world.converge(key)
    world.vanish(key)
    world.missing_kinds.add("AppBinding")
    assert world.plan(key) == Plan()
    world.missing_kinds.clear()
    assert [type(step) for step in world.plan(key).steps] == [Delete]


def test_a_target_in_a_namespace_that_is_not_watched_any_more_is_not_taken_for_deleted() -> None:
    world = opted_in(backupNamespace="vault")
    world.watched = {"vault"}
    world.vanish(SHOP)
    assert world.plan(SHOP) == Plan()


def test_a_mark_of_an_unknown_kind_deletes_nothing() -> None:
    world = opted_in()
    world.edit(bc(), lambda obj: obj["metadata"]["annotations"].update({marks.TARGET: "Nope/demo/shop"}))
    assert world.plan(Key("Nope", "demo", "shop")) == Plan()
