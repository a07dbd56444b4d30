"""Why caches are behind, and the version of the API server: each answer names the way out."""

from __future__ import annotations

from typing import Any

import pytest

from controller.diagnosis import lagging
from controller.serverversion import ServerVersion, problem, version_of
from informers import InformerStatus
from informers.errors import ApiError, Expired, Forbidden, NotFound, TransportError, Unauthorized
from informers.resource import Resource
from reconcilers.kinds import BLUEPRINT, REPOSITORY, TARGETS
from tests.support.scripted import ScriptedTransport, failure
from tests.support.virtualtime import LoopClock, run_scenario

DEPLOYMENT = TARGETS["Deployment"].resource


def status(resource: Resource, error: Exception | None = None, **more: Any) -> InformerStatus:
    given: dict[str, Any] = {
        "resource": resource,
        "name": str(resource),
        "namespaces": ("",),
        "synced": False,
        "available": True,
        "rows": 0,
        "last_sync_rv": 0,
        "state": "resting",
        "last_event_at": None,
        "last_bookmark_at": None,
        "last_error": str(error) if error else "",
        "relists": 0,
        "undecodable": 0,
    }
    return InformerStatus(**{**given, **more})


@pytest.mark.parametrize(
    ("resource", "error", "told"),
    [
        (BLUEPRINT, NotFound("GET"), "not served by the API server; install the CRDs: kubectl apply"),
        (DEPLOYMENT, NotFound("GET"), "apps/v1 is not served by the API server"),
        (DEPLOYMENT, Forbidden("GET", message="no"), "grant it the rights in manifests/rbac"),
        (DEPLOYMENT, Unauthorized("GET"), "401"),
        (
            DEPLOYMENT,
            TransportError("GET", message="connect to\n10.0.0.1"),
            "no answer from the API server: connect to 10",
        ),
        (DEPLOYMENT, ApiError("GET x", status=418), "GET x: 418"),
        (DEPLOYMENT, RuntimeError("a defect"), "a defect"),
    ],
)
def test_each_failure_names_the_way_out(resource: Resource, error: Exception, told: str) -> None:
    text = lagging([status(resource, error)], lambda _: error)
    assert text.startswith(f"{resource.plural}: ")
    assert told in text
    assert "\n" not in text


def test_one_reason_is_told_once() -> None:
    errors: dict[Resource, Exception] = {BLUEPRINT: NotFound("GET a"), REPOSITORY: NotFound("GET b")}
    found = [status(resource, error) for resource, error in errors.items()]
    assert lagging(found, errors.get).startswith("backupblueprints, repositories: not served")


def test_what_follows_the_api_server_is_not_behind() -> None:
    error = NotFound("GET")
    following = status(DEPLOYMENT, synced=True, state="watch")
    recovering = status(DEPLOYMENT, error, synced=True, state="watch")
    absent = status(DEPLOYMENT, error, synced=True, available=False, state="absent")
    assert lagging([following, recovering, absent], lambda _: error) == ""
    assert lagging([status(DEPLOYMENT, error, synced=True)], lambda _: error) != "", "it was complete, and is stale now"


def test_a_failure_that_is_over_is_not_told_for_another() -> None:
    now = Expired("WATCH", status=410, reason="Expired")
    assert "Expired" in lagging([status(DEPLOYMENT, now)], lambda _: Forbidden("GET"))
    assert lagging([status(DEPLOYMENT, state="start")], lambda _: Forbidden("GET")) == "deployments: start"


@pytest.mark.parametrize(
    ("document", "version", "supported"),
    [
        ({"major": "1", "minor": "30"}, (1, 30), True),
        ({"major": "1", "minor": "30+", "gitVersion": "v1.30.2-eks-1"}, (1, 30), True),
        ({"major": "2", "minor": "0"}, (2, 0), True),
        ({"major": "1", "minor": "29+", "gitVersion": "v1.29.9-gke.1"}, (1, 29), False),
        ({"major": "1", "minor": "9"}, (1, 9), False),
        ({"major": "", "minor": ""}, None, True),
        ({}, None, True),
    ],
)
def test_versions(document: dict[str, str], version: tuple[int, int] | None, *, supported: bool) -> None:
    assert version_of(document) == version
    told = problem(document)
    assert (told is None) is supported
    assert supported or document.get("gitVersion", "1.9") in str(told)


def test_the_version_is_asked_for_again_because_clusters_are_upgraded() -> None:
    async def scenario(clock: LoopClock) -> None:
        answers: list[Any] = [
            failure(500, "InternalError"),
            (200, {"major": "1", "minor": "29"}),
            failure(403, "Forbidden"),
        ]
        transport = ScriptedTransport(lambda _: answers[0])
        version = ServerVersion(transport, clock)
        assert not await version._look()
        assert version.check() is None, "no answer is no verdict"
        answers.pop(0)
        assert await version._look()
        assert "1.29" in str(version.check())
        answers.pop(0)
        assert not await version._look()
        assert "1.29" in str(version.check()), "what is known stays known"
        answers[:] = [(200, {"major": "1", "minor": "31"})]
        assert await version._look()
        assert version.check() is None

    run_scenario(scenario)
