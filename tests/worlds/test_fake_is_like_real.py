"""What the scripted server does with writes, asserted against a real one by the same lines.

Every test here runs twice: on the fake in virtual time, and on a kube-apiserver with our CRDs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from informers import (
    AiohttpTransport,
    ApiError,
    Conflict,
    InformerFactory,
    Invalid,
    NotFound,
    ObjectKey,
    RealClock,
    Resource,
    Transport,
    load_credentials,
)
from informers.clock import Clock
from informers.frames import LineSplitter, decode_line
from reconcilers.fields import desired_fingerprint, live_fingerprint, owned_keys
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.marks import PRODUCT
from reconcilers.rows import REPOSITORIES
from reconcilers.secretcopy import SECRET
from tests.reconcilers import objects
from tests.support.beside import beside
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tests.support.fakeapply import APPLY, MERGE, ApplyServer
from tests.support.virtualtime import VirtualClock, run_virtual
from tests.worlds.people import SERVED
from tools.controlplane import ControlPlane

Object = dict[str, Any]
DEPLOYMENT = TARGETS["Deployment"].resource
VOLUME = TARGETS["PersistentVolumeClaim"].resource
STATEFUL = TARGETS["StatefulSet"].resource
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass
class Server:
    """One of the two, and short ways to ask it."""

    transport: Transport
    clock: Clock
    namespace: str

    def path(self, resource: Resource, name: str, subresource: str = "") -> str:
        return resource.object_path(ObjectKey(self.namespace if resource.namespaced else "", name), subresource)

    async def create(self, resource: Resource, body: Object) -> Object:
        path = resource.collection_path(self.namespace if resource.namespaced else None)
        return await self.send("POST", path, body)

    async def apply(self, body: Object, *, manager: str = "one", force: bool = False, subresource: str = "") -> Object:
        resource = next(r for r in SERVED if r.kind == body["kind"])
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        path = self.path(resource, body["metadata"]["name"], subresource)
        return await self.send("PATCH", path, body, query=query, content_type=APPLY)

    async def merge(self, resource: Resource, name: str, patch: Object, subresource: str = "") -> Object:
        return await self.send("PATCH", self.path(resource, name, subresource), patch, content_type=MERGE)

    async def get(self, resource: Resource, name: str, accept: str = "application/json") -> Object:
        found = (await self.transport.request("GET", self.path(resource, name), accept=accept)).json()
        assert isinstance(found, dict)
        return found

    async def delete(self, resource: Resource, name: str, uid: str = "") -> Object:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        return await self.send(
            "DELETE", self.path(resource, name), body | ({"preconditions": {"uid": uid}} if uid else {})
        )

    async def send(
        self, method: str, path: str, body: Object, *, query: dict[str, str] | None = None, content_type: str = ""
    ) -> Object:
        answer = await self.transport.request(
            method, path, query=query, body=json.dumps(body).encode(), content_type=content_type or "application/json"
        )
        found = answer.json()
        assert isinstance(found, dict)
        return found


Test = Callable[[Server], Awaitable[None]]
Runner = Callable[[Test], None]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def run(request: pytest.FixtureRequest) -> Iterator[Runner]:
    if request.param == "fake":

        async def on_fake(test: Test) -> None:
            await test(Server(ApplyServer(*SERVED), VirtualClock(), objects.NAMESPACE))

        yield lambda test: run_virtual(on_fake(test))
        return
    plane: ControlPlane = request.getfixturevalue("control_plane")
    request.getfixturevalue("crds")
    api = plane.client("admin")
    namespace = unique_name("conformance")
    create_namespace(api, namespace)

    async def on_real(test: Test) -> None:
        credentials = load_credentials(str(plane.kubeconfig("admin")))
        transport = AiohttpTransport(credentials, user_agent="conformance", environ={})
        try:
            await test(Server(transport, RealClock(), namespace))
        finally:
            await transport.close()

    yield lambda test: asyncio.run(on_real(test))
    remove_namespace(api, namespace)


def repository(name: str = "r", prefix: str = "a", **metadata: Any) -> Object:
    found = objects.repository(name, prefix=prefix)
    found["metadata"] = {"name": name, "labels": {"app": "x"}, **metadata}
    return found


def owned(obj: Object, manager: str, subresource: str = "") -> Object:
    """The fieldsV1 of one manager, as applied."""
    found = [
        entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, "Apply", subresource)
    ]
    return found[0] if found else {}


async def refused(kind: type[ApiError], attempt: Awaitable[Object]) -> ApiError:
    with pytest.raises(kind) as caught:
        await attempt
    return caught.value


def test_an_apply_creates_and_says_what_it_owns(run: Runner) -> None:
    async def test(server: Server) -> None:
        wanted = repository()
        made = await server.apply(wanted)
        assert made["metadata"]["generation"] == 1
        assert made["metadata"]["uid"]
        assert owned(made, "one") == {
            "f:metadata": {"f:labels": {"f:app": {}}},
            "f:spec": {
                "f:backend": {
                    "f:s3": {"f:bucket": {}, "f:endpoint": {}, "f:prefix": {}},
                    "f:storageSecretName": {},
                }
            },
        }
        assert live_fingerprint(made, manager="one") == desired_fingerprint(wanted)

    run(test)


def test_an_apply_of_the_same_changes_nothing(run: Runner) -> None:
    async def test(server: Server) -> None:
        first = await server.apply(repository())
        second = await server.apply(repository(), force=True)
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    run(test)


def test_what_is_no_longer_applied_goes(run: Runner) -> None:
    async def test(server: Server) -> None:
        await server.apply(repository(annotations={"a": "1", "b": "2"}))
        changed = await server.apply(repository(prefix="b", annotations={"b": "2"}))
        assert changed["metadata"]["annotations"] == {"b": "2"}
        assert changed["spec"]["backend"]["s3"]["prefix"] == "b"
        assert changed["metadata"]["generation"] == 2

    run(test)


def test_a_field_of_another_manager(run: Runner) -> None:
    async def test(server: Server) -> None:
        await server.apply(repository())
        error = await refused(Conflict, server.apply(repository(prefix="b"), manager="two"))
        assert [cause["reason"] for cause in error.causes] == ["FieldManagerConflict"]
        taken = await server.apply(repository(prefix="b"), manager="two", force=True)
        assert "f:prefix" not in owned(taken, "one")["f:spec"]["f:backend"]["f:s3"]
        assert "f:prefix" in owned(taken, "two")["f:spec"]["f:backend"]["f:s3"]
        shared = await server.apply(repository(prefix="b"))
        assert "f:prefix" in owned(shared, "one")["f:spec"]["f:backend"]["f:s3"], "equal values are shared"

    run(test)


def test_the_foreign_edit_of_an_applied_field(run: Runner) -> None:
    async def test(server: Server) -> None:
        await server.apply(repository())
        edited = await server.merge(REPOSITORY, "r", {"spec": {"backend": {"s3": {"prefix": "c"}}}})
        assert "f:prefix" not in owned(edited, "one")["f:spec"]["f:backend"]["f:s3"]
        back = await server.apply(repository(), force=True)
        assert back["spec"]["backend"]["s3"]["prefix"] == "a"

    run(test)


def test_uids_and_versions_as_preconditions(run: Runner) -> None:
    async def test(server: Server) -> None:
        await refused(Conflict, server.apply(repository(uid="of-nothing")))
        made = await server.apply(repository())
        error = await refused(Invalid, server.apply(repository(prefix="b", uid="another"), force=True))
        assert {cause["field"] for cause in error.causes} == {"metadata.uid"}
        version, uid = made["metadata"]["resourceVersion"], made["metadata"]["uid"]
        later = await server.apply(repository(prefix="b", uid=uid, resourceVersion=version), force=True)
        error = await refused(
            Conflict, server.apply(repository(prefix="c", uid=uid, resourceVersion=version), force=True)
        )
        assert "the object has been modified" in error.message
        assert not any(cause.get("reason") == "FieldManagerConflict" for cause in error.causes)
        await server.merge(REPOSITORY, "r", {"status": {"snapshotCount": 3}}, "status")
        await refused(
            Conflict,
            server.apply(
                repository(prefix="c", uid=uid, resourceVersion=later["metadata"]["resourceVersion"]), force=True
            ),
        )

    run(test)


def test_an_apply_that_only_creates(run: Runner) -> None:
    """With a version that no object has, an apply creates, or is refused."""

    async def test(server: Server) -> None:
        made = await server.apply(repository(resourceVersion="1"))
        assert made["metadata"]["resourceVersion"] != "1"
        error = await refused(Conflict, server.apply(repository(prefix="b", resourceVersion="1")))
        assert "the object has been modified" in error.message
        assert not error.causes
        same = await refused(Conflict, server.apply(repository(resourceVersion="1")))
        assert "the object has been modified" in same.message
        foreign = await refused(Conflict, server.apply(repository(prefix="b", resourceVersion="1"), manager="two"))
        assert [cause["reason"] for cause in foreign.causes] == ["FieldManagerConflict"]

    run(test)


def test_a_status_is_apart(run: Runner) -> None:
    async def test(server: Server) -> None:
        name = unique_name("bp")
        body = objects.blueprint(name)
        made = await server.create(BLUEPRINT, {**body, "status": {"matched": 7}})
        assert "matched" not in made.get("status", {}), "what is created has no status yet"
        try:
            head = {"apiVersion": body["apiVersion"], "kind": body["kind"]}
            metadata = {"name": name, "uid": made["metadata"]["uid"]}
            status = {**head, "metadata": metadata, "status": {"matched": 1}}
            told = await server.apply(status, subresource="status", force=True)
            assert told["status"]["matched"] == 1
            assert told["spec"]["schedule"] == body["spec"]["schedule"]
            assert told["metadata"]["generation"] == 1
            assert owned(told, "one", "status") == {"f:status": {"f:matched": {}}}
            again = await server.apply(status, subresource="status", force=True)
            assert again["metadata"]["resourceVersion"] == told["metadata"]["resourceVersion"]
            edited = await server.merge(BLUEPRINT, name, {"spec": {"schedule": "@daily"}, "status": {"matched": 9}})
            assert edited["status"]["matched"] == 1
            assert edited["metadata"]["generation"] == 2
            other = await server.apply({**status, "metadata": {"name": name, "uid": "x"}}, subresource="status")
            assert other["metadata"]["uid"] == made["metadata"]["uid"], (
                "a status has no say in metadata, not even as a precondition"
            )
        finally:
            await server.delete(BLUEPRINT, name)
        await refused(NotFound, server.apply(status, subresource="status"))

    run(test)


def test_deletions(run: Runner) -> None:
    async def test(server: Server) -> None:
        made = await server.apply(repository())
        error = await refused(Conflict, server.delete(REPOSITORY, "r", uid="another"))
        assert "the UID in the precondition" in error.message
        await server.delete(REPOSITORY, "r", uid=made["metadata"]["uid"])
        await refused(NotFound, server.get(REPOSITORY, "r"))
        await refused(NotFound, server.delete(REPOSITORY, "r", uid=made["metadata"]["uid"]))
        again = await server.apply(repository())
        assert again["metadata"]["uid"] != made["metadata"]["uid"]

    run(test)


def test_finalizers_hold_an_object(run: Runner) -> None:
    async def test(server: Server) -> None:
        await server.apply(repository())
        await server.merge(REPOSITORY, "r", {"metadata": {"finalizers": ["example.com/keep"]}})
        marked = await server.delete(REPOSITORY, "r")
        assert marked["metadata"]["deletionTimestamp"]
        assert marked["metadata"]["generation"] == 2
        assert (await server.get(REPOSITORY, "r"))["metadata"] == marked["metadata"]
        await server.merge(REPOSITORY, "r", {"metadata": {"finalizers": None}})
        await refused(NotFound, server.get(REPOSITORY, "r"))

    run(test)


def test_what_raises_the_generation(run: Runner) -> None:
    """Annotations do on a Deployment, and on nothing else; a claim has none."""

    async def test(server: Server) -> None:
        for kind in ("Deployment", "StatefulSet"):
            body = objects.target(kind, "shop", namespace=server.namespace)
            template = body["spec"]["template"]
            template["metadata"] = {"labels": {"app": "shop"}}
            body["spec"] |= {"selector": {"matchLabels": {"app": "shop"}}}
            if kind == "StatefulSet":
                body["spec"]["serviceName"] = "shop"
            await server.create(TARGETS[kind].resource, body)
        claim = objects.target("PersistentVolumeClaim", "shop", namespace=server.namespace)
        claim["spec"]["resources"] = {"requests": {"storage": "1Gi"}}
        await server.create(VOLUME, claim)
        patch = {"metadata": {"annotations": {"stash.appscode.com/schedule": "@daily"}}}
        found = [
            (await server.merge(resource, "shop", patch))["metadata"].get("generation")
            for resource in (DEPLOYMENT, STATEFUL, VOLUME)
        ]
        assert found == [2, 1, None]
        reduced = await server.get(DEPLOYMENT, "shop", METADATA)
        assert reduced["kind"] == "PartialObjectMetadata"
        assert "spec" not in reduced

    run(test)


def test_events_and_reviews(run: Runner) -> None:
    async def test(server: Server) -> None:
        path = f"/apis/events.k8s.io/v1/namespaces/{server.namespace}/events"
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": "e.1", "namespace": server.namespace},
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": "example.com/c",
            "reportingInstance": "c-1",
            "action": "Try",
            "reason": "Tried",
            "type": "Normal",
            "regarding": {"kind": "Secret", "namespace": server.namespace, "name": "s"},
        }
        await server.send("POST", path, body)
        assert (await refused(Conflict, server.send("POST", path, body))).reason == "AlreadyExists"
        series = {"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}}
        patched = await server.send("PATCH", f"{path}/e.1", series, content_type=MERGE)
        assert patched["series"]["count"] == 2
        attributes = {"verb": "get", "resource": "secrets", "namespace": server.namespace, "name": "s"}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = await server.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        assert answer["status"]["allowed"] is True

    run(test)


def test_writes_are_watched(run: Runner) -> None:
    """The cache of an informer follows applies, statuses and deletions."""

    async def test(server: Server) -> None:
        factory = InformerFactory(server.transport, server.clock, namespaces=(server.namespace,))
        informer = factory.informer(REPOSITORY, REPOSITORIES)
        told: list[str] = []
        informer.add_handler(lambda delta: told.append(type(delta).__name__), name="test")

        async def until(condition: Callable[[], bool]) -> None:
            async with asyncio.timeout(30):
                while not condition():  # noqa: ASYNC110 - what is awaited has no event to set
                    await asyncio.sleep(0.01)

        async with beside(factory.run()):
            await factory.wait_synced(30)
            made = await server.apply(repository())
            await until(lambda: told == ["Added"])
            await server.apply(repository(), force=True)
            await server.merge(REPOSITORY, "r", {"status": {"snapshotCount": 3}}, "status")
            await until(lambda: told == ["Added", "Updated"])
            row = informer.store.get(ObjectKey(server.namespace, "r"))
            assert row is not None
            assert row.uid == made["metadata"]["uid"]
            assert row.has_snapshots
            await server.delete(REPOSITORY, "r")
            await until(lambda: told == ["Added", "Updated", "Deleted"])

    run(test)


def test_owners_are_told_apart_by_uid(run: Runner) -> None:
    async def test(server: Server) -> None:
        owner = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "shop", "controller": True}
        body = objects.configuration("c")
        body["metadata"] = {"name": "c", "ownerReferences": [{**owner, "uid": "u-1"}]}
        body["spec"]["retentionPolicy"] = {"name": "keep", "keepLast": 1, "prune": True}
        made = await server.apply(body)
        assert owned(made, "one")["f:metadata"] == {"f:ownerReferences": {'k:{"uid":"u-1"}': {}}}
        body["metadata"]["ownerReferences"] = [{**owner, "uid": "u-2"}]
        changed = await server.apply(body)
        assert [reference["uid"] for reference in changed["metadata"]["ownerReferences"]] == ["u-2"]
        await server.delete(CONFIGURATION, "c")

    run(test)


def test_one_name_is_watched_from_what_there_is(run: Runner) -> None:
    """Without a version to begin at: what is there comes first, and of other names nothing."""

    async def test(server: Server) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}}
        for name in ("other", "one"):
            await server.create(SECRET, {**body, "metadata": {"name": name, "namespace": server.namespace}})
        seen: list[tuple[str, str, bool]] = []
        query = {"watch": "true", "fieldSelector": "metadata.name=one", "timeoutSeconds": "60"}
        path = SECRET.collection_path(server.namespace)
        async with server.transport.stream(path, query=query, accept=METADATA, idle_timeout=30) as chunks:
            splitter = LineSplitter()
            await server.merge(SECRET, "other", {"metadata": {"labels": {"x": "y"}}})
            await server.merge(SECRET, "one", {"data": {"a": "eQ=="}})
            await server.delete(SECRET, "one")
            async for chunk in chunks:
                for line in splitter.feed(chunk):
                    event = decode_line(line)
                    seen.append((event.type, event.name, "data" in (event.document or {})))
                if seen[-1][0] == "DELETED":
                    break
        assert seen == [("ADDED", "one", False), ("MODIFIED", "one", False), ("DELETED", "one", False)]

    run(test)


def test_metadata_tells_who_wrote_which_key(run: Runner) -> None:
    async def test(server: Server) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": "copy", "resourceVersion": "1"},
            "data": {"a": "eA==", "b": "eA=="},
        }
        made = await server.apply(body, manager=PRODUCT)
        assert (await refused(Conflict, server.apply(body, manager=PRODUCT))).status == 409
        assert owned_keys(await server.get(SECRET, "copy", METADATA), "data") == {"a", "b"}
        await server.merge(SECRET, "copy", {"data": {"c": "eA=="}})
        assert owned_keys(await server.get(SECRET, "copy", METADATA), "data") == {"a", "b"}, "a key besides is not ours"
        await server.merge(SECRET, "copy", {"data": {"a": "eQ=="}})
        live = await server.get(SECRET, "copy", METADATA)
        assert owned_keys(live, "data") == {"b"}, "a value that somebody changes is theirs"
        stale = {"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": stale}
        await refused(Conflict, server.send("DELETE", server.path(SECRET, "copy"), options))
        fresh = {**stale, "resourceVersion": live["metadata"]["resourceVersion"]}
        await server.send("DELETE", server.path(SECRET, "copy"), {**options, "preconditions": fresh})
        await refused(NotFound, server.get(SECRET, "copy"))

    run(test)
