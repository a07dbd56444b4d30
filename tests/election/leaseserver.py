"""An API server that has one Lease, and networks to it that lose, delay and cut; in virtual time.

The server behaves as a real one does where election depends on it (tests/autobackup/test_election.py asks a real one
the same questions): optimistic locking, creation by PUT, the uid as a precondition, times with six digits, watches that
begin with the present object.

Time is the running loop's: that is true time, which no node can see. A message is on its way independently of who sent
it: a client that gave up does not call it back.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from informers.errors import IdleTimeout, TransportError, error_from_response
from informers.transport import Body, Response

PATH = "/apis/coordination.k8s.io/v1/namespaces/system/leases/autobackup"
_MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

Answer = tuple[int, dict[str, Any]]


def now() -> float:
    """True time."""
    return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class Write:
    """One accepted write to anything but the Lease, as the audit log would have it."""

    node: str
    sent: float
    arrived: float


class LeaseServer:
    """See the module's contract."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.revision = 100
        self.requests: list[tuple[float, str, str]] = []
        self.writes: list[Write] = []
        self.holders: list[tuple[float, str]] = []
        self._uids = 0
        self._watchers: list[asyncio.Queue[bytes | None]] = []

    # ---- what people do with kubectl

    def edit(self, **spec: Any) -> None:
        """Change the Lease by hand."""
        assert self.lease is not None
        document = copy.deepcopy(self.lease)
        document["spec"].update(spec)
        self._store(document)

    def touch(self) -> None:
        """Change something about the Lease that is no part of the record."""
        if self.lease is not None:
            document = copy.deepcopy(self.lease)
            document["metadata"].setdefault("labels", {})["touched"] = str(self.revision)
            self._store(document)

    def delete(self) -> None:
        assert self.lease is not None
        self.revision += 1
        self.lease["metadata"]["resourceVersion"] = str(self.revision)
        self._tell("DELETED", self.lease)
        self.lease = None

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        found: dict[str, Any] = self.lease["spec"]
        return found

    def close_watches(self) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(None)

    # ---- what clients do

    def handle(self, method: str, path: str, body: bytes | None, *, node: str, sent: float) -> Answer:
        self.requests.append((now(), node, method))
        if path != PATH:
            if method != "GET":
                self.writes.append(Write(node, sent, now()))
            return 200, {}
        if method == "GET":
            return (200, copy.deepcopy(self.lease)) if self.lease else _status(404, "NotFound", "not found")
        assert method == "PUT", "a Lease is written by PUT alone"
        assert body is not None
        return self._put(json.loads(body))

    def _put(self, document: dict[str, Any]) -> Answer:
        metadata = document["metadata"]
        revision, uid = metadata.get("resourceVersion"), metadata.get("uid")
        present = self.lease["metadata"] if self.lease else {}
        if uid and uid != present.get("uid", ""):
            return _status(409, "Conflict", "Precondition failed: UID in precondition")
        for name in ("renewTime", "acquireTime"):
            if name in document["spec"] and not _MICRO.fullmatch(document["spec"][name]):
                return _status(400, "BadRequest", f"parsing time {document['spec'][name]}")
        if document["spec"].get("leaseDurationSeconds", 1) <= 0:
            return _status(422, "Invalid", "must be greater than 0")
        if self.lease is not None:
            if not revision:
                return _status(422, "Invalid", "metadata.resourceVersion: must be specified for an update")
            if revision != present["resourceVersion"]:
                return _status(409, "Conflict", "the object has been modified")
        self._store(document)
        assert self.lease is not None
        return 200, copy.deepcopy(self.lease)

    def _store(self, document: dict[str, Any]) -> None:
        kind = "MODIFIED" if self.lease else "ADDED"
        if not self.lease:
            self._uids += 1
            document["metadata"]["uid"] = f"uid-{self._uids}"
        self.revision += 1
        document["metadata"]["resourceVersion"] = str(self.revision)
        self.lease = document
        holder = document["spec"].get("holderIdentity") or ""
        if not self.holders or self.holders[-1][1] != holder:
            self.holders.append((now(), holder))
        self._tell(kind, document)

    def _tell(self, kind: str, document: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": document}).encode() + b"\n"
        for watcher in self._watchers:
            watcher.put_nowait(line)

    @asynccontextmanager
    async def watcher(self) -> AsyncIterator[asyncio.Queue[bytes | None]]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if self.lease is not None:
            queue.put_nowait(json.dumps({"type": "ADDED", "object": self.lease}).encode() + b"\n")
        self._watchers.append(queue)
        try:
            yield queue
        finally:
            self._watchers.remove(queue)


def _status(code: int, reason: str, message: str) -> Answer:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message}


@dataclass(slots=True)
class Network:
    """What is between one node and the server; change it while it is used."""

    chance: random.Random
    delay: tuple[float, float] = (0.001, 0.01)
    lose_requests: float = 0.0
    lose_replies: float = 0.0
    refused: bool = False
    cut: bool = False
    watches: bool = True
    deaf: bool = False
    unanswered: frozenset[str] = frozenset()

    def leg(self) -> float:
        return self.chance.uniform(*self.delay)


class NodeTransport:
    """One node's `Transport`. `gate` is awaited wherever the node's code would go on: a stopped node does not."""

    def __init__(
        self, server: LeaseServer, network: Network, *, node: str, gate: Callable[[], Any], sending: Callable[[], None]
    ) -> None:
        self._server = server
        self._network = network
        self._node = node
        self._gate = gate
        self._sending = sending

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
        attempt = f"{method} {path}"
        await self._gate()
        if self._network.refused:
            raise TransportError(attempt, reason="ClientConnectorError", message="refused")
        if path != PATH and method != "GET":
            self._sending()
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        sent = now()

        def arrive() -> None:
            answer = self._server.handle(method, path, body, node=self._node, sent=sent)
            lost = self._network.cut or method in self._network.unanswered
            if not (lost or self._network.chance.random() < self._network.lose_replies):
                loop.call_later(self._network.leg(), reply, answer)

        def reply(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        if not (self._network.cut or self._network.chance.random() < self._network.lose_requests):
            loop.call_later(self._network.leg(), arrive)
        try:
            async with asyncio.timeout(timeout):
                code, document = await answered
        except TimeoutError:
            raise TransportError(attempt, reason="Timeout", message="no answer in time") from None
        finally:
            await self._gate()
        if code >= 400:
            raise error_from_response(attempt, code, {}, json.dumps(document).encode())
        return Response(status=code, body=json.dumps(document).encode(), attempt=attempt)

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AsyncIterator[Body]:
        await self._gate()
        assert query["fieldSelector"] == "metadata.name=autobackup", "the right is for one name"
        if self._network.refused or not self._network.watches:
            raise TransportError(f"WATCH {path}", reason="ClientConnectorError", message="refused")
        async with self._server.watcher() as queue:
            yield Body(self._lines(path, queue, idle_timeout))

    async def _lines(self, path: str, queue: asyncio.Queue[bytes | None], idle: float) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(idle):
                    line = await queue.get()
                    await asyncio.sleep(self._network.leg())
                    if self._network.cut or self._network.deaf:
                        await asyncio.Event().wait()
            except TimeoutError:
                raise IdleTimeout(f"WATCH {path}", reason="IdleTimeout", message="silent") from None
            await self._gate()
            if self._network.refused or not self._network.watches:
                raise TransportError(f"WATCH {path}", reason="ServerDisconnectedError", message="cut")
            if line is None:
                return
            yield line

    async def close(self) -> None:
        pass
