"""What the writer sends, and what it refuses to send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.applier import Applier, NotOurs
from controller.secretcontent import SecretContent
from informers.errors import Conflict, ServerError, TooManyRequests
from informers.resource import ObjectKey, Resource
from reconcilers.fields import desired_fingerprint
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY
from reconcilers.plan import Apply, ApplyStatus, Delete
from reconcilers.secretcopy import SECRET, ApplySecret
from tests.support.scripted import Answer, Asked, ScriptedTransport, failure
from tests.support.virtualtime import StoppedClock

KEY = ObjectKey("demo", "pvc-data")
BODY = {
    "apiVersion": "stash.appscode.com/v1alpha1",
    "kind": "Repository",
    "metadata": {"name": "pvc-data", "namespace": "demo", "labels": {"a": "b"}},
    "spec": {"wipeOut": False},
}
FIELDS = {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:wipeOut": {}}}


def live(body: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    managed = [{"manager": "autobackup", "operation": "Apply", "fieldsV1": fields}]
    return {**body, "metadata": {**body["metadata"], "uid": "u1", "resourceVersion": "9", "managedFields": managed}}


def apply_step(uid: str = "", **changes: Any) -> Apply:
    step = {"resource": REPOSITORY, "key": KEY, "uid": uid, "body": BODY, "blueprint": "nightly"}
    return Apply(**{**step, "fingerprint": desired_fingerprint(BODY), **changes})


def applier(answer: Answer) -> tuple[Applier, ScriptedTransport]:
    transport = ScriptedTransport(answer)
    return Applier(transport, StoppedClock(), most_in_flight=8), transport


async def test_first_apply_goes_without_force_and_a_later_one_with() -> None:
    write, transport = applier(lambda asked: (200, live(BODY, FIELDS)))
    await write.apply(apply_step())
    await write.apply(apply_step(uid="u1"))
    first, second = transport.asked
    assert (first.method, first.path) == (
        "PATCH",
        "/apis/stash.appscode.com/v1alpha1/namespaces/demo/repositories/pvc-data",
    )
    assert first.query["fieldManager"] == "autobackup"
    assert "force" not in first.query
    assert second.query["force"] == "true"
    assert first.query["timeout"] == "10s"


async def test_which_version_must_be_live() -> None:
    """None for what is made: else an object of ours that no cache shows yet would be changed as if it were new."""
    write, transport = applier(lambda asked: (200, live(BODY, FIELDS)))
    await write.apply(apply_step())
    await write.apply(apply_step(uid="u1"))
    await write.apply(apply_step(uid="u1", version="7"))
    assert [asked.body["metadata"].get("resourceVersion") for asked in transport.asked] == ["1", None, "7"]
    assert "resourceVersion" not in BODY["metadata"]


async def test_what_the_server_made_of_an_apply_is_remembered() -> None:
    pruned = {**BODY, "spec": {}}
    write, _ = applier(lambda asked: (200, live(pruned, {"f:metadata": {"f:labels": {"f:a": {}}}})))
    step = apply_step()
    await write.apply(step)
    made = write.effective("u1", step.fingerprint)
    assert made
    assert made != step.fingerprint
    assert write.effective("u1", "another") == ""
    assert write.effective("u2", step.fingerprint) == ""


async def test_nothing_is_remembered_when_the_server_took_it_as_it_was() -> None:
    write, _ = applier(lambda asked: (200, live(BODY, FIELDS)))
    step = apply_step()
    await write.apply(step)
    assert write.effective("u1", step.fingerprint) == ""


async def test_status_gets_times_only_where_they_are_missing() -> None:
    write, transport = applier(lambda asked: (200, {"metadata": {"uid": "b", "resourceVersion": "3"}}))
    conditions = [
        {"type": "Ready", "status": "True"},
        {"type": "Stalled", "status": "False", "lastTransitionTime": "2020-01-01T00:00:00Z"},
    ]
    await write.apply_status(ApplyStatus(BLUEPRINT, ObjectKey("", "nightly"), "b", {"conditions": conditions}))
    (asked,) = transport.asked
    assert asked.path.endswith("/backupblueprints/nightly/status")
    sent = asked.body["status"]["conditions"]
    assert sent[0]["lastTransitionTime"].endswith("Z")
    assert sent[1]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    assert asked.body["metadata"]["uid"] == "b"


@pytest.mark.parametrize(
    "resource",
    [
        Resource("", "v1", "secrets", "Secret"),
        Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
        Resource("apps", "v1", "deployments", "Deployment"),
    ],
)
async def test_kinds_that_are_not_ours_are_never_written(resource: Resource) -> None:
    write, transport = applier(lambda asked: (200, live(BODY, FIELDS)))
    with pytest.raises(NotOurs):
        await write.apply(apply_step(resource=resource))
    assert transport.asked == []


async def test_a_secret_is_written_as_a_copy_or_not_at_all() -> None:
    """By apply_secret and delete_secret alone, whatever a plan of the usual kind asks for."""
    write, transport = applier(lambda asked: (200, live(BODY, FIELDS)))
    with pytest.raises(NotOurs):
        await write.apply(apply_step(resource=SECRET))
    with pytest.raises(NotOurs):
        await write.delete(deletion(resource=SECRET))
    assert transport.asked == []
    step = ApplySecret(
        KEY, "", ObjectKey("vault", "bucket"), "u.1", ("a",), "", {"name": KEY.name, "labels": {"x": "y"}}
    )
    await write.apply_secret(step, SecretContent("u.1", {"a": "eA==", "b": "eA=="}))
    (asked,) = transport.asked
    assert asked.body["metadata"] == {"name": KEY.name, "labels": {"x": "y"}, "resourceVersion": "1"}
    assert (asked.body["type"], asked.body["data"]) == ("Opaque", {"a": "eA=="})
    assert "force" not in asked.query
    assert "PartialObjectMetadata" in asked.accept
    await write.apply_secret(replace(step, uid="u"), SecretContent("u.1", {"a": "eA=="}))
    assert transport.asked[-1].query["force"] == "true"
    assert transport.asked[-1].body["metadata"]["uid"] == "u"


def deletion(**changes: Any) -> Delete:
    step = {
        "resource": CONFIGURATION,
        "key": KEY,
        "uid": "u1",
        "target": Key("PersistentVolumeClaim", "demo", "data"),
        "target_uid": "t1",
        "blueprint": "nightly",
    }
    return Delete(**{**step, **changes})


def target_with(annotations: dict[str, str] | None, uid: str = "t1") -> Answer:
    def answer(asked: Asked) -> Any:
        if asked.method == "GET":
            return 200, {"metadata": {"name": "data", "uid": uid, "annotations": annotations}}
        return 200, {"kind": "Status", "status": "Success"}

    return answer


@pytest.mark.parametrize(
    ("annotations", "deleted"),
    [
        (None, True),
        ({}, True),
        ({"stash.appscode.com/backup-blueprint": "other"}, True),
        ({"stash.appscode.com/backup-blueprint": "nightly"}, False),
        ({"stash.appscode.com/backup-blueprint": "other, nightly"}, False),
        ({"stash.appscode.com/backup-blueprint": '["nightly"]'}, False),
        ({"stash.appscode.com/backup-blueprint": ""}, False),
        ({"stash.appscode.com/backup-blueprint": "Not A Name"}, False),
    ],
)
async def test_deletes_only_what_the_live_target_does_not_ask_for(
    annotations: dict[str, str] | None, deleted: bool
) -> None:
    write, transport = applier(target_with(annotations))
    written = await write.delete(deletion())
    assert (written is not None) is deleted
    assert [asked.method for asked in transport.asked] == (["GET", "DELETE"] if deleted else ["GET"])
    if deleted:
        assert transport.asked[1].body["preconditions"] == {"uid": "u1"}
        assert written is not None
        assert written.target is not None
        assert written.target.uid == "t1"


async def test_deletes_when_the_target_is_gone() -> None:
    write, _ = applier(
        lambda asked: (
            failure(404, "NotFound") if asked.method == "GET" else (200, {"kind": "Status", "status": "Success"})
        )
    )
    written = await write.delete(deletion())
    assert written is not None
    assert written.target is None


async def test_target_that_cannot_be_read_saves_what_it_has() -> None:
    write, transport = applier(lambda asked: failure(500, "InternalError"))
    with pytest.raises(ServerError):
        await write.delete(deletion())
    assert [asked.method for asked in transport.asked] == ["GET"]


async def test_what_moved_needs_no_look() -> None:
    write, transport = applier(lambda asked: (200, {"kind": "Status", "status": "Success"}))
    await write.delete(deletion(moved=True))
    assert [asked.method for asked in transport.asked] == ["DELETE"]


@pytest.mark.parametrize(
    "answer",
    [
        failure(404, "NotFound"),
        failure(409, "Conflict", "Precondition failed: UID in precondition: u1, UID in object meta: u2"),
        failure(409, "Conflict", "the UID in the precondition (u1) does not match the UID in record (u2). The object"),
    ],
)
async def test_an_object_that_is_gone_already_is_no_error(answer: tuple[int, dict[str, Any]]) -> None:
    write, _ = applier(lambda asked: answer)
    assert await write.delete(deletion(moved=True)) is None


async def test_other_conflicts_are_errors() -> None:
    write, _ = applier(lambda asked: failure(409, "Conflict", "something else"))
    with pytest.raises(Conflict):
        await write.delete(deletion(moved=True))


async def test_throttling_lowers_the_bound() -> None:
    write, _ = applier(lambda asked: failure(429, "TooManyRequests"))
    with pytest.raises(TooManyRequests):
        await write.apply(apply_step())
    assert write._in_flight.limit == 4
