"""What is between one process of the operator and the API server: a delay both ways, and what a run has in store."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from informers.errors import ApiError, IdleTimeout, TransportError, error_from_response
from informers.transport import Body, Response
from tests.support import wirejson
from tests.support.fakeapply import ApplyServer
from tests.worlds.disturbances import AFTER, BEFORE, Crash, Disturbance, Frozen, Late, Lost, Refusal

LEG = (0.001, 0.006)
"""Seconds that anything takes from one end to the other."""
LATE_SECONDS = 9.0
"""How long after the client gave up a late request is carried out."""
_CONSISTENT_SECONDS = 3.0
_REASONS = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}


class Gone(asyncio.CancelledError):
    """The process does not exist any more."""


class Script:
    """The disturbances of one run, and the counts that they go by."""

    def __init__(self, disturbances: Sequence[Disturbance] = ()) -> None:
        self.requests: list[str] = []
        self.events: list[str] = []
        self.crashed = asyncio.Event()
        self.downtime = 0.0
        self.last_at = 0.0
        """When the last disturbance ended, or will."""
        self.met = 0
        self._by_request: dict[int, Crash | Refusal] = {}
        self._by_event: dict[int, Lost | Late] = {}
        self._frozen: dict[Frozen, float | None] = {}
        for disturbance in disturbances:
            match disturbance:
                case Crash(request=number) | Refusal(request=number):
                    self._by_request[number] = disturbance
                case Lost(event=number) | Late(event=number):
                    self._by_event[number] = disturbance
                case Frozen():
                    self._frozen[disturbance] = None

    def request(self, what: str) -> Crash | Refusal | None:
        self.requests.append(what)
        return self._meet(self._by_request.get(len(self.requests)))

    def event(self, what: str) -> Lost | Late | None:
        self.events.append(what)
        return self._meet(self._by_event.get(len(self.events)))

    def held_until(self, plural: str, revision: int) -> float:
        """Until when something of this version is not shown; 0 when it is."""
        now, until = _now(), 0.0
        for frozen, known in self._frozen.items():
            if revision <= frozen.revision:
                continue
            end = now + frozen.seconds if known is None else known
            if known is None:
                self.met += 1
                self._frozen[frozen] = end
                self.extend(end)
            if now < end and (not frozen.plurals or plural in frozen.plurals):
                until = max(until, end)
        return until

    def extend(self, until: float) -> None:
        self.last_at = max(self.last_at, until)

    def _meet(self, found: Any) -> Any:
        if found is not None:
            self.met += 1
            self.extend(_now())
        return found


class Wire:
    """One process's `Transport`."""

    def __init__(self, server: ApplyServer, script: Script, *, who: str, seed: int) -> None:
        self.who = who
        self.dead = False
        self._server = server
        self._script = script
        self._chance = random.Random(seed)
        self._late: set[asyncio.TimerHandle] = set()

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
        disturbance = self._script.request(attempt)
        await self._leg()
        if isinstance(disturbance, Refusal) and disturbance.what == "late":
            self._carry_out_late(
                timeout, method, path, query=query, body=body, content_type=content_type, accept=accept
            )
        await self._disturb(disturbance, BEFORE, attempt, timeout)
        answer: Response | ApiError
        try:
            answer = await self._carry_out(
                method, path, query=query, body=body, content_type=content_type, accept=accept
            )
        except ApiError as error:
            answer = error
        await self._disturb(disturbance, AFTER, attempt, timeout)
        await self._leg()
        if isinstance(answer, ApiError):
            raise answer
        return answer

    @asynccontextmanager
    async def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AsyncIterator[Body]:
        plural = path.rpartition("/")[2]
        attempt = f"WATCH {path}"
        disturbance = self._script.request(attempt)
        await self._leg()
        await self._disturb(disturbance, BEFORE, attempt, idle_timeout)
        if not query.get("resourceVersion"):
            await self._read_consistently(attempt, plural)
        async with self._server.stream(path, query=query, accept=accept, idle_timeout=idle_timeout) as body:
            await self._disturb(disturbance, AFTER, attempt, idle_timeout)
            await self._leg()
            yield Body(_Tap(self, self._script, body.chunks, plural=plural, attempt=attempt, idle=idle_timeout))

    async def close(self) -> None:
        pass

    async def leg(self) -> None:
        await self._leg()

    def forget_history(self) -> None:
        self._server.compact()

    # ---- inside

    async def _leg(self) -> None:
        await asyncio.sleep(self._chance.uniform(*LEG))
        if self.dead:
            raise Gone

    async def _carry_out(self, method: str, path: str, **rest: Any) -> Response:
        if method == "GET" and not self._server.is_object(path):
            await self._read_consistently(f"GET {path}", path.rpartition("/")[2])
            return await self._server.request(method, path, **rest)
        return self._server.handle(method, path, **rest, who=self.who)

    async def _read_consistently(self, attempt: str, plural: str) -> None:
        """A server that lags behind waits until it has caught up, and gives up soon: KEP-2340."""
        if self._script.held_until(plural, self._server.revision) > _now():
            await asyncio.sleep(_CONSISTENT_SECONDS)
            if self._script.held_until(plural, self._server.revision) > _now():
                causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
                status = wirejson.status(504, "Timeout", "Too large resource version", causes=causes)
                raise error_from_response(attempt, 504, {"retry-after": "1"}, wirejson.encode(status))

    async def _disturb(self, disturbance: Crash | Refusal | None, when: str, attempt: str, limit: float) -> None:
        if disturbance is None or disturbance.when != when:
            return
        if isinstance(disturbance, Crash):
            self.dead = True
            self._script.downtime = disturbance.downtime
            self._script.crashed.set()
            await asyncio.get_running_loop().create_future()
        assert isinstance(disturbance, Refusal)
        what = disturbance.what
        if isinstance(what, int):
            headers = {"retry-after": "1"} if what == 429 else {}
            status = wirejson.status(what, _REASONS[what], f"{_REASONS[what]}, as the test wants it")
            raise error_from_response(attempt, what, headers, wirejson.encode(status))
        if what == "reset":
            raise TransportError(attempt, reason="ClientOSError", message="connection reset by peer")
        self._script.extend(_now() + limit + (LATE_SECONDS if what == "late" else 0.0))
        await asyncio.sleep(limit)
        raise TransportError(attempt, reason="Timeout", message=f"no answer within {limit:.1f} s")

    def _carry_out_late(self, limit: float, method: str, path: str, **rest: Any) -> None:
        def arrive() -> None:
            self._late.discard(handle)
            try:
                self._server.handle(method, path, **rest, who=self.who)
            except ApiError:
                return  # nobody is there to be told

        handle = asyncio.get_running_loop().call_later(limit + LATE_SECONDS, arrive)
        self._late.add(handle)


