"""A scripted API server in memory, behind the project's `Transport`.

What it keeps: objects, and a log of changes ordered by resourceVersion, which can be compacted. What it does: LIST with
pages and continue tokens, watches that resume from a version, streaming lists, bookmarks each minute, the end of a
watch after `timeoutSeconds`, 410 and "too large" where a real server answers so, discovery of what is served. What can
be done to it: `fail` answers (status, with or without Retry-After), refused connections, streams that are cut, closed
or silenced at the n-th byte, chunk borders anywhere, restoring an older state, kinds that appear and disappear.

Its time is the running loop's, so on a virtual loop an hour costs nothing. What it does on the wire is compared with a
real server in tests/informers/test_fake_is_like_real.py.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from informers.errors import REFUSED, ApiError, TransportError, error_from_response
from informers.resource import ObjectKey, Resource
from informers.transport import Body, Response
from tests.support import wirejson, wireproto
from tests.support.fakestream import ALL_BYTES, FakeStream, Served

_PARTIAL_LIST = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for. `verb` is list, watch, watchlist or get."""

    verb: str
    path: str
    query: Mapping[str, str]
    accept: str
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Instead of what was asked for: a failure with this status."""

    code: int
    reason: str = ""
    message: str = ""
    retry_after: int | None = None
    causes: tuple[str, ...] = ()
    plain: bool = False


TOO_LARGE = Answer(504, "Timeout", "Too large resource version", causes=("ResourceVersionTooLarge",))


@dataclass(frozen=True, slots=True)
class Refuse:
    """No connection is made; `listens`: somebody is there, who does not answer."""

    listens: bool = True


@dataclass(frozen=True, slots=True)
class Spoil:
    """Answer, but stop the stream after so many bytes (by `cut`, `close` or `silence`), or change what it carries."""

    after: int = ALL_BYTES
    how: str = "cut"
    prepend: bytes = b""
    events: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Sent before all others, as (type, object)."""
    rewrite: Callable[[bytes], bytes] | None = None


@dataclass(slots=True)
class _Rule:
    fault: Answer | Refuse | Spoil
    verb: str
    plural: str
    times: int


@dataclass(frozen=True, slots=True)
class _Change:
    revision: int
    resource: Resource
    type: str
    document: dict[str, Any]


