"""What the annotations of a target change, and what becomes of bad ones."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.keys import Key
from reconcilers.plan import State
from reconcilers.reasons import Reason
from tests.reconcilers.objects import (
    blueprint,
    opting_in,
    pods,
    target,
)
from tests.reconcilers.sights import SHOP, bc, only, opted_in, refused, settled
from tests.reconcilers.world import World


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
        ("Deployment", "stash.appscode.com/Schedule", "did you mean stash.appscode.com/schedule?"),
        ("Deployment", "stash.appscode.com/qqqqqqqqqqqqqqqqqqqqqqqq", "is not known"),
        ("Deployment", "params.stash.appscode.com/args", "has no effect on a Deployment"),
        ("PersistentVolumeClaim", "stash.appscode.com/target-paths", "has no effect on a PersistentVolumeClaim"),
        ("AppBinding", "stash.appscode.com/volume-mounts", "has no effect on a AppBinding"),
    ],
)
def test_annotations_without_effect_are_told(kind: str, key: str, said: str) -> None:
    world = World(blueprint(), target(kind, annotated={**opting_in(), key: "/x"}))
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
    world = World(blueprint(), target(annotated={**opting_in(), **own}))
    assert only(world.reconcile(SHOP)).warnings == ()


def test_a_variable_that_the_blueprint_does_not_declare_is_told() -> None:
    world = World(blueprint(variables=[{"name": "tier", "default": "x"}]), target())
    key = "blueprint.stash.appscode.com/teir"
    world.edit(SHOP, lambda obj: obj["metadata"]["annotations"].update({key: "gold"}))
    world.converge(SHOP)
    [note] = only(world.plan(SHOP)).warnings
    assert note.reason is Reason.UNKNOWN_ANNOTATION
    assert note.message == f"annotation {key} has no effect: blueprint nightly has no such variable, it declares tier"


def test_what_a_namespace_decided_is_not_taken_back_while_it_is_not_seen() -> None:
    around = {"name": "demo", "annotations": {"stash.appscode.com/timeout": "2h"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": around}
    world = World(space, blueprint(overrides={"timeOut": {"max": "4h"}}), target())
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["timeOut"] == "2h"
    world.missing_kinds.add("Namespace")
    outcome = refused(world)
    assert outcome.reason is Reason.NAMESPACE_UNSEEN
    assert "let the operator watch Namespaces" in outcome.message
    world.annotate(SHOP, timeout="3h")
    refused(world)
    world.missing_kinds.clear()
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["timeOut"] == "3h"


def test_without_a_look_at_namespaces_other_targets_go_on() -> None:
    world = opted_in()
    world.missing_kinds.add("Namespace")
    world.annotate(SHOP, schedule="@weekly")
    world.converge(SHOP)
    assert world.objects[bc()]["spec"]["schedule"] == "@weekly"
