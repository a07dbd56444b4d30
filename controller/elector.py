"""Leader election: at most one process works, by a Lease on the API server.

    FOLLOWING ──▶ LEADING ──▶ LOST      involuntary: the fence is shut, `LeadershipLost` ends the process (L7)
        └────────────┴──────▶ RESIGNED  on SIGTERM: writers stopped, the Lease given back (L9)

Contract:
- `run(work)` follows until the Lease is free, then runs `work` and renews. It returns when the process resigned, and
  raises `LeadershipLost`, or whatever `work` raised: work that fails or ends is the end of leading (L11). There is no
  way back to FOLLOWING; a new process has no memory to be wrong about.
- A follower never compares times of the Lease with its clock. It starts a clock of its own when what is written there
  changes, and waits for as long as is written there (L1). The server's resourceVersion decides between two who try.
- Validity is given to the fence: from before the request was sent, less a margin (L5).
- An attempt is over at its limit, and whatever it raises is a failed attempt (L4).
- A leader renews what it wrote itself and nothing else: a Lease that names another, or nobody, or is gone, is lost.

Where this differs from client-go, on purpose: L5; the Lease is watched, by the leader as well (L13); a leader that sees
another holder stops at once instead of at the renew deadline; a Lease that was deleted under its holder is not taken
before the holder's time is over; renewals carry the uid.

Source: client-go `tools/leaderelection/leaderelection.go`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final

import structlog

from controller import families as f
from controller.fence import STOP_SECONDS, Fence
from controller.lease import LEASE, Lease, Record, held_by, parse_time, read, released
from controller.leasewatch import LeaseWatch
from controller.metrics import Metrics
from controller.terms import JITTER, Terms
from informers.clock import Clock
from informers.errors import ApiError, Conflict, NotFound
from informers.resource import ObjectKey
from informers.transport import Transport

MANAGER: Final = "autobackup"
RELEASE_SECONDS: Final = 3.0
OVERDUE_SECONDS: Final = 20.0
_SPREAD: Final = 0.1

Work = Callable[[], Coroutine[None, None, None]]

_log = structlog.get_logger("leader-election")


class LeadershipLost(Exception):
    """The Lease was lost while leading; the process has to end. The text says why."""


class WorkEnded(Exception):
    """What the leader does returned although nobody asked it to stop: a defect (L11)."""


class State(Enum):
    """What this process is."""

    FOLLOWING = "following"
    LEADING = "leading"
    LOST = "lost"
    RESIGNED = "resigned"


class Elector:
    """One process's part in the election."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        fence: Fence,
        *,
        key: ObjectKey,
        identity: str,
        terms: Terms,
        metrics: Metrics,
    ) -> None:
        self.state = State.FOLLOWING
        self._transport = transport
        self._clock = clock
        self._fence = fence
        self._key = key
        self._path = LEASE.object_path(key)
        self._identity = identity
        self._terms = terms
        self._status = metrics.gauge(f.LEADING).labels(key.name)
        self._slow = metrics.counter(f.LEADING_SLOWPATH).labels(key.name)
        self._watch = LeaseWatch(transport, clock, key=key, terms=terms, seen=self._observe, gone=self._observe_gone)
        self._known = False
        self._lease: Lease | None = None
        self._record = Record()
        self._changed_at = 0.0
        self._renewed_at = 0.0
        self._due = 0.0
        self._why = ""
        self._failure = ""
        self.told = ""
        """What the last leader left for its successor, when it gave the Lease back to us."""
        self._note = ""
        self._resigning = False
        # Whether something was sent and not answered: it may have been carried out.
        self._unsure = False
        self._work: asyncio.Task[None] | None = None
        # Held during an attempt: whoever resigns does not cut it in two.
        self._attempting = asyncio.Lock()
        self._wake = asyncio.Event()
        self._lost = asyncio.Event()
        self.lease = f"{key.namespace}/{key.name}"
        self._names = {"identity": identity, "lease": self.lease}

    # ---- for the process

    async def run(self, work: Work, *, ready: asyncio.Event) -> None:
        """Until resigned. The Lease is looked at from the beginning and tried for from `ready` on (L12)."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch.run(), name="watch the Lease")
            end = tasks.create_task(self._end_when_lost(), name="end when the Lease is lost")
            await ready.wait()
            _log.info("Ready to lead", **self._names, holder=self._record.holder)
            while self.state is State.FOLLOWING:
                await self._follow()
            if self.state is State.LEADING:
                self._work = tasks.create_task(self._guard(work), name="lead")
            while self.state is State.LEADING:
                await self._lead()
            if self.state is State.RESIGNED:
                watch.cancel()
                end.cancel()

    async def resign(self, note: str = "") -> bool:
        """Give the Lease back, after the work has stopped (L9), with a note for whoever takes it. False when there was
        nothing to give back, or it could not be; then it runs out by itself."""
        self._note = note
        self._resigning = True
        async with self._attempting:
            if self.state is State.FOLLOWING:
                self._enter(State.RESIGNED)
                return self._unsure and await self._release()
            if self.state is not State.LEADING:
                return False
            if not await self._stop_work():
                self._lose("it was to be given back, but the work did not stop in time")
                return False
            self._fence.shut("the lease was given back")
            self._enter(State.RESIGNED)
            return await self._release()

    def overdue(self) -> str | None:
        """For liveness: why this process should be ended. A loop that hangs fails this check, too (L8)."""
        late = self._clock.boottime() - self._renewed_at - self._terms.lease
        if self.state is State.LEADING and late > OVERDUE_SECONDS:
            return f"leads without having renewed the lease for {late + self._terms.lease:.0f} s"
        return None

    # ---- following

    async def _follow(self) -> None:
        """Wait while somebody has the Lease; then one attempt to take it."""
        self._wake.clear()
        wait = self._seconds_to_wait()
        if wait > 0:
            # Not all at the same instant; one of them wins anyway.
            await self._pause(wait + self._clock.uniform(0.0, _SPREAD * self._terms.retry))
            return
        async with self._attempting:
            if self._resigning:
                self._enter(State.RESIGNED)
                return
            if await self._attempt(self._take, self._terms.attempt):
                return
        await self._pause(self._terms.retry * self._clock.uniform(1.0, 1.0 + JITTER))

    def _seconds_to_wait(self) -> float:
        """Until the Lease may be taken: by the time that is written in it, on a clock of our own (L1)."""
        record = self._record
        # Our own name: an answer that was lost told that we had won. A namesake is impossible (L10).
        if record.holder in ("", self._identity):
            return 0.0
        seconds = record.seconds if record.seconds is not None else float(self._terms.lease)
        return max(0.0, self._changed_at + seconds - self._clock.boottime())

    async def _take(self) -> None:
        if not self._known:
            await self._look()
            if self._seconds_to_wait() > 0:
                raise _NotYet
        told = self._lease.note if self._lease else ""
        await self._write()
        self.told = told
        self._enter(State.LEADING)

    # ---- leading

    async def _lead(self) -> None:
        """Wait until the next renewal is due, and make one attempt at it; or find out that it is over."""
        self._wake.clear()
        await self._pause(self._due - self._clock.boottime())
        async with self._attempting:
            if not self._leads():
                return
            left = self._renewed_at + self._terms.renew - self._clock.boottime()
            if left <= 0:
                self._lose(f"it could not be renewed for {self._terms.renew:g} s")
            elif not await self._attempt(self._renew, min(left, self._terms.attempt)):
                again = self._clock.boottime() + self._terms.retry * self._clock.uniform(0.25, 0.5)
                self._due = min(again, self._renewed_at + self._terms.renew)

    def _leads(self) -> bool:
        return self.state is State.LEADING

    async def _renew(self) -> None:
        """One PUT of what is known (L3); the long way only if that fails."""
        try:
            await self._write()
            return
        except (Conflict, NotFound):
            self._slow.inc()
        await self._look()
        if self._leads():
            await self._write()

    async def _guard(self, work: Work) -> None:
        await work()
        if not self._resigning:
            raise WorkEnded("the leader's work ended although nobody asked it to stop")

    def _lose(self, why: str) -> None:
        if self.state is not State.LEADING:
            return
        # First of all: from here on nothing is written any more (L7).
        self._fence.condemn(f"the lease was lost: {why}")
        self._why = why
        self._enter(State.LOST)

    async def _end_when_lost(self) -> None:
        """Raises in a task of its own, so that a loss cancels everything at once, an attempt under way as well."""
        await self._lost.wait()
        raise LeadershipLost(self._why)

    # ---- resigning

    async def _stop_work(self) -> bool:
        if self._work is None or self._work.done():
            return True
        self._work.cancel()
        _, running = await asyncio.wait({self._work}, timeout=STOP_SECONDS)
        return not running

    async def _release(self) -> bool:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                if self._unsure:
                    await self._look()
                while self._lease is not None and self._record.holder == self._identity:
                    try:
                        await self._put(released(self._lease, at=self._clock.wall(), note=self._note))
                    except Conflict:
                        await self._look()
                    else:
                        _log.info("Gave the Lease back", identity=self._identity, lease=str(self._key))
                        return True
        except Exception as error:  # the process ends in any case, and the Lease runs out
            _log.warning("The Lease could not be given back; it runs out", err=str(error) or repr(error))
        return False

    # ---- what is known of the Lease

    def _observe(self, lease: Lease) -> None:
        """A version that may be older than what is known: out of a watch, or an answer that somebody overtook."""
        if self._lease is None or lease.order > self._lease.order or not lease.order:
            self._adopt(lease)

    def _observe_gone(self, order: int) -> None:
        if self._lease is None or order > self._lease.order:
            self._adopt(None)

    def _adopt(self, lease: Lease | None) -> None:
        """What the API server has now."""
        before = self._record
        self._known = True
        self._lease = lease
        if lease is None:
            # Whoever held it may not know yet: its time goes on (see the module's contract).
            self._lose("the Lease was deleted")
        elif lease.record != before:
            self._record = lease.record
            self._changed_at = self._clock.boottime()
            if lease.record.holder != self._identity:
                self._lose(f"it is held by {lease.record.holder or 'nobody'}")
            if lease.record.holder not in (before.holder, self._identity) and self.state is State.FOLLOWING:
                self._tell_holder(lease.record)
        # A leader's own renewals come back by the watch; they are no reason to renew.
        if self.state is State.FOLLOWING and self._record != before:
            self._wake.set()

    async def _look(self) -> None:
        """Read the Lease from the API server, not from a cache of it."""
        try:
            response = await self._transport.request("GET", self._path, timeout=self._terms.attempt)
        except NotFound:
            self._adopt(None)
        else:
            self._adopt(read(response.json()))

    async def _write(self) -> None:
        """Take or renew the Lease, on top of the version that is known."""
        seconds = self._terms.lease
        sent = self._clock.boottime()  # L5: whoever else counts begins later
        document = held_by(self._identity, seconds=seconds, at=self._clock.wall(), key=self._key, last=self._lease)
        await self._put(document)
        if self._record.holder != self._identity:
            raise _NotYet  # it was taken away between the server's answer and now
        self._renewed_at = sent
        self._due = sent + self._terms.retry * self._clock.uniform(0.9, 1.0)
        self._fence.extend(sent + seconds - self._terms.margin)

    async def _put(self, document: dict[str, Any]) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        limit = self._terms.attempt
        # By PUT, also the first time: the right to create can then be given for this one name.
        query = {"fieldManager": MANAGER, "timeout": f"{limit:.3f}s"}
        self._unsure = True
        try:
            response = await self._transport.request("PUT", self._path, query=query, body=body, timeout=limit)
        except ApiError as error:
            self._unsure = not 400 <= error.status < 500
            raise
        self._unsure = False
        self._observe(read(response.json()))

    # ---- inside

    async def _attempt(self, action: Work, limit: float) -> bool:
        """Whether `action` succeeded within its limit; whatever it raises means that it did not (L4)."""
        try:
            async with asyncio.timeout(limit):
                await action()
        except _NotYet:
            return False
        except Exception as error:
            # What was sent may have been carried out: the next attempt begins with a look.
            self._known = False
            self._tell_failure(str(error) or type(error).__name__)
            return False
        self._failure = ""
        return True

    def _tell_failure(self, failure: str) -> None:
        """Once, and again when it is another one: a follower may try for hours."""
        level = _log.debug
        if failure != self._failure:
            level = _log.warning if self._leads() else _log.info
        self._failure = failure
        level("An attempt on the Lease failed", leading=self._leads(), err=failure)

    async def _pause(self, seconds: float) -> None:
        """Until then, or until something is new since the step began."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _enter(self, state: State) -> None:
        self.state = state
        self._status.set(1 if state is State.LEADING else 0)
        self._wake.set()
        match state:
            case State.LEADING:
                _log.info("Leading", **self._names, transitions=self._record.transitions)
            case State.LOST:
                self._lost.set()
                _log.error("Lost the Lease; the process ends", **self._names, why=self._why)
            case State.RESIGNED:
                _log.info("Resigned", **self._names)

    def _tell_holder(self, record: Record) -> None:
        renewed = parse_time(record.renewed)
        _log.info(
            "Somebody leads" if record.holder else "Nobody leads",
            holder=record.holder,
            seconds=record.seconds,
            renewed=renewed.isoformat() if renewed else "",
        )


class _NotYet(Exception):
    """The Lease turned out to be somebody else's."""
