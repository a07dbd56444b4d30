"""A Namespace that names a blueprint: what becomes a target, what opts out, and claims that a workload covers."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers import marks
from reconcilers.inheritance import patterns
from reconcilers.keys import Key
from reconcilers.plan import Plan, State
from reconcilers.reasons import Reason
from reconcilers.rows import project_configuration
from tests.reconcilers import objects
from tests.reconcilers.world import World

DEMO = Key("Namespace", "", objects.NAMESPACE)
PVC, SET = "PersistentVolumeClaim", "StatefulSet"


def namespace(value: str | None = "nightly") -> dict[str, Any]:
    annotations = {} if value is None else {"stash.appscode.com/backup-blueprint": value}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": objects.NAMESPACE, "annotations": annotations},
    }


def claim(name: str = "data", **annotations: str) -> dict[str, Any]:
    return objects.target(PVC, name, annotated=objects.opting_in(None, **annotations))


def key(name: str, kind: str = PVC) -> Key:
    return Key(kind, objects.NAMESPACE, name)


def names(world: World) -> list[str]:
    return [found["metadata"]["name"] for found in world.configurations()]


def covering(name: str = "web", *, mounts: tuple[str, ...] = ("data",), kind: str = "Deployment") -> dict[str, Any]:
    """A workload that opts in by itself, with claims of the names of its volumes."""
    spec = objects.pods(mounts={mount: f"/srv/{mount}" for mount in mounts}, claims=mounts if kind == SET else ())
    return objects.target(kind, name, spec=spec)


def test_every_claim_of_the_namespace_is_a_target() -> None:
    world = World(namespace(), objects.blueprint(), claim("a"), claim("b"), objects.target("Deployment", annotated={}))
    world.converge()
    assert names(world) == ["pvc-a", "pvc-b"]
    world.execute(world.plan(Key("BackupBlueprint", "", "nightly")))
    status = world.objects[Key("BackupBlueprint", "", "nightly")]["status"]
    assert (status["matched"], status["configured"]) == (2, 2)
    world.restart()
    assert [world.reconcile(each).steps for each in world.targets()] == [()] * 3


def test_nothing_is_a_target_where_nobody_asks() -> None:
    world = World(namespace(None), objects.blueprint(), claim("a"))
    assert world.reconcile(key("a")) == Plan()


def test_the_blueprint_says_which_kinds() -> None:
    world = World(
        namespace(),
        objects.blueprint(targetKinds=["Deployment"]),
        claim("a"),
        objects.target("Deployment", annotated={}),
        objects.target(SET, annotated={}),
    )
    world.converge()
    assert names(world) == ["deploy-shop"]
    world.respec("nightly", targetKinds=[PVC])
    world.converge()
    assert names(world) == ["pvc-a"]
    assert [found["metadata"]["name"] for found in world.repositories()] == ["deploy-shop", "pvc-a"]


def test_an_annotation_of_the_object_decides() -> None:
    world = World(
        namespace(),
        objects.blueprint(),
        objects.blueprint("hourly", backend=objects.s3("hourly/${TARGET_NAME}")),
        claim("inherits", schedule="@daily"),
        objects.target(PVC, "own", annotated=objects.opting_in("hourly")),
        objects.target(PVC, "out", annotated=objects.opting_in("-")),
    )
    world.converge()
    found = {each["metadata"]["name"]: each for each in world.configurations()}
    assert sorted(found) == ["pvc-inherits", "pvc-own"]
    assert found["pvc-inherits"]["spec"]["schedule"] == "@daily", "other annotations are read as ever"
    assert found["pvc-own"]["metadata"]["annotations"][marks.BLUEPRINT] == "hourly"


def test_opting_one_object_out_and_in_again() -> None:
    world = World(namespace(), objects.blueprint(), claim("a"), claim("b"))
    world.converge()
    world.annotate(key("a"), backup_blueprint="-")
    world.converge()
    assert names(world) == ["pvc-b"]
    assert len(world.repositories()) == 2
    world.annotate(key("a"), backup_blueprint=None)
    world.converge()
    assert names(world) == ["pvc-a", "pvc-b"]
    assert len(world.repositories()) == 2


@pytest.mark.parametrize("restarted", [False, True])
def test_the_namespace_opts_out_all_that_have_no_annotation_of_their_own(restarted: bool) -> None:
    world = World(namespace(), objects.blueprint(), claim("a"), objects.target(PVC, "own"))
    world.converge()
    world.annotate(DEMO, backup_blueprint=None)
    if restarted:
        world.restart()
    world.converge()
    assert names(world) == ["pvc-own"]
    assert len(world.repositories()) == 2


def test_a_last_look_keeps_what_the_namespace_asks_for_meanwhile() -> None:
    world = World(namespace(), objects.blueprint(), claim("a"))
    world.converge()
    world.annotate(DEMO, backup_blueprint=None)
    plan = world.plan(key("a"))
    assert len(plan.steps) == 1
    world.annotate(DEMO, backup_blueprint="nightly")
    world.execute(plan)
    assert names(world) == ["pvc-a"]


def test_an_annotation_of_the_namespace_that_cannot_be_read_keeps_what_is_there() -> None:
    world = World(namespace(), objects.blueprint(), claim("a"))
    world.converge()
    world.annotate(DEMO, backup_blueprint="not a name")
    plan = world.reconcile(key("a"))
    (outcome,) = plan.outcomes
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.INVALID_ANNOTATION)
    assert "Namespace demo" in outcome.message
    assert names(world) == ["pvc-a"]


def test_a_blueprint_that_does_not_exist_is_told_on_each_claim() -> None:
    world = World(namespace("misspelt"), claim("a"), objects.target("Deployment", annotated={}))
    (outcome,) = world.reconcile(key("a")).outcomes
    assert outcome.reason is Reason.BLUEPRINT_NOT_FOUND
    assert world.reconcile(objects.deployment_key()).outcomes == ()


def test_the_blueprint_decides_who_may_use_it_for_a_namespace_as_well() -> None:
    world = World(namespace(), objects.blueprint(allowedNamespaces={"names": ["other"]}), claim("a"))
    (outcome,) = world.reconcile(key("a")).outcomes
    assert outcome.reason is Reason.NAMESPACE_NOT_ALLOWED


def test_a_claim_that_a_workload_backs_up_is_not_backed_up_twice() -> None:
    world = World(namespace(), objects.blueprint(), covering(mounts=("data", "logs")), claim("data"), claim("spare"))
    world.reconcile(objects.deployment_key("web"))
    world.converge()
    assert names(world) == ["deploy-web", "pvc-spare"]
    world.restart()
    assert [world.reconcile(each).steps for each in world.targets()] == [()] * 3
    assert world.template_reads == 1, "which claims there are is written down"


def test_a_claim_is_taken_up_again_when_the_workload_goes() -> None:
    world = World(namespace(), objects.blueprint(), covering(), claim("data"))
    world.reconcile(objects.deployment_key("web"))
    world.converge()
    assert names(world) == ["deploy-web"]
    world.annotate(objects.deployment_key("web"), backup_blueprint=None)
    world.converge()
    assert names(world) == ["pvc-data"]
    world.annotate(objects.deployment_key("web"), backup_blueprint="nightly")
    world.converge()
    assert names(world) == ["deploy-web"]
    assert len(world.repositories()) == 2


def test_a_claim_that_was_first_is_given_over_to_the_workload() -> None:
    world = World(namespace(), objects.blueprint(), claim("data"))
    world.converge()
    world.create(covering())
    world.reconcile(objects.deployment_key("web"))
    plan = world.reconcile(key("data"))
    (step,) = plan.steps
    assert step.event is Reason.CLAIM_COVERED  # type: ignore[union-attr]
    world.converge()
    assert names(world) == ["deploy-web"]


def test_only_what_the_workload_really_backs_up_is_covered() -> None:
    workload = covering(mounts=("data", "logs"))
    workload["metadata"]["annotations"]["stash.appscode.com/volume-mounts"] = "data:/srv/data"
    world = World(namespace(), objects.blueprint(), workload, claim("data"), claim("logs"))
    world.reconcile(objects.deployment_key("web"))
    world.converge()
    assert names(world) == ["deploy-web", "pvc-logs"]


def test_a_workload_that_is_suspended_covers_nothing() -> None:
    world = World(
        namespace(),
        objects.blueprint(),
        objects.blueprint("hourly", backend=objects.s3("hourly/${TARGET_NAME}")),
        covering(),
        claim("data"),
    )
    web = objects.deployment_key("web")
    world.annotate(web, backup_blueprint="hourly")
    world.reconcile(web)
    world.converge()
    assert names(world) == ["deploy-web"]
    world.respec("hourly", allowedNamespaces={})
    world.converge()
    assert names(world) == ["deploy-web", "pvc-data"]


def test_claims_of_a_stateful_set_are_covered_by_their_pattern() -> None:
    world = World(
        namespace(),
        objects.blueprint(),
        covering(kind=SET),
        claim("data-web-0"),
        claim("data-web-12"),
        claim("data-web-x"),
    )
    world.reconcile(key("web", SET))
    world.converge()
    assert names(world) == ["pvc-data-web-x", "sts-web"]
    assert list(patterns("data-web-12")) == ["data-web-12", "data-web-*"]
    assert list(patterns("data")) == ["data"]


def test_an_own_annotation_asks_for_a_claim_whoever_else_backs_it_up() -> None:
    world = World(namespace(), objects.blueprint(), covering(), objects.target(PVC, "data"))
    world.converge()
    assert names(world) == ["deploy-web", "pvc-data"]


def test_who_asks_for_no_claims_has_none_written_down() -> None:
    """An upgrade, or a restart, writes nothing where Namespaces are not annotated."""
    world = World(namespace(None), objects.blueprint(), covering())
    world.converge()
    (before,) = world.configurations()
    assert '"claim"' not in before["metadata"]["annotations"][marks.POD_TEMPLATE]
    world.restart()
    web = objects.deployment_key("web")
    world.edit(web, lambda obj: obj["spec"].update(replicas=5))
    assert world.reconcile(web).steps == (), "the template was read again, and knows claims"

    world.annotate(DEMO, backup_blueprint="nightly")
    world.create(claim("data"))
    world.converge()
    (after,) = world.configurations()
    assert project_configuration(after).claims == ("data",)
    assert names(world) == ["deploy-web"]


def test_a_workload_that_inherits_covers_its_claims() -> None:
    workload = covering()
    workload["metadata"]["annotations"] = {}
    world = World(namespace(), objects.blueprint(targetKinds=["Deployment", PVC]), workload, claim("data"), claim("b"))
    world.reconcile(objects.deployment_key("web"))
    world.converge()
    assert names(world) == ["deploy-web", "pvc-b"]


def test_a_claim_waits_for_the_workloads_of_its_namespace() -> None:
    """A Repository that is made at once would be of no use a moment later, and stay."""
    world = World(namespace(), objects.blueprint(), covering(), claim("data"), claim("spare"))
    for name in ("data", "spare"):
        plan = world.reconcile(key(name))
        (outcome,) = plan.outcomes
        assert (outcome.state, outcome.reason, plan.steps) == (State.WAITING, Reason.WORKLOADS_FIRST, ())
        assert plan.requeue_after
    world.converge()
    assert names(world) == ["deploy-web", "pvc-spare"]
    assert len(world.repositories()) == 2


def test_a_claim_waits_as_well_when_the_namespace_begins_to_ask() -> None:
    world = World(namespace(None), objects.blueprint(), covering(), claim("data"))
    world.converge()
    world.annotate(DEMO, backup_blueprint="nightly")
    assert world.reconcile(key("data")).steps == (), "the workload's claims are not written down yet"
    world.converge()
    assert names(world) == ["deploy-web"]
    assert len(world.repositories()) == 1


@pytest.mark.parametrize("hindrance", ["misspelt", "unreadable ,", "denied"])
def test_a_workload_that_cannot_be_configured_keeps_no_claim_waiting(hindrance: str) -> None:
    world = World(
        namespace(),
        objects.blueprint(),
        objects.blueprint("denied", allowedNamespaces={}),
        covering(),
        claim("data"),
    )
    web = objects.deployment_key("web")
    world.annotate(web, backup_blueprint=hindrance)
    world.reconcile(web)
    world.converge()
    assert names(world) == ["pvc-data"]


def test_a_workload_without_volumes_is_no_target_because_of_its_namespace() -> None:
    bare = objects.target("Deployment", "bare", annotated={}, spec=objects.pods(mounts={"cache": "/c"}, persistent=()))
    world = World(namespace(), objects.blueprint(targetKinds=["Deployment", PVC]), bare, claim("data"))
    world.converge()
    assert names(world) == ["pvc-data"], "and keeps no claim waiting"
    assert world.reconcile(objects.deployment_key("bare")).outcomes == ()
    world.execute(world.plan(Key("BackupBlueprint", "", "nightly")))
    status = world.objects[Key("BackupBlueprint", "", "nightly")]["status"]
    assert (status["matched"], status["pending"], status["failed"]) == (1, 0, 0)
    world.annotate(objects.deployment_key("bare"), backup_blueprint="nightly")
    (outcome,) = world.reconcile(objects.deployment_key("bare")).outcomes
    assert outcome.reason is Reason.NOTHING_TO_BACK_UP, "who asks for itself is told"


def test_a_workload_that_fails_with_its_last_good_configuration_keeps_no_claim_waiting() -> None:
    world = World(namespace(None), objects.blueprint(), covering(), claim("data"))
    world.converge()
    web = objects.deployment_key("web")
    world.annotate(web, schedule="every night")
    world.reconcile(web)
    world.annotate(DEMO, backup_blueprint="nightly")
    world.converge()
    assert names(world) == ["deploy-web", "pvc-data"], "rather twice than not at all"
