"""The status of a blueprint: what it says, when it is written, and when it is not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from informers.resource import ObjectKey
from reconcilers.keys import Key
from reconcilers.plan import ApplyStatus, Outcome, Plan, State
from reconcilers.ports import MOST_FAILURES, SecretSight, SecretState, SourceSight, Summary
from reconcilers.reasons import Reason
from reconcilers.rows import BlueprintRow, project_blueprint
from reconcilers.status import CONDITIONS, PROGRESS_SECONDS, plan_blueprint
from tests.reconcilers.objects import blueprint, deployment_key, opting_in, s3, target
from tests.reconcilers.sights import NIGHTLY, SHOP, settled
from tests.reconcilers.world import World

NOTHING = Summary(matched=0, configured=0, pending=0, failures=(), secrets=())


@dataclass
class Desk:
    """A blueprint and a summary to plan from; `write` puts the planned status on the object."""

    obj: dict[str, Any]
    told: Summary = NOTHING
    events: list[str] = field(default_factory=list)

    def blueprint(self, name: str) -> BlueprintRow | None:
        return project_blueprint(self.obj) if name == self.obj["metadata"]["name"] else None

    def summary(self, blueprint: str) -> Summary:
        return self.told

    def plan(self) -> Plan:
        return plan_blueprint(self, NIGHTLY)

    def write(self) -> Plan:
        plan = self.plan()
        for step in plan.steps:
            assert isinstance(step, ApplyStatus)
            assert (step.key, step.uid) == (ObjectKey("", "nightly"), "u")
            status = dict(step.status)
            status["conditions"] = [
                {"lastTransitionTime": "2024-05-01T00:00:00Z", **item} for item in status["conditions"]
            ]
            self.obj = {**self.obj, "status": status}
        self.events += [f"{event.type} {event.reason}" for event in plan.events]
        return plan

    def edit(self, **spec: Any) -> None:
        self.obj["spec"] = {**self.obj["spec"], **spec}
        self.obj["metadata"]["generation"] += 1

    def condition(self, name: str) -> dict[str, Any]:
        return next(dict(item) for item in self.obj["status"]["conditions"] if item["type"] == name)

    def states(self) -> dict[str, tuple[str, str]]:
        return {item["type"]: (item["status"], item["reason"]) for item in self.obj["status"]["conditions"]}


def desk(told: Summary = NOTHING, **spec: Any) -> Desk:
    obj = blueprint(**spec)
    obj["metadata"].update(uid="u", generation=1, resourceVersion="1")
    return Desk(obj, told)


def failing(number: int, *, reason: Reason = Reason.INVALID_ANNOTATION, message: str = "no") -> Summary:
    failures = tuple(
        (deployment_key(f"t{i:03}"), Outcome("nightly", State.FAILED, reason, message)) for i in range(number)
    )
    return replace(NOTHING, matched=number + 2, configured=2, failures=failures)


def test_a_new_blueprint_without_targets() -> None:
    found = desk()
    plan = found.write()
    assert found.states() == {
        "Ready": ("True", "Resolved"),
        "Stalled": ("False", "Resolved"),
        "Reconciling": ("False", "UpToDate"),
        "TargetsConfigured": ("True", "NoTargets"),
        "LocationDistinct": ("True", "Distinct"),
        "StorageSecretsFound": ("True", "Found"),
    }
    assert {name for name, _ in CONDITIONS} == {*found.states(), "RetentionPending", "StorageSecretSource"}
    rest = {name: value for name, value in found.obj["status"].items() if name != "conditions"}
    assert rest == {
        "observedGeneration": 1,
        "matched": 0,
        "configured": 0,
        "failed": 0,
        "pending": 0,
        "failures": [],
        "storageSecrets": [],
    }
    assert all(item["observedGeneration"] == 1 for item in found.obj["status"]["conditions"])
    assert found.events == ["Normal Resolved"]
    assert plan.requeue_after is None
    assert found.plan() == Plan()


def test_a_blueprint_that_is_gone_or_going() -> None:
    found = desk()
    assert plan_blueprint(found, Key("BackupBlueprint", "", "other")) == Plan()
    found.obj["metadata"]["deletionTimestamp"] = "2024-05-01T00:00:00Z"
    assert found.plan() == Plan()


def test_after_a_restart_the_first_look_at_the_secrets_is_waited_for() -> None:
    """Else a blueprint whose targets are looked at first is told that the Secret is unchecked, for half a second."""
    secret = ObjectKey("demo", "storage")
    known = replace(NOTHING, matched=1, configured=1, secrets=((secret, SecretSight(SecretState.FOUND)),))
    found = desk(known)
    found.write()
    found.told = replace(known, secrets=((secret, SecretSight(SecretState.UNCHECKED)),), unseen=True)
    assert found.plan() == Plan(requeue_after=PROGRESS_SECONDS)
    found.told = known
    assert found.plan() == Plan()
    found.told = replace(known, secrets=((secret, SecretSight(SecretState.UNCHECKED)),))
    assert found.plan().steps, "it was looked at, and may not be read"


def test_an_invalid_blueprint_is_not_ready_and_stalled() -> None:
    found = desk(backend=s3("${TARGET_NOPE}"), schedule="noon")
    found.write()
    assert found.states()["Ready"] == ("False", "InvalidTemplate")
    assert found.states()["Stalled"] == ("True", "InvalidTemplate")
    message = found.condition("Ready")["message"]
    assert "TARGET_NOPE" in message
    assert "'noon'" in message
    assert sorted(found.events) == ["Warning InvalidTemplate", "Warning MayCollide"]
    found.edit(backend=s3(), schedule="@daily")
    found.write()
    assert found.states()["Ready"] == ("True", "Resolved")
    assert found.condition("Ready")["observedGeneration"] == 2
    assert sorted(found.events[2:]) == ["Normal Distinct", "Normal Resolved"]


def test_one_bad_target_leaves_the_blueprint_ready() -> None:
    found = desk(failing(1, message="stash.appscode.com/schedule 'noon': has 1 fields"))
    found.write()
    assert found.states()["Ready"] == ("True", "Resolved")
    assert found.states()["TargetsConfigured"] == ("False", "TargetsFailed")
    assert found.condition("TargetsConfigured")["message"] == (
        "1 of 3 targets failed; Deployment demo/t000: stash.appscode.com/schedule 'noon': has 1 fields"
    )
    assert found.obj["status"]["failures"] == [
        {
            "kind": "Deployment",
            "namespace": "demo",
            "name": "t000",
            "reason": "InvalidAnnotation",
            "message": "stash.appscode.com/schedule 'noon': has 1 fields",
        }
    ]
    assert found.events == ["Normal Resolved", "Warning TargetsFailed"]
    found.told = replace(NOTHING, matched=3, configured=3)
    found.write()
    assert found.states()["TargetsConfigured"] == ("True", "AllConfigured")
    assert found.events[2:] == ["Normal AllConfigured"]


def test_a_copy_that_is_missing_is_not_to_be_created_by_hand() -> None:
    secrets = ((ObjectKey("shop", "storage"), SecretSight(SecretState.MISSING)),)
    found = desk(replace(NOTHING, secrets=secrets))
    found.write()
    assert found.condition("StorageSecretsFound")["message"] == "missing: shop/storage; create them and backups can run"
    found.told = replace(found.told, source=SourceSight(ObjectKey("backup", "bucket"), "does not consent"))
    found.write()
    told = found.condition("StorageSecretsFound")["message"]
    assert told == "missing: shop/storage; see StorageSecretSource: they are copied"


def test_failures_and_texts_are_bounded() -> None:
    found = desk(failing(500, message="x" * 50_000))
    found.told = replace(
        found.told, secrets=tuple((ObjectKey(f"ns{i}", "s"), SecretSight(SecretState.MISSING)) for i in range(500))
    )
    found.write()
    status = found.obj["status"]
    assert (status["failed"], len(status["failures"])) == (500, MOST_FAILURES)
    assert len(status["storageSecrets"]) == 50
    assert max(len(item["message"]) for item in status["conditions"] + status["failures"]) <= 1024
    assert found.condition("StorageSecretsFound")["message"].startswith("missing: ns0/s, ns1/s")
    assert "495 more" in found.condition("StorageSecretsFound")["message"]
    assert found.plan() == Plan()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], ("True", "Found")),
        ([SecretState.FOUND, SecretState.FOUND], ("True", "Found")),
        ([SecretState.FOUND, SecretState.UNCHECKED], ("Unknown", "Unchecked")),
        ([SecretState.MISSING, SecretState.UNCHECKED], ("False", "Missing")),
        ([SecretState.INCOMPLETE, SecretState.UNCHECKED], ("False", "Incomplete")),
        ([SecretState.INCOMPLETE, SecretState.MISSING], ("False", "Missing")),
    ],
)
def test_storage_secrets(states: list[SecretState], expected: tuple[str, str]) -> None:
    secrets = tuple((ObjectKey(f"ns{i}", "s"), SecretSight(state)) for i, state in enumerate(states))
    found = desk(replace(NOTHING, secrets=secrets))
    found.write()
    assert found.states()["StorageSecretsFound"] == expected
    assert [item["state"] for item in found.obj["status"]["storageSecrets"]] == [
        state.value for state in states if state is not SecretState.FOUND
    ]
    assert ("Warning Missing" in found.events) is (SecretState.MISSING in states)


def test_the_keys_that_a_storage_secret_lacks_are_named() -> None:
    lacking = SecretSight(SecretState.INCOMPLETE, ("RESTIC_PASSWORD", "B2_ACCOUNT_KEY"))
    found = desk(replace(NOTHING, secrets=((ObjectKey("shop", "s"), lacking),)))
    found.write()
    assert found.condition("StorageSecretsFound")["message"].startswith("shop/s lacks RESTIC_PASSWORD, B2_ACCOUNT_KEY")
    assert found.obj["status"]["storageSecrets"] == [
        {
            "namespace": "shop",
            "name": "s",
            "state": "Incomplete",
            "missingKeys": ["RESTIC_PASSWORD", "B2_ACCOUNT_KEY"],
        }
    ]


@pytest.mark.parametrize(
    ("prefix", "distinct"),
    [
        ("${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}", True),
        ("${TARGET_UID}", True),
        ("${TARGET_NAMESPACE}/${TARGET_APP_RESOURCE}/${TARGET_NAME}", True),
        ("${TARGET_NAMESPACE}/${TARGET_NAME}", False),
        ("${TARGET_NAME}", False),
        ("backups", False),
    ],
)
def test_a_location_that_may_collide_is_a_warning(prefix: str, distinct: bool) -> None:
    found = desk(backend=s3(prefix))
    found.write()
    assert found.states()["Ready"] == ("True", "Resolved")
    assert found.states()["LocationDistinct"] == (("True", "Distinct") if distinct else ("False", "MayCollide"))


# when it is written


def test_a_restart_writes_nothing_while_targets_are_looked_at_again() -> None:
    found = desk(replace(NOTHING, matched=9, configured=9))
    found.write()
    for pending in (9, 5, 1):
        found.told = replace(NOTHING, matched=9, configured=9 - pending, pending=pending)
        assert found.plan() == Plan(requeue_after=PROGRESS_SECONDS)
    found.told = replace(NOTHING, matched=9, configured=9)
    assert found.plan() == Plan()


def test_an_edit_shows_its_progress_and_its_end() -> None:
    found = desk(replace(NOTHING, matched=9, configured=9))
    found.write()
    found.events.clear()
    found.edit(schedule="@daily")
    found.told = replace(NOTHING, matched=9, configured=2, pending=7)
    plan = found.write()
    assert len(plan.steps) == 1
    assert plan.requeue_after == PROGRESS_SECONDS
    assert found.states()["Reconciling"] == ("True", "RollingOut")
    assert found.states()["TargetsConfigured"] == ("Unknown", "RollingOut")
    assert found.condition("Reconciling")["message"] == "7 of 9 targets are still to be looked at"
    assert found.plan() == Plan(requeue_after=PROGRESS_SECONDS), "nothing moved, nothing to write"
    found.told = replace(NOTHING, matched=9, configured=9)
    assert found.write().requeue_after is None
    assert found.states()["Reconciling"] == ("False", "UpToDate")
    assert found.obj["status"]["observedGeneration"] == 2
    assert found.events == []


def test_what_turns_bad_during_a_rollout_is_told_once() -> None:
    found = desk(replace(NOTHING, matched=9, configured=9))
    found.write()
    found.events.clear()
    found.edit(schedule="never", backend=s3("shared"))
    found.told = replace(failing(2), matched=9, configured=0, pending=7)
    found.write()
    assert sorted(found.events) == ["Warning InvalidTemplate", "Warning MayCollide", "Warning TargetsFailed"]
    found.told = replace(failing(9), matched=9, configured=0)
    found.write()
    assert len(found.events) == 3


def test_the_time_of_a_transition_is_kept_while_the_status_is() -> None:
    found = desk()
    found.write()
    found.obj["status"]["conditions"][0]["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    kept = found.obj["status"]["conditions"][0]["type"]
    found.edit(schedule="@daily")
    found.write()
    assert found.condition(kept)["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    assert found.condition(kept)["observedGeneration"] == 2
    step = desk().plan().steps[0]
    assert isinstance(step, ApplyStatus)
    assert all("lastTransitionTime" not in item for item in step.status["conditions"])
    found.edit(schedule="never")
    turned = found.plan().steps[0]
    assert isinstance(turned, ApplyStatus)
    assert {item["type"] for item in turned.status["conditions"] if "lastTransitionTime" not in item} == {
        "Ready",
        "Stalled",
    }


def test_what_somebody_else_puts_into_the_status_is_no_reason_to_write() -> None:
    found = desk()
    found.write()
    found.obj["status"]["conditions"].append({"type": "Theirs", "status": "True", "reason": "x", "message": ""})
    found.obj["status"]["theirs"] = 1
    assert found.plan() == Plan()
    found.told = replace(NOTHING, matched=1, pending=1)
    assert found.plan().steps == ()


def test_a_status_that_was_wiped_is_written_again_without_events_of_old_news() -> None:
    found = desk()
    found.write()
    found.obj["status"] = None
    assert len(found.plan().steps) == 1


def test_with_targets_in_a_cluster() -> None:
    world = World(blueprint(), target(), target("StatefulSet", annotated=opting_in(schedule="noon")))
    world.converge()
    world.converge(NIGHTLY)
    status = world.objects[NIGHTLY]["status"]
    assert (status["matched"], status["configured"], status["failed"]) == (2, 1, 1)
    assert [item["name"] for item in status["failures"]] == ["shop"]
    settled(world)
    assert world.plan(NIGHTLY).steps == ()
    world.annotate(Key("StatefulSet", "demo", "shop"), schedule=None)
    world.converge(SHOP, Key("StatefulSet", "demo", "shop"), NIGHTLY)
    assert world.objects[NIGHTLY]["status"]["configured"] == 2