class FakeApi:
    """One API server. It is its own transport: hand it to whatever takes one."""

    protobuf = True
    """Whether it writes metadata so for who asks for it; a proxy may not let it."""

    def __init__(self, *resources: Resource, chunk: int = ALL_BYTES) -> None:
        self.requests: list[Request] = []
        self.streams: list[FakeStream] = []
        self.revision = 1000
        self.compacted = 0
        self.streaming_lists = True
        self.bookmarks = True
        self.expired_as_event = True
        self.chunk = chunk
        self._served: dict[str, Served] = {}
        self._hidden: dict[str, Served] = {}
        self._log: list[_Change] = []
        self._rules: list[_Rule] = []
        self._continued: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self._uids = itertools.count(1)
        for resource in resources:
            self.serve(resource)

    # ---- what happens in the cluster

    def serve(self, resource: Resource, *, custom: bool = False) -> None:
        """Begin to serve a kind (again)."""
        self._served[resource.collection_path()] = self._hidden.pop(
            resource.collection_path(), Served(resource, custom)
        )

    def remove_kind(self, resource: Resource) -> None:
        """Stop to serve a kind: its objects are deleted, its watches closed."""
        for key in list(self._served[resource.collection_path()].objects):
            self.delete(resource, key)
        del self._served[resource.collection_path()]
        self.close_streams(resource)

    def hide_kind(self, resource: Resource) -> None:
        """Answer 404 for a kind that is there, as a server does that is not ready yet; discovery still names it."""
        self._hidden[resource.collection_path()] = self._served.pop(resource.collection_path())
        self.close_streams(resource)

    def unhide_kind(self, resource: Resource) -> None:
        self._served[resource.collection_path()] = self._hidden.pop(resource.collection_path())

    def create(self, resource: Resource, name: str, namespace: str = "ns", **fields: Any) -> dict[str, Any]:
        """`fields` with names of metadata go there, all others into the object."""
        key = ObjectKey(namespace if resource.namespaced else "", name)
        self.revision += 1
        metadata = {"name": name, "namespace": key.namespace, "uid": f"uid-{next(self._uids)}"}
        document: dict[str, Any] = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        self._edit(document, fields)
        document["metadata"]["resourceVersion"] = str(self.revision)
        self._objects(resource)[key] = document
        self._record(resource, "ADDED", document)
        return document

    def update(self, resource: Resource, key: ObjectKey, **fields: Any) -> dict[str, Any]:
        document = copy.deepcopy(self._objects(resource)[key])
        self.revision += 1
        self._edit(document, fields)
        document["metadata"]["resourceVersion"] = str(self.revision)
        self._objects(resource)[key] = document
        self._record(resource, "MODIFIED", document)
        return document

    def delete(self, resource: Resource, key: ObjectKey) -> None:
        document = copy.deepcopy(self._objects(resource).pop(key))
        self.revision += 1
        document["metadata"]["resourceVersion"] = str(self.revision)
        self._record(resource, "DELETED", document)

    def compact(self) -> None:
        """Forget all history: whoever wants to resume from before now has to read everything again."""
        self.compacted = self.revision
        self._log.clear()

    def snapshot(self) -> tuple[int, dict[str, dict[ObjectKey, dict[str, Any]]]]:
        return self.revision, {path: copy.deepcopy(served.objects) for path, served in self._served.items()}

    def restore(self, snapshot: tuple[int, dict[str, dict[ObjectKey, dict[str, Any]]]]) -> None:
        """The storage comes back as an older copy than what clients have seen; connections break."""
        self.revision, objects = snapshot
        for path, served in self._served.items():
            served.objects = copy.deepcopy(objects[path])
        self._log = [change for change in self._log if change.revision <= self.revision]
        self.cut_streams()

    def restart(self) -> None:
        """Another process takes over: connections break, and bookmarks come only for kinds that change from now on."""
        for served in self._served.values():
            served.changed = False
        self.cut_streams()

    # ---- what happens on the wire

    def fail(
        self, fault: Answer | Refuse | Spoil, *, verb: str = "", resource: Resource | None = None, times: int = 1
    ) -> None:
        """Treat the next `times` matching requests so; rules are used up in order."""
        self._rules.append(_Rule(fault, verb, resource.plural if resource else "", times))

    def heal(self) -> None:
        self._rules.clear()

    def send_bookmarks(self) -> None:
        for stream in self._open():
            stream.bookmark()

    def send(self, kind: str, document: Mapping[str, Any]) -> None:
        """Put an event into every open stream that no change caused."""
        for stream in self._open():
            stream.push(stream.encode(kind, document))

    def send_raw(self, data: bytes) -> None:
        """Put bytes into every open stream."""
        for stream in self._open():
            stream.push(data)

    def cut_streams(self) -> None:
        for stream in self._open():
            stream.spoil(0, "cut")

    def close_streams(self, resource: Resource | None = None) -> None:
        for stream in self._open():
            if resource is None or stream.resource == resource:
                stream.spoil(0, "close")

    def silence_streams(self) -> None:
        for stream in self._open():
            stream.spoil(0, "silence")

    def verbs(self, resource: Resource | None = None) -> list[str]:
        """The verbs of all requests so far."""
        return [seen.verb for seen in self.requests if resource is None or seen.path.endswith(f"/{resource.plural}")]

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
        await asyncio.sleep(0)
        query = query or {}
        verb = "list" if self._find(path, self._served) or self._find(path, self._hidden) else "get"
        fault = self._admit(verb, path, query, accept)
        attempt = f"{method} {path}"
        if isinstance(fault, Answer):
            raise _refusal(attempt, fault)
        found = self._find(path, self._served)
        if found is None:
            return self._discover(attempt, path)
        body = wirejson.encode(self._page(attempt, *found, query, accept))
        return Response(status=200, headers={"content-type": "application/json"}, body=body, attempt=attempt)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AsyncIterator[Body]:
        await asyncio.sleep(0)
        attempt = f"WATCH {path}"
        verb = "watchlist" if query.get("sendInitialEvents") == "true" else "watch"
        fault = self._admit(verb, path, query, accept)
        if isinstance(fault, Answer):
            raise _refusal(attempt, fault)
        found = self._find(path, self._served)
        if found is None:
            raise _refusal(attempt, Answer(404, plain=True, message="404 page not found"))
        stream = FakeStream(self, attempt, *found, query=query, accept=accept, idle_timeout=idle_timeout)
        if isinstance(fault, Spoil):
            stream.rewrite = fault.rewrite
            stream.push(fault.prepend)
            for kind, document in fault.events:
                stream.push(stream.encode(kind, document))
        self._begin(stream, verb, query)
        if isinstance(fault, Spoil):
            stream.spoil(fault.after, fault.how)
        self.streams.append(stream)
        try:
            yield Body(stream, content_type=wireproto.STREAM if stream.in_protobuf else "application/json")
        finally:
            stream.left = True

    async def close(self) -> None:
        self.cut_streams()

    # ---- inside

    def _begin(self, stream: FakeStream, verb: str, query: Mapping[str, str]) -> None:
        wanted = int(query.get("resourceVersion") or 0)
        if verb == "watchlist":
            if not self.streaming_lists:
                message = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
                raise _refusal(stream.attempt, Answer(422, "Invalid", message))
            if wanted > self.revision:
                causes = [{"reason": cause, "message": TOO_LARGE.message} for cause in TOO_LARGE.causes]
                too_large = wirejson.status(TOO_LARGE.code, TOO_LARGE.reason, TOO_LARGE.message, causes=causes)
                stream.push(stream.encode("ERROR", too_large))
                stream.spoil(ALL_BYTES, "end")
                return
            for key in sorted(self._objects(stream.resource)):
                stream.change("ADDED", self._objects(stream.resource)[key])
            stream.bookmark(initial_events_end=True)
            return
        if "resourceVersion" not in query:
            # Without a version to begin at, a watch begins with what there is, told as if it were made now.
            stream.resumes_from = self.revision
            for key in sorted(self._objects(stream.resource)):
                stream.change("ADDED", self._objects(stream.resource)[key])
            return
        if wanted < self.compacted:
            gone = Answer(410, "Expired", f"too old resource version: {wanted} ({self.compacted})")
            if not self.expired_as_event:
                raise _refusal(stream.attempt, gone)
            stream.push(stream.encode("ERROR", wirejson.status(410, "Expired", gone.message)))
            stream.spoil(ALL_BYTES, "end")
            return
        for change in self._log:
            if change.revision > wanted and change.resource == stream.resource:
                stream.change(change.type, change.document)

    def _page(
        self, attempt: str, served: Served, namespace: str, query: Mapping[str, str], accept: str
    ) -> dict[str, Any]:
        limit = int(query.get("limit") or 0)
        if query.get("resourceVersionMatch") == "NotOlderThan" and int(query["resourceVersion"]) > self.revision:
            raise _refusal(attempt, TOO_LARGE)
        if query.get("continue"):
            # Later pages are of the time of the first one, as long as history reaches back to it.
            revision, documents = self._continued[query["continue"]]
            if revision < self.compacted:
                raise _refusal(attempt, Answer(410, "Expired", "The provided continue parameter is too old"))
        else:
            keys = [key for key in sorted(served.objects) if not namespace or key.namespace == namespace]
            revision, documents = self.revision, [served.objects[key] for key in keys]
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        chosen, left = (documents[:limit], documents[limit:]) if limit else (documents, [])
        if left:
            metadata |= {"continue": f"token-{len(self._continued)}", "remainingItemCount": len(left)}
            self._continued[metadata["continue"]] = (revision, left)
        items = [served.render(document, accept) for document in chosen]
        if "PartialObjectMetadataList" in accept:
            return {**_PARTIAL_LIST, "metadata": metadata, "items": items or None}
        if not served.custom:
            items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
        kind, version = f"{served.resource.kind}List", served.resource.api_version
        return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}

    def _admit(self, verb: str, path: str, query: Mapping[str, str], accept: str) -> Answer | Spoil | None:
        self.requests.append(Request(verb, path, dict(query), accept, asyncio.get_running_loop().time()))
        for rule in self._rules:
            if rule.times > 0 and rule.verb in ("", verb) and rule.plural in ("", path.rpartition("/")[2]):
                rule.times -= 1
                if isinstance(rule.fault, Refuse):
                    reason = "Unreachable" if rule.fault.listens else REFUSED
                    raise TransportError(f"{verb} {path}", reason=reason, message="no connection")
                return rule.fault
        return None

    def _find(self, path: str, among: Mapping[str, Served]) -> tuple[Served, str] | None:
        for served in among.values():
            if path == served.resource.collection_path():
                return served, ""
            head, _, plural = path.rpartition("/")
            root, _, namespace = head.rpartition("/namespaces/")
            if namespace and f"{root}/{plural}" == served.resource.collection_path():
                return served, namespace
        return None

    def _discover(self, attempt: str, path: str) -> Response:
        known = [*self._served.values(), *self._hidden.values()]
        names = [served.resource.plural for served in known if served.resource.api_path == path]
        if not names:
            raise _refusal(attempt, Answer(404, plain=True, message="404 page not found"))
        document = {"kind": "APIResourceList", "resources": [{"name": name} for name in names]}
        return Response(status=200, body=wirejson.encode(document), attempt=attempt)

    def _objects(self, resource: Resource) -> dict[ObjectKey, dict[str, Any]]:
        return self._served[resource.collection_path()].objects

    def _record(self, resource: Resource, kind: str, document: dict[str, Any]) -> None:
        self._log.append(_Change(self.revision, resource, kind, copy.deepcopy(document)))
        self._served[resource.collection_path()].changed = True
        for stream in self._open():
            if stream.resource == resource and self.revision > stream.resumes_from:
                stream.change(kind, document)

    def _open(self) -> Iterator[FakeStream]:
        return (stream for stream in self.streams if not stream.left)

    @staticmethod
    def _edit(document: dict[str, Any], fields: Mapping[str, Any]) -> None:
        for name, value in fields.items():
            in_metadata = name in ("labels", "annotations", "managedFields", "ownerReferences", "generation", "uid")
            (document["metadata"] if in_metadata else document)[name] = value


def _refusal(attempt: str, answer: Answer) -> ApiError:
    headers = {"retry-after": str(answer.retry_after)} if answer.retry_after is not None else {}
    if answer.plain:
        return error_from_response(attempt, answer.code, headers, answer.message.encode())
    details: dict[str, Any] = {}
    if answer.causes:
        details["causes"] = [{"reason": cause, "message": answer.message} for cause in answer.causes]
    body = wirejson.encode(wirejson.status(answer.code, answer.reason, answer.message, **details))
    return error_from_response(attempt, answer.code, headers, body)
