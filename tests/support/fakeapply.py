"""The scripted API server with objects that are written: apply with field owners, patches, deletions, status, reviews.

It answers for single objects what `FakeApi` answers for collections, and keeps a journal of every request that could
change something: by whom, and whether it did. `handle` is one request carried out at this instant, and synchronous, so
that whoever stands between a client and the server decides when that is, and what becomes of the answer.

Left out on purpose: schemas (nothing is pruned or defaulted), rights (everything is allowed), garbage collection
(`collect_garbage` does it, when a test says so). What is there behaves as a real server does, which
tests/worlds/test_fake_is_like_real.py asserts by the same lines on both.

Source: apiserver `endpoints/handlers/{patch,create,delete}.go`, `registry/generic/registry/store.go`; KEP-555.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from informers.errors import ApiError, error_from_response
from informers.resource import ObjectKey, Resource
from informers.transport import Response
from tests.reconcilers import ssa
from tests.support import wirejson
from tests.support.fakeapi import FakeApi
from tests.support.fakestream import Served
from tests.support.virtualtime import START

Object = dict[str, Any]

PEOPLE = "people"
"""Who writes when nobody is named: everybody but the clients under test."""

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_SPEC_ALONE = frozenset(("StatefulSet", "DaemonSet"))
_NO_GENERATION = frozenset(("PersistentVolumeClaim", "Secret", "ConfigMap", "Event"))


@dataclass(frozen=True, slots=True)
class Change:
    """One request that may have changed an object. `revision` is 0 when it changed nothing."""

    at: float
    who: str
    verb: str
    resource: Resource
    key: ObjectKey
    subresource: str
    revision: int
    before: Object | None
    after: Object | None

    @property
    def effective(self) -> bool:
        return self.revision > 0


class ApplyServer(FakeApi):
    """See the module."""

    protobuf = False
    """Who loses or delays single events of it reads them on their way."""

    def __init__(self, *resources: Resource) -> None:
        super().__init__()
        self.journal: list[Change] = []
        self.with_status: set[str] = set()
        self.looks: list[tuple[str, str, float]] = []
        """Who read which single object when: client, path, time."""
        self._incarnations: Counter[tuple[str, ObjectKey]] = Counter()
        for resource in resources:
            self.serve_objects(resource)

    def serve_objects(self, resource: Resource) -> None:
        """Serve a kind; those with a domain for a group are custom ones, with a status of their own."""
        custom = "." in resource.group and not resource.group.endswith(".k8s.io")
        self.serve(resource, custom=custom)
        if custom:
            self.with_status.add(resource.kind)

    # ---- what people do

    def make(self, obj: Mapping[str, Any], *, manager: str = "kubectl") -> Object:
        """Create an object as a person would."""
        served = self._of_kind(obj["kind"])
        key = ObjectKey(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        return self._create(served, key, obj, manager=manager, who=PEOPLE)

    def edit(
        self, resource: Resource, key: ObjectKey, change: Callable[[Object], None], manager: str = "kubectl"
    ) -> None:
        """Change an object as a person would."""
        self._update(self._served_of(resource), key, change, manager=manager, who=PEOPLE)

    def report(
        self, resource: Resource, key: ObjectKey, change: Callable[[Object], None], manager: str = "stash"
    ) -> None:
        """Write a status as another controller would; nothing when there is no such object."""
        if self.look(resource, key) is not None:
            self._update(self._served_of(resource), key, change, manager=manager, who=PEOPLE, subresource="status")

    def remove(self, resource: Resource, key: ObjectKey) -> None:
        """Delete an object as a person would."""
        self._delete(self._served_of(resource), key, who=PEOPLE)

    def look(self, resource: Resource, key: ObjectKey) -> Object | None:
        return self._objects(resource).get(key)

    def every(self, resource: Resource) -> list[Object]:
        found = self._objects(resource)
        return [found[key] for key in sorted(found)]

    def collect_garbage(self) -> None:
        """Delete what has owners none of which exists any more."""
        alive = {obj["metadata"]["uid"] for served in self._served.values() for obj in served.objects.values()}
        for served in list(self._served.values()):
            for key, obj in list(served.objects.items()):
                owners = obj["metadata"].get("ownerReferences") or ()
                if owners and not any(owner["uid"] in alive for owner in owners):
                    self._delete(served, key, who="garbage collector")

    def is_object(self, path: str) -> bool:
        """Whether this is the path of a single object, and not of a collection or of what is served."""
        return self._object_at(path) is not None

    # ---- Transport

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 10.0,  # noqa: ASYNC109 - the protocol's own
    ) -> Response:
        if method == "GET" and self._object_at(path) is None:
            return await super().request(method, path, query=query, accept=accept, timeout=timeout)
        await asyncio.sleep(0)
        return self.handle(method, path, query=query, body=body, content_type=content_type, accept=accept)

    def handle(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        who: str = PEOPLE,
    ) -> Response:
        """Carry out a request for a single object, or one that creates; raises ApiError."""
        attempt, query = f"{method} {path}", query or {}
        if method == "POST" and path == _REVIEWS:
            review = {**json.loads(body or b"{}"), "status": {"allowed": True}}
            return Response(status=201, body=wirejson.encode(review), attempt=attempt)
        if method == "POST":
            found = self._find(path, self._served)
            if found is None:
                raise _missing_path(attempt)
            served, namespace = found
            obj = json.loads(body or b"{}")
            key = ObjectKey(namespace, obj["metadata"]["name"])
            manager = query.get("fieldManager", "client")
            return self._answer(attempt, served, self._create(served, key, obj, manager=manager, who=who), accept, 201)
        located = self._object_at(path)
        if located is None:
            raise _missing_path(attempt)
        served, key, subresource = located
        if method == "GET":
            self.looks.append((who, path, self._now()))
            return self._answer(attempt, served, self._require(attempt, served, key), accept, 200)
        if method == "DELETE":
            options = json.loads(body or b"{}")
            live = self._require(attempt, served, key)
            wanted = (options.get("preconditions") or {}).get("uid", "")
            if wanted and wanted != live["metadata"]["uid"]:
                raise _conflict(attempt, served, key, _uids(wanted, live))
            version = (options.get("preconditions") or {}).get("resourceVersion", "")
            if version and version != live["metadata"]["resourceVersion"]:
                message = (
                    f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                    f"({live['metadata']['resourceVersion']}). The object might have been modified"
                )
                raise _conflict(attempt, served, key, message)
            left = self._delete(served, key, who=who)
            if left is not None:
                return self._answer(attempt, served, left, accept, 200)
            done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return Response(status=200, body=wirejson.encode(done), attempt=attempt)
        assert method == "PATCH", method
        patch = json.loads(body or b"{}")
        manager = query.get("fieldManager", "client")
        if content_type == APPLY:
            force = query.get("force") == "true"
            obj, code = self._apply(attempt, served, key, subresource, patch, manager=manager, force=force, who=who)
            return self._answer(attempt, served, obj, accept, code)
        assert content_type == MERGE, content_type
        self._require(attempt, served, key)
        part = {"status": patch.get("status")} if subresource else patch

        def change(obj: Object) -> None:
            _merge(obj, part)

        obj = self._update(served, key, change, manager=manager, who=who, subresource=subresource)
        return self._answer(attempt, served, obj, accept, 200)

    # ---- inside

    def _create(self, served: Served, key: ObjectKey, obj: Mapping[str, Any], *, manager: str, who: str) -> Object:
        if key in served.objects:
            message = f'{served.resource.plural} "{key.name}" already exists'
            raise _error(f"create {key}", 409, "AlreadyExists", message)
        fresh = copy.deepcopy(dict(obj))
        if served.resource.kind in self.with_status:
            fresh.pop("status", None)
        fresh["metadata"]["namespace"] = key.namespace
        self._be_born(served, key, fresh)
        ssa.write_owners(fresh, {(manager, "Update", ""): set(ssa.leaves(fresh))})
        return self._put(served, key, fresh, verb="create", who=who)

    def _update(
        self,
        served: Served,
        key: ObjectKey,
        change: Callable[[Object], None],
        *,
        manager: str,
        who: str,
        subresource: str = "",
    ) -> Object:
        live = served.objects[key]
        new = copy.deepcopy(live)
        change(new)
        if not subresource and served.resource.kind in self.with_status and "status" in live:
            new["status"] = copy.deepcopy(live["status"])
        updated = ssa.update(live, new, manager=manager)
        return self._put(served, key, updated, verb="update", who=who, subresource=subresource)

    def _apply(
        self,
        attempt: str,
        served: Served,
        key: ObjectKey,
        subresource: str,
        body: Object,
        *,
        manager: str,
        force: bool,
        who: str,
    ) -> tuple[Object, int]:
        live = served.objects.get(key)
        metadata = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
        wanted = {**body, "metadata": {**metadata, "namespace": key.namespace}}
        if subresource:
            # A status has no say in metadata, and its uid is no precondition.
            wanted = {name: wanted[name] for name in ("apiVersion", "kind", subresource)}
            metadata = {"name": key.name, "namespace": key.namespace}
            wanted["metadata"] = metadata
            self._require(attempt, served, key)
        elif served.resource.kind in self.with_status:
            wanted.pop("status", None)
        uid, version = metadata.get("uid", ""), body["metadata"].get("resourceVersion", "")
        if live is None and uid:
            message = "uid mismatch: the provided object specified uid {}, and no existing object was found"
            raise _conflict(attempt, served, key, message.format(uid))
        if live is not None and uid and uid != live["metadata"]["uid"]:
            raise _immutable_uid(attempt, served, key, uid)
        try:
            new = ssa.apply(live, wanted, manager=manager, force=force, subresource=subresource)
        except ssa.ConflictError as conflict:
            causes = [{"reason": "FieldManagerConflict", "message": str(conflict)}]
            raise _error(attempt, 409, "Conflict", f"Apply failed with 1 conflict: {conflict}", causes=causes) from None
        if live is not None and version and version != live["metadata"]["resourceVersion"]:
            message = "the object has been modified; please apply your changes to the latest version and try again"
            raise _conflict(attempt, served, key, message)
        if live is None:
            self._be_born(served, key, new)
        made = self._put(served, key, new, verb="apply", who=who, subresource=subresource)
        return made, 201 if live is None else 200

    def _delete(self, served: Served, key: ObjectKey, *, who: str) -> Object | None:
        live = served.objects[key]
        if live["metadata"].get("finalizers"):
            if "deletionTimestamp" in live["metadata"]:
                return live
            marked = copy.deepcopy(live)
            marked["metadata"] |= {"deletionTimestamp": self._wall(), "deletionGracePeriodSeconds": 0}
            return self._put(served, key, marked, verb="delete", who=who)
        self._destroy(served, key, live, who=who)
        return None

    def _destroy(self, served: Served, key: ObjectKey, live: Object, *, who: str) -> None:
        self.delete(served.resource, key)
        self._note("delete", served, key, who=who, before=live, after=None)

    def _put(
        self, served: Served, key: ObjectKey, new: Object, *, verb: str, who: str, subresource: str = ""
    ) -> Object:
        live = served.objects.get(key)
        if live is not None and _same(live, new):
            self._note(verb, served, key, who=who, before=live, after=live, subresource=subresource, effective=False)
            return live
        if live is not None and self._raises_generation(served.resource, live, new):
            new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        if live is not None and "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            self._destroy(served, key, new, who=who)
            return new
        self.revision += 1
        new["metadata"]["resourceVersion"] = str(self.revision)
        served.objects[key] = new
        self._record(served.resource, "ADDED" if live is None else "MODIFIED", new)
        self._note(verb, served, key, who=who, before=live, after=new, subresource=subresource)
        return new

    def _note(
        self,
        verb: str,
        served: Served,
        key: ObjectKey,
        *,
        who: str,
        before: Object | None,
        after: Object | None,
        subresource: str = "",
        effective: bool = True,
    ) -> None:
        revision = self.revision if effective else 0
        change = Change(self._now(), who, verb, served.resource, key, subresource, revision, before, after)
        self.journal.append(change)

    def _be_born(self, served: Served, key: ObjectKey, obj: Object) -> None:
        kind = served.resource.kind
        self._incarnations[kind, key] += 1
        born = f"{kind}-{key.namespace}-{key.name}-{self._incarnations[kind, key]}".lower()
        obj["metadata"] |= {"uid": born, "creationTimestamp": self._wall()}
        if kind not in _NO_GENERATION:
            obj["metadata"]["generation"] = 1
        obj["metadata"] = {name: value for name, value in obj["metadata"].items() if value not in ("", None)}

    @staticmethod
    def _raises_generation(resource: Resource, live: Object, new: Object) -> bool:
        if resource.kind in _NO_GENERATION:
            return False
        annotated = resource.kind == "Deployment" and _annotations(live) != _annotations(new)
        marked = "deletionTimestamp" in new["metadata"] and "deletionTimestamp" not in live["metadata"]
        return bool(live.get("spec") != new.get("spec") or annotated or marked)

    def _answer(self, attempt: str, served: Served, obj: Object, accept: str, code: int) -> Response:
        return Response(status=code, body=wirejson.encode(served.render(obj, accept)), attempt=attempt)

    def _require(self, attempt: str, served: Served, key: ObjectKey) -> Object:
        live = served.objects.get(key)
        if live is None:
            message = f'{served.resource.plural} "{key.name}" not found'
            raise _error(attempt, 404, "NotFound", message)
        return live

    def _object_at(self, path: str) -> tuple[Served, ObjectKey, str] | None:
        subresource = ""
        if path.endswith("/status"):
            path, subresource = path.removesuffix("/status"), "status"
        collection, _, name = path.rpartition("/")
        found = self._find(collection, self._served)
        if found is None or (found[0].resource.namespaced and not found[1]):
            return None
        return found[0], ObjectKey(found[1], name), subresource

    def _of_kind(self, kind: str) -> Served:
        return next(served for served in self._served.values() if served.resource.kind == kind)

    def _served_of(self, resource: Resource) -> Served:
        return self._served[resource.collection_path()]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _wall(self) -> str:
        return (START + timedelta(seconds=self._now())).strftime("%Y-%m-%dT%H:%M:%SZ")


def _merge(into: Object, patch: Mapping[str, Any]) -> None:
    """RFC 7386."""
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, Mapping):
            at = into.get(name)
            if not isinstance(at, dict):
                at = into[name] = {}
            _merge(at, value)
        else:
            into[name] = copy.deepcopy(value)


def _same(live: Object, new: Object) -> bool:
    return {**live, "metadata": {**live["metadata"], "resourceVersion": ""}} == {
        **new,
        "metadata": {**new["metadata"], "resourceVersion": ""},
    }


def _annotations(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def _uids(wanted: str, live: Object) -> str:
    return (
        f"the UID in the precondition ({wanted}) does not match the UID in record ({live['metadata']['uid']}). "
        "The object might have been deleted and then recreated"
    )


def _immutable_uid(attempt: str, served: Served, key: ObjectKey, uid: str) -> ApiError:
    what = f'Invalid value: "{uid}": field is immutable'
    message = f'{served.resource.kind}.{served.resource.group} "{key.name}" is invalid: metadata.uid: {what}'
    causes = [{"reason": "FieldValueInvalid", "message": what, "field": "metadata.uid"}]
    return _error(attempt, 422, "Invalid", message, causes=causes)


def _conflict(attempt: str, served: Served, key: ObjectKey, message: str) -> ApiError:
    resource = served.resource
    text = f'Operation cannot be fulfilled on {resource.plural}.{resource.group} "{key.name}": {message}'
    return _error(attempt, 409, "Conflict", text)


def _missing_path(attempt: str) -> ApiError:
    return error_from_response(attempt, 404, {}, b"404 page not found")


def _error(attempt: str, code: int, reason: str, message: str, **details: Any) -> ApiError:
    return error_from_response(attempt, code, {}, wirejson.encode(wirejson.status(code, reason, message, **details)))
