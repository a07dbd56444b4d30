"""The one writer of Repositories, BackupConfigurations, statuses and copies of storage Secrets.

Every write goes through here: server-side apply with one field manager, the uid of the object when it is known, a
deadline, a bound on what is in flight. Nothing is written to a target, ever.

Contract: a write either returns what the server made of it or raises an `ApiError`; after an error its effect is
unknown and the same write may be sent again. A deletion looks at the live target first (read from the API server, not
from the cache): a stale cache must never cost anybody a backup.

Sources: KEP-555; apiserver `endpoints/handlers/patch.go` for the uid check; KEP-5647 for the live read before a
destructive act.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from controller.answers import read_object, require_definite, require_deletion
from controller.inflight import InFlight
from controller.secretcontent import SecretContent
from informers.clock import Clock
from informers.errors import Conflict, NotFound, TooManyRequests
from informers.resource import ObjectKey, Resource
from informers.revision import parse_revision
from informers.transport import METADATA, Response, Transport
from reconcilers import annotations as asked
from reconcilers.errors import Refusal
from reconcilers.fields import live_fingerprint
from reconcilers.keys import Key, ObjectRef
from reconcilers.kinds import GROUP, TARGETS
from reconcilers.marks import PRODUCT
from reconcilers.namespace import NAMESPACE
from reconcilers.plan import Apply, ApplyStatus, Delete
from reconcilers.secretcopy import SECRET, ApplySecret, Copy, DeleteSecret, project_copy

SECONDS = 10.0
"""Deadline of a write, for the server (`?timeout=`) and for us."""

_APPLY = "application/apply-patch+yaml"
# By default the server parses each patch a second time, to warn of fields that it does not know: a seventh of what an
# apply costs it. Nobody reads the warnings, and what the server made of a patch is compared with what was wanted.
_EVERY = {"timeout": f"{SECONDS:.0f}s", "fieldValidation": "Ignore"}
_NOT_THERE = "1"
"""A resourceVersion that no object has: an apply with it creates, or is refused by 409."""
_REMEMBERED = 65_536
# What the server says, before it reads the object from its storage and after, when a uid is not the live one.
_OTHER_UID = ("UID in the precondition", "UID in precondition")


class NotOurs(Exception):
    """A plan asked for a write to a kind that this operator never writes: a defect, stopped before it is sent."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did, and from which resourceVersion on the caches show it; `target` is the live target's reference
    where the applier looked at it."""

    resource: Resource
    key: ObjectKey
    uid: str
    revision: int
    target: ObjectRef | None = None


class Applier:
    """Sends the steps of a plan."""

    def __init__(self, transport: Transport, clock: Clock, *, most_in_flight: int) -> None:
        self._transport = transport
        self._clock = clock
        self._in_flight = InFlight(most_in_flight)
        self._effective: LRUCache[str, tuple[str, str]] = LRUCache(maxsize=_REMEMBERED)

    def effective(self, uid: str, fingerprint: str) -> str:
        """What the server made of the last apply to `uid`, if that apply had `fingerprint`; "" otherwise."""
        desired, made = self._effective.get(uid, ("", ""))
        return made if desired == fingerprint else ""

    async def apply(self, step: Apply) -> Written:
        """Apply one object. One that is new must not exist, and is not forced, so that nothing is taken over."""
        if step.resource == SECRET:
            raise NotOurs(f"apply Secret {step.key}: copies are written by apply_secret alone")
        query = {"fieldManager": step.manager, **_EVERY}
        if step.force:
            query["force"] = "true"
        # An object that is made must not be there yet: one of our own that no cache shows would be taken for granted.
        metadata = {**step.body["metadata"], "resourceVersion": step.version if step.uid else _NOT_THERE}
        if not metadata["resourceVersion"]:
            del metadata["resourceVersion"]
        body = {**step.body, "metadata": metadata}
        response = await self._write("PATCH", step.resource, step.key, query=query, body=body)
        live = read_object(response)
        metadata = live["metadata"]
        made = live_fingerprint(live)
        if step.manager == PRODUCT and made != step.fingerprint:
            self._effective[metadata["uid"]] = (step.fingerprint, made)
        return Written(step.resource, step.key, metadata["uid"], parse_revision(metadata["resourceVersion"]))

    async def apply_status(self, step: ApplyStatus) -> Written:
        """Apply a status; a condition without a time has just changed and gets the present one."""
        now = self._clock.wall().strftime("%Y-%m-%dT%H:%M:%SZ")
        status = dict(step.status)
        status["conditions"] = [{"lastTransitionTime": now, **c} for c in status.get("conditions", ())]
        body = {
            "apiVersion": step.resource.api_version,
            "kind": step.resource.kind,
            "metadata": {"name": step.key.name, "uid": step.uid},
            "status": status,
        }
        query = {"fieldManager": PRODUCT, "force": "true", **_EVERY}
        response = await self._write("PATCH", step.resource, step.key, "status", query=query, body=body)
        metadata = read_object(response)["metadata"]
        revision = parse_revision(metadata["resourceVersion"])
        return Written(step.resource, step.key, metadata["uid"], revision)

    async def delete(self, step: Delete) -> Written | None:
        """Delete one object if its target, looked at live, does not ask for it. None when nothing was done."""
        target = None
        if step.resource == SECRET:
            raise NotOurs(f"delete Secret {step.key}: copies are deleted by delete_secret alone")
        if not step.moved:
            live = await self._look_at(step.target)
            if live is not None and await self._is_asked_for(step, live):
                return None
            target = _reference(step, live) if live is not None else None
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": step.uid},
            "propagationPolicy": "Background",
        }
        query = {"timeout": f"{SECONDS:.0f}s"}
        try:
            require_deletion(await self._write("DELETE", step.resource, step.key, query=query, body=body))
        except NotFound:
            return None
        except Conflict as error:
            if any(text in error.message for text in _OTHER_UID):
                return None
            raise
        return Written(step.resource, step.key, step.uid, 0, target)

    async def apply_secret(self, step: ApplySecret, content: SecretContent) -> Copy:
        """Write a copy of a storage Secret: data of the source, nothing else of it. One that is new must not exist. The
        answer is metadata: what was sent does not come back."""
        identity = {"uid": step.uid} if step.uid else {"resourceVersion": _NOT_THERE}
        body = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "type": "Opaque",
            "metadata": {**step.metadata, **identity},
            "data": content.data_for(step.keys, identity=step.identity),
        }
        query = {"fieldManager": PRODUCT, **_EVERY, **({"force": "true"} if step.uid else {})}
        return project_copy(read_object(await self._write("PATCH", SECRET, step.key, query=query, body=body)))

    async def delete_secret(self, step: DeleteSecret) -> None:
        """Delete a copy if it is still the version that was looked at."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": step.uid, "resourceVersion": step.version},
        }
        try:
            require_deletion(
                await self._write("DELETE", SECRET, step.key, query={"timeout": f"{SECONDS:.0f}s"}, body=body)
            )
        except NotFound as error:
            require_definite(error)

    async def _is_asked_for(self, step: Delete, live: Mapping[str, Any]) -> bool:
        """Whether the live target names the blueprint, or its Namespace does for it."""
        if asked.BLUEPRINT in (live.get("annotations") or {}) or not step.inherits:
            return _names(live, step.blueprint)
        path = NAMESPACE.object_path(ObjectKey("", step.target.namespace))
        try:
            response = await self._transport.request("GET", path, accept=METADATA, timeout=SECONDS)
        except NotFound as error:
            require_definite(error)
            return False
        return _names(read_object(response)["metadata"], step.blueprint)

    async def _look_at(self, target: Key) -> Mapping[str, Any] | None:
        """The metadata of the live target; None when it does not exist."""
        kind = TARGETS[target.kind]
        key = ObjectKey(target.namespace, target.name)
        try:
            response = await self._transport.request(
                "GET", kind.resource.object_path(key), accept=METADATA, timeout=SECONDS
            )
        except NotFound as error:
            if kind.optional:
                await self._require_served(kind.resource)
            require_definite(error)
            return None
        metadata: Mapping[str, Any] = read_object(response)["metadata"]
        return metadata

    async def _require_served(self, resource: Resource) -> None:
        """Raise unless objects of this kind can exist: a CRD that is removed takes its objects along, one by one, and
        none of them asked for the end of its backups. While it does so, the server lists the kind without `create`."""
        response = await self._transport.request("GET", resource.api_path, timeout=SECONDS)
        for entry in response.json().get("resources") or ():
            if entry.get("name") == resource.plural and "create" in (entry.get("verbs") or ()):
                return
        raise NotFound(
            f"look whether {resource.kind} is served",
            status=404,
            reason="NotServed",
            message="the kind is not served or about to go; what was made for its objects is kept",
        )

    async def _write(
        self,
        method: str,
        resource: Resource,
        key: ObjectKey,
        subresource: str = "",
        *,
        query: Mapping[str, str],
        body: Mapping[str, Any],
    ) -> Response:
        if resource.group != GROUP and resource != SECRET:
            raise NotOurs(f"{method} {resource.kind} {key.namespace}/{key.name}: not a kind of {GROUP}")
        encoded = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        async with self._in_flight:
            try:
                response = await self._transport.request(
                    method,
                    resource.object_path(key, subresource),
                    query=query,
                    body=encoded,
                    content_type=_APPLY if method == "PATCH" else "application/json",
                    accept=METADATA
                    if method == "PATCH" and (subresource or resource == SECRET)
                    else "application/json",
                    timeout=SECONDS + 1.0,
                )
            except TooManyRequests:
                self._in_flight.throttled()
                raise
        self._in_flight.succeeded()
        return response


def _names(metadata: Mapping[str, Any], blueprint: str) -> bool:
    """Whether a live target names the blueprint, or says something that cannot be understood."""
    named = (metadata.get("annotations") or {}).get(asked.BLUEPRINT)
    if named is None:
        return False
    try:
        return blueprint in asked.blueprint_names(named)
    except Refusal:
        return True


def _reference(step: Delete, metadata: Mapping[str, Any]) -> ObjectRef:
    api_version = TARGETS[step.target.kind].resource.api_version
    return ObjectRef(api_version, *step.target, uid=str(metadata.get("uid", "")))
