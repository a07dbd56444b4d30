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
from reconcilers.ports import SecretState
from reconcilers.reasons import Reason
from tests.reconcilers.objects import (
    annotations,
    blueprint,
    configuration,
    deployment_key,
    pods,
    repository,
    s3,
    target,
)
from tests.reconcilers.sights import NIGHTLY, SHOP, bc, names, only, opted_in, prefix, refused, repo, settled
from tests.reconcilers.world import World

# opting in


def test_an_annotated_deployment_gets_repository_and_configuration() -> None:
    world = World(blueprint(), target())
    plan = world.reconcile(SHOP)

    assert [(step.event, type(step)) for step in plan.steps] == [
        (Reason.REPOSITORY_CREATED, Apply),
        (Reason.CONFIGURATION_CREATED, Apply),
    ]
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
    assert held["annotations"] == identity, "a Repository outlives its target and knows no uid of it"
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
    assert [step.event for step in plan.steps] == [Reason.CONFIGURATION_UPDATED]
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
    assert [step.event for step in plan.steps] == [Reason.REPOSITORY_UPDATED]
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


# annotations


def test_schedule_annotation_overrides_and_returns() -> None:
    world = opted_in()
    world.annotate(SHOP, schedule=" */5  * * * * ")
    plan = world.reconcile(SHOP)
    assert len(plan.steps) == 1
    assert world.objects[bc()]["spec"]["schedule"] == "*/5 * * * *"
    settled(world)
    world.annotate(SHOP, schedule="at noon")
    outcome = refused(world)
    assert outcome.reason is Reason.INVALID_SCHEDULE
    assert "stash.appscode.com/schedule 'at noon'" in outcome.message
    assert world.objects[bc()]["spec"]["schedule"] == "*/5 * * * *"
    world.annotate(SHOP, schedule=None)
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["schedule"] == "0 2 * * *"


def test_no_schedule_anywhere_is_a_warning() -> None:
    world = opted_in(schedule=None)
    assert "schedule" not in world.objects[bc()]["spec"]
    assert [note.reason for note in only(world.plan(SHOP)).warnings] == [Reason.NO_SCHEDULE]


def test_paths_and_mounts_follow_the_annotations() -> None:
    world = World(blueprint(), target(spec=pods(mounts={"data": "/srv/data", "logs": "/var/log"})))
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["target"]["paths"] == ["/srv/data", "/var/log"]
    world.annotate(SHOP, target_paths="/srv/data/a, /srv/data/b/")
    world.converge(SHOP)
    found = world.objects[bc()]["spec"]["target"]
    assert found["paths"] == ["/srv/data/a", "/srv/data/b"]
    assert found["volumeMounts"] == [{"name": "data", "mountPath": "/srv/data"}]
    world.annotate(SHOP, target_paths=None, volume_mounts='["logs:/logs:nginx"]')
    world.converge(SHOP)
    found = world.objects[bc()]["spec"]["target"]
    assert found["paths"] == ["/logs"]
    assert found["volumeMounts"] == [{"name": "logs", "mountPath": "/logs", "subPath": "nginx"}]
    settled(world)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"target_paths": "relative"}, Reason.INVALID_ANNOTATION),
        ({"target_paths": "/elsewhere"}, Reason.PATH_NOT_MOUNTED),
        ({"volume_mounts": "data"}, Reason.INVALID_ANNOTATION),
        ({"volume_mounts": "nope:/srv"}, Reason.VOLUME_NOT_FOUND),
        ({"volume_mounts": "data:/srv", "target_paths": "/other"}, Reason.PATH_NOT_MOUNTED),
        ({"target_paths": ""}, Reason.INVALID_ANNOTATION),
        ({"backup_blueprint": ""}, Reason.INVALID_ANNOTATION),
        ({"backup_blueprint": "nightly,,"}, Reason.INVALID_ANNOTATION),
        ({"backup_blueprint": "Nightly"}, Reason.INVALID_ANNOTATION),
    ],
)
def test_a_bad_annotation_is_an_error_and_no_opt_out(changed: dict[str, str], reason: Reason) -> None:
    world = opted_in()
    before = (world.repositories(), world.configurations())
    world.annotate(SHOP, **changed)
    assert refused(world).reason is reason
    assert (world.repositories(), world.configurations()) == before
    world.annotate(SHOP, **{name: None if name != "backup_blueprint" else "nightly" for name in changed})
    assert only(world.reconcile(SHOP)).state is State.CONFIGURED


