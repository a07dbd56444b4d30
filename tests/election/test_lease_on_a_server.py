"""The Lease on a real API server: what the shipped role allows, and that the model's scripted server is like it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.lease import micro
from tests.election.leaseserver import PATH, LeaseServer
from tests.election.replicas import LEASE, NAMESPACE
from tests.support.cluster import create_namespace, unique_name
from tools.controlplane import ApiFailure, ControlPlane

pytestmark = pytest.mark.cluster


def _lease(name: str = "", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "autobackup", **metadata},
        "spec": {
            "holderIdentity": name,
            "leaseDurationSeconds": 15,
            "renewTime": micro(datetime.now(UTC)),
            "acquireTime": micro(datetime.now(UTC)),
        },
    }


def _script(put: Any, delete: Any) -> list[int]:
    """The questions that election depends on; the statuses."""
    statuses = []

    def ask(document: dict[str, Any]) -> dict[str, Any]:
        status, answer = put(document)
        statuses.append(status)
        return dict(answer)

    made = ask(_lease("a"))  # creation by PUT
    ask(_lease("b"))  # it is there: refused
    metadata = {key: made["metadata"][key] for key in ("uid", "resourceVersion")}
    renewed = ask(_lease("a", **metadata))  # by version
    ask(_lease("b", **metadata))  # an old version
    metadata["resourceVersion"] = renewed["metadata"]["resourceVersion"]
    wrong = _lease("a", **metadata)
    wrong["spec"]["renewTime"] = "2026-01-01T00:00:00Z"
    ask(wrong)  # not six digits
    wrong = _lease("a", **metadata)
    wrong["spec"]["leaseDurationSeconds"] = 0
    ask(wrong)
    ask(_lease("", **metadata))  # nobody's: allowed
    delete()
    ask(_lease("a", **metadata))  # a renewal of what is gone: the uid says no
    ask(_lease("a"))
    return statuses


def test_the_scripted_server_is_like_the_real_one(plane: ControlPlane) -> None:
    api = plane.client("admin")
    namespace = unique_name("leases")
    create_namespace(api, namespace)
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/autobackup"

    def put(document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            return 200, api.request("PUT", path, body=document)
        except ApiFailure as failure:
            return failure.status, {}

    async def scripted() -> list[int]:
        server = LeaseServer()

        def answer(document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            return server.handle("PUT", PATH, json.dumps(document).encode(), node="x", sent=0.0)

        return _script(answer, server.delete)

    real = _script(put, lambda: api.delete(LEASE, "autobackup", namespace=namespace))
    assert real == [200, 422, 200, 409, 400, 422, 200, 409, 200]
    assert asyncio.run(scripted()) == real


@pytest.mark.parametrize(
    ("method", "query", "allowed"),
    [
        ("GET", {}, True),
        ("PUT", {}, True),
        ("POST", {}, False),
        ("DELETE", {}, False),
        ("PATCH", {}, False),
        ("LIST", {}, False),
        ("LIST", {"watch": "true", "timeoutSeconds": "1"}, False),
        ("LIST", {"watch": "true", "timeoutSeconds": "1", "fieldSelector": "metadata.name=autobackup"}, True),
        ("LIST", {"watch": "true", "timeoutSeconds": "1", "fieldSelector": "metadata.name=other"}, False),
    ],
    ids=str,
)
@pytest.mark.usefixtures("account")
def test_the_role_gives_what_is_needed_and_nothing_more(
    plane: ControlPlane, method: str, query: dict[str, str], allowed: bool
) -> None:
    admin = plane.client("admin")
    if admin.find(LEASE, "autobackup", namespace=NAMESPACE) is None:
        admin.create(_lease(namespace=NAMESPACE))
    collection = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    path = collection if method in ("LIST", "POST") else f"{collection}/autobackup"
    body = admin.get(LEASE, "autobackup", namespace=NAMESPACE) if method in ("PUT", "POST") else None
    if method == "PATCH":
        body = {}
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    with plane.client("operator") as operator:
        verb = "GET" if method == "LIST" else method
        if allowed:
            operator.request(verb, path, query=query, body=body, content_type=kind)
        else:
            with pytest.raises(ApiFailure) as caught:
                operator.request(verb, path, query=query, body=body, content_type=kind)
            assert caught.value.status == 403
