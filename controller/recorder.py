"""Writes Kubernetes Events (events.k8s.io/v1) without ever making a reconcile wait.

Contract:
- `emit` returns at once. What cannot be kept is dropped, the oldest first, and counted.
- The same Event about the same object within `SAME_SECONDS` is not written again: the one that exists gets a series
  with a count. Per object and reason there is a budget of `BURST` writes and one more every `REFILL_SECONDS`.
- The name of an Event follows from what it says, so that what a start finds (`EventIntent.found`) is not written again
  while the Event of an earlier process is there. Of what a start finds, `FOUND` Events are written for each reason:
  thousands of targets with one mistake are told by their blueprint's status. What happens anew is always told: where
  its name is taken it gets another one.
- One task (`run`) writes, one Event at a time, so that Events never compete with the operator's own writes.
- An Event is not worth a fight: where the namespace is gone or going it is forgotten in silence, a refusal is told
  once for each reason, and a server that does not answer is tried `ATTEMPTS` times.
- That a right is missing is believed, for a while and for one namespace, when it was said `REFUSALS` times: a server
  that has just started refuses everybody until it has read its roles.

Sources of the ideas: client-go `tools/events` and `tools/record/events_cache.go` (series, numbers of the budget); what
the server checks (limits in bytes, eventTime, qualified reportingController) is apimachinery's validation of Events.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from typing import Any, Final

import structlog
from cachetools import LRUCache, TTLCache

from controller.ratelimit import TokenBucket
from controller.redaction import scrub
from informers.clock import Clock
from informers.errors import (
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
    Unauthorized,
)
from informers.transport import METADATA, Transport
from reconcilers.keys import ObjectRef
from reconcilers.plan import EventIntent

CONTROLLER: Final = "autobackup.stash.appscode.com/controller"
SAME_SECONDS: Final = 600.0
BURST: Final = 25
FOUND: Final = 100
REFILL_SECONDS: Final = 300.0
CAPACITY: Final = 5000
REMEMBERED: Final = 10_000
ATTEMPTS: Final = 4
REFUSALS: Final = 6
REFUSAL_SECONDS: Final = 1.0
NOTE_BYTES: Final = 1024
WORD_BYTES: Final = 128
_MAX_RETRY_AFTER: Final = 10.0
_TRANSIENT: Final = (TransportError, TooManyRequests, ServerError, Unauthorized)
_LAST: Final = 3
"""The pause after a failure doubles so often."""

_log = structlog.get_logger("events")


@dataclass(slots=True)
class _Series:
    """An Event that was written, or is about to be, and how often it was asked for."""

    namespace: str
    name: str
    count: int
    last: datetime
    queued: bool = True
    written: bool = False


@dataclass(frozen=True, slots=True)
class _Job:
    key: Hashable
    series: _Series
    intent: EventIntent
    at: datetime


class EventRecorder:
    """See the module's contract. `dropped(reason)` is called for each Event that is given up."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        identity: str,
        dropped: Callable[[str], None],
        capacity: int = CAPACITY,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._identity = _cut(identity, WORD_BYTES)
        self._dropped = dropped
        self._capacity = capacity
        self._jobs: deque[_Job] = deque()
        self._series: TTLCache[Hashable, _Series] = TTLCache(REMEMBERED, SAME_SECONDS, timer=clock.monotonic)
        self._budgets: LRUCache[Hashable, TokenBucket] = LRUCache(REMEMBERED)
        self._refused: set[str] = set()
        self._believed: TTLCache[str, None] = TTLCache(REMEMBERED, SAME_SECONDS, timer=clock.monotonic)
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def emit(self, intent: EventIntent) -> None:
        """Have an Event written, soon and if possible."""
        at = self._clock.wall()
        about = _identity(intent.regarding)
        key = (about, intent.type, intent.reason, intent.action, intent.note)
        series = self._series.get(key)
        if series is not None:
            series.count += 1
            series.last = at
            if series.queued or not self._afford(about, intent.reason):
                return  # it is told with the next one that is written
            series.queued = True
        else:
            if intent.found and not self._afford(None, intent.reason, FOUND):
                self._dropped("rate")
                return
            if not self._afford(about, intent.reason):
                self._dropped("rate")
                return
            name = _name(intent.regarding, _digest(intent))
            series = _Series(intent.regarding.namespace or "default", name, 1, at)
            self._series[key] = series
        if len(self._jobs) >= self._capacity:
            self._forget(self._jobs.popleft(), "overflow")
        self._jobs.append(_Job(key, series, intent, at))
        self._idle.clear()
        self._work.set()

    async def run(self) -> None:
        """Write what is emitted, until cancelled. Run it once."""
        while True:
            await self._work.wait()
            while self._jobs:
                await self._write(self._jobs.popleft())
            self._work.clear()
            self._idle.set()

    async def flush(self, timeout: float) -> bool:  # noqa: ASYNC109  a budget of the shutdown, not of one request
        """Wait until everything is written, for `timeout` seconds; what is left then is dropped."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            while self._jobs:
                self._forget(self._jobs.popleft(), "shutdown")
            return False
        return True

    def _afford(self, about: Hashable, reason: str, burst: int = BURST) -> bool:
        budget = self._budgets.get((about, reason))
        if budget is None:
            budget = self._budgets[about, reason] = TokenBucket(rate=1 / REFILL_SECONDS, burst=burst)
        return budget.take(self._clock.monotonic())

    def _forget(self, job: _Job, reason: str) -> None:
        """Give up one job; the next Event of its kind starts anew."""
        job.series.queued = False
        if self._series.get(job.key) is job.series:
            del self._series[job.key]
        self._dropped(reason)

    async def _write(self, job: _Job) -> None:
        for attempt in count(1):
            try:
                await self._send(job)
            except _TRANSIENT as error:
                if attempt >= ATTEMPTS:
                    _log.warning("Gave up an Event", **_which(job.intent), err=str(error))
                    self._forget(job, "failed")
                    return
                await self._pause(attempt, min(error.retry_after or 0.0, _MAX_RETRY_AFTER))
            except ApiError as error:
                if attempt == 1 and isinstance(error, Conflict) and not (job.series.written or job.intent.found):
                    # It was said before, by another process or long ago. That it happens again is told as well.
                    job.series.name = _name(job.intent.regarding, self._clock.token(8))
                    continue
                if attempt >= REFUSALS or not self._doubts(job, error):
                    self._refuse(job, error)
                    return
                await self._pause(attempt, REFUSAL_SECONDS)
            else:
                job.series.queued = False
                job.series.written = True
                return

    async def _pause(self, attempt: int, floor: float) -> None:
        await self._clock.sleep(floor + self._clock.uniform(0.0, 0.25 * 2 ** min(attempt, _LAST)))

    def _doubts(self, job: _Job, error: ApiError) -> bool:
        if not isinstance(error, Forbidden) or _terminating(error):
            return False
        return job.series.namespace not in self._believed

    def _refuse(self, job: _Job, error: ApiError) -> None:
        if isinstance(error, Conflict) and not job.series.written:
            # What is there is this very Event: told before, or written by an attempt whose answer was lost.
            job.series.queued = False
            job.series.written = True
            return
        gone = isinstance(error, NotFound) or _terminating(error)
        if isinstance(error, Forbidden) and not gone:
            self._believed[job.series.namespace] = None
        kind = type(error).__name__
        if not gone and kind not in self._refused:
            self._refused.add(kind)
            _log.warning("Events are refused", **_which(job.intent), err=str(error))
        self._forget(job, "refused")

    async def _send(self, job: _Job) -> None:
        series = job.series
        collection = f"/apis/events.k8s.io/v1/namespaces/{series.namespace}/events"
        if series.written:
            patch = {"series": {"count": series.count, "lastObservedTime": _micro(series.last)}}
            await self._transport.request(
                "PATCH",
                f"{collection}/{series.name}",
                body=json.dumps(patch).encode(),
                content_type="application/merge-patch+json",
                accept=METADATA,
            )
        else:
            body = json.dumps(self._body(job), separators=(",", ":")).encode()
            await self._transport.request("POST", collection, body=body, accept=METADATA)

    def _body(self, job: _Job) -> dict[str, Any]:
        intent, series = job.intent, job.series
        body: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": series.namespace},
            "eventTime": _micro(job.at),
            "reportingController": CONTROLLER,
            "reportingInstance": self._identity,
            "action": _cut(intent.action, WORD_BYTES),
            "reason": _cut(intent.reason, WORD_BYTES),
            "type": intent.type,
            "note": _cut(scrub(intent.note[: 8 * NOTE_BYTES]), NOTE_BYTES),
            "regarding": _reference(intent.regarding),
        }
        if intent.related is not None:
            body["related"] = _reference(intent.related)
        if series.count > 1:
            body["series"] = {"count": series.count, "lastObservedTime": _micro(series.last)}
        return body


def _identity(ref: ObjectRef) -> Hashable:
    return ref.uid or (ref.kind, ref.namespace, ref.name)


def _name(regarding: ObjectRef, token: str) -> str:
    return f"{regarding.name[: 252 - len(token)].rstrip('.-')}.{token}"


def _digest(intent: EventIntent) -> str:
    """The same for all Events that say the same of the same object."""
    about = intent.regarding
    said = (intent.type, intent.reason, intent.action, scrub(intent.note[: 8 * NOTE_BYTES]))
    text = "\0".join((about.uid, about.kind, about.namespace, about.name, *said))
    return blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _terminating(error: ApiError) -> bool:
    return isinstance(error, Forbidden) and any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes)


def _which(intent: EventIntent) -> dict[str, str]:
    ref = intent.regarding
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name, "reason": intent.reason}


def _reference(ref: ObjectRef) -> dict[str, str]:
    given = {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "uid": ref.uid,
    }
    return {key: value for key, value in given.items() if value}


def _micro(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _cut(text: str, limit: int) -> str:
    """`text` within `limit` bytes of UTF-8, which is what the server counts."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return text if encoded.decode() == text else encoded.decode()
    return encoded[: limit - 3].decode("utf-8", "ignore") + "..."