def test_params_of_a_database() -> None:
    key = Key("AppBinding", "demo", "shop")
    task = {"name": "postgres-backup-${TARGET_APP_VERSION}", "params": [{"name": "args", "value": "-v"}, {"name": "z"}]}
    world = World(blueprint(task=task), target("AppBinding"))
    world.annotate(key, **{"backup-blueprint": "nightly"})

    def change(obj: dict[str, Any]) -> None:
        obj["metadata"]["annotations"]["params.stash.appscode.com/args"] = "--all, --now ${TARGET_NAME}"
        obj["metadata"]["annotations"]["params.stash.appscode.com/new"] = ""

    world.edit(key, change)
    world.converge(key)
    assert world.configurations()[0]["spec"]["task"] == {
        "name": "postgres-backup-11.9",
        "params": [
            {"name": "args", "value": "--all, --now ${TARGET_NAME}"},
            {"name": "z"},
            {"name": "new", "value": ""},
        ],
    }
    settled(world)


def test_a_changed_appbinding_is_followed() -> None:
    key = Key("AppBinding", "demo", "shop")
    world = World(blueprint(task={"name": "t-${TARGET_APP_VERSION}"}), target("AppBinding"))
    world.converge(key)
    world.edit(key, lambda obj: obj["spec"].update(version="12.1"))
    world.converge(key)
    assert world.configurations()[0]["spec"]["task"]["name"] == "t-12.1"


@pytest.mark.parametrize(
    ("kind", "key", "said"),
    [
        ("Deployment", "stash.appscode.com/backup-bluprint", "did you mean stash.appscode.com/backup-blueprint?"),
        ("Deployment", "stash.appscode.com/target-path", "did you mean stash.appscode.com/target-paths?"),
        ("Deployment", "stash.appscode.com/qqqqqqqqqqqqqqqqqqqqqqqq", "is not known"),
        ("Deployment", "params.stash.appscode.com/args", "has no effect on a Deployment"),
        ("PersistentVolumeClaim", "stash.appscode.com/target-paths", "has no effect on a PersistentVolumeClaim"),
        ("AppBinding", "stash.appscode.com/volume-mounts", "has no effect on a AppBinding"),
    ],
)
def test_annotations_without_effect_are_told(kind: str, key: str, said: str) -> None:
    world = World(blueprint(), target(kind, annotated={**annotations(), key: "/x"}))
    outcome = only(world.reconcile(Key(kind, "demo", "shop")))
    assert outcome.state is State.CONFIGURED
    assert [note.reason for note in outcome.warnings] == [Reason.UNKNOWN_ANNOTATION]
    assert said in outcome.warnings[0].message


def test_annotations_of_stash_itself_mean_nothing_to_us() -> None:
    own = {
        "stash.appscode.com/last-applied-backup-invoker": "{}",
        "stash.appscode.com/last-applied-backup-invoker-kind": "BackupConfiguration",
        "stash.appscode.com/last-applied-restore-invoker-hash": "1",
    }
    world = World(blueprint(), target(annotated={**annotations(), **own}))
    assert only(world.reconcile(SHOP)).warnings == ()


# opting out and returning


def test_opt_out_deletes_the_configuration_and_keeps_the_repository() -> None:
    world = opted_in()
    world.back_up(repo())
    kept = world.objects[repo()]
    world.annotate(SHOP, **{"backup-blueprint": None})
    plan = world.reconcile(SHOP)
    assert [(type(step), step.event) for step in plan.steps] == [(Delete, Reason.CONFIGURATION_DELETED)]
    assert plan.outcomes == ()
    assert bc() not in world.objects
    assert world.objects[repo()] == kept
    settled(world)
    world.annotate(SHOP, **{"backup-blueprint": "nightly"})
    plan = world.reconcile(SHOP)
    assert [step.event for step in plan.steps] == [Reason.CONFIGURATION_CREATED]
    assert world.objects[repo()] == kept, "the same Repository serves again"
    settled(world)


def test_removal_of_paths_and_mounts_is_no_opt_out() -> None:
    world = World(
        blueprint(), target(annotated=annotations(target_paths="/srv/data/a", volume_mounts="data:/srv/data"))
    )
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


# storage Secret


@pytest.mark.parametrize(
    ("state", "warned"),
    [(SecretState.FOUND, []), (SecretState.MISSING, [Reason.STORAGE_SECRET_MISSING]), (SecretState.UNCHECKED, [])],
)
def test_storage_secret(state: SecretState, warned: list[Reason]) -> None:
    world = World(blueprint(), target())
    world.secrets[ObjectKey("demo", "storage")] = state
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
    assert [step.event for step in plan.steps] == [Reason.CONFIGURATION_UPDATED]
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
        target(name="a-b", annotated=annotations("c,b")),
        target(name="a", annotated=annotations("b-c,b")),
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
        target(name="a-b", annotated=annotations("c,z")),
        target(name="a", annotated=annotations("b-c,z")),
    )
    with world.lag():
        for key in (deployment_key("a-b"), deployment_key("a")):
            world.reconcile(key)
    assert len(world.repositories()) == 4
    world.converge()
    settled(world)