class _Tap:
    """The lines of one watch, as they reach the client."""

    def __init__(
        self, wire: Wire, script: Script, chunks: AsyncIterator[bytes], *, plural: str, attempt: str, idle: float
    ) -> None:
        self._wire = wire
        self._script = script
        self._chunks = chunks
        self._plural = plural
        self._attempt = attempt
        self._idle = idle
        self._lines: list[bytes] = []

    def __aiter__(self) -> _Tap:
        return self

    async def __anext__(self) -> bytes:
        while not self._lines:
            chunk = await anext(self._chunks)
            self._lines = chunk.splitlines(keepends=True)
            await self._wire.leg()
        line = self._lines.pop(0)
        document = json.loads(line)
        metadata = document["object"].get("metadata", {})
        revision = int(metadata.get("resourceVersion") or 0)
        until = self._script.held_until(self._plural, revision)
        if until > _now():
            await asyncio.sleep(until - _now())
        if document["type"] in ("ADDED", "MODIFIED", "DELETED") or "annotations" in metadata:
            await self._disturb(f"{document['type']} {self._plural} {metadata.get('name', '')}")
        if self._wire.dead:
            raise Gone
        return line

    async def _disturb(self, what: str) -> None:
        disturbance = self._script.event(what)
        if isinstance(disturbance, Late):
            self._script.extend(_now() + disturbance.seconds)
            await asyncio.sleep(disturbance.seconds)
        elif isinstance(disturbance, Lost):
            self._lines.clear()
            if disturbance.how == "silence":
                self._script.extend(_now() + self._idle)
                await asyncio.sleep(self._idle)
                raise IdleTimeout(self._attempt, reason="IdleTimeout", message="no byte")
            if disturbance.how == "gone":
                self._wire.forget_history()
            raise TransportError(self._attempt, reason="ClientPayloadError", message="connection reset by peer")


def _now() -> float:
    return asyncio.get_running_loop().time()
