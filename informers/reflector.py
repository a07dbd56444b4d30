"""Keeps one slice of a store equal to what the API server has: the list and watch state machine.

    START ──▶ STREAMING_LIST ──▶ WATCH ──▶ RESTING ──▶ WATCH, from the last version
                    │              ▲          └──────▶ START, to read the collection again
                    └──▶ LIST ─────┘
    a kind that is not served, or that one may not read: ──▶ ABSENT ──▶ START

Contract: one reflector per resource and namespace (R1). `run` never returns and never raises but for cancellation; each
`step` does what its state says and sets the next one. Whatever goes wrong takes one way out: `recovery.py` says where
to go on, `backoff.py` how long to wait.

Invariants:
- The store's slice is replaced only by a collection that was received to its end (R3), and the stream that brought it
  is the one that is watched afterwards (R5).
- A byte at least every 70 s, or the connection counts as dead; the server sends bookmarks each minute (R10).
- What is between reading a socket and telling handlers is synchronous (`intake.py`); none of them can delay it (R24).

Where this differs from client-go, on purpose:
- R20: an undecodable event stops nothing; see `intake.py`.
- R10: storage that was restored from an older copy (kubernetes#107457) is noticed, see `history.py`.

Source of the idea: client-go `tools/cache/reflector.go`; kube-rs `watcher.rs` (states as an enum with one step).
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Generic, TypeVar

from informers.backoff import Backoff
from informers.channel import WATCH_SECONDS, Channel
from informers.clock import Clock
from informers.errors import Forbidden, IdleTimeout, NotFound, Rewound, TooManyRequests, TransportError, Unfinished
from informers.gates import Gates
from informers.history import Witness
from informers.intake import Intake, Sink
from informers.listing import read_pages
from informers.observer import InformerObserver
from informers.presence import Presence, is_absent
from informers.projection import Projection, Row
from informers.recovery import Attempt, Recovery, Restart, is_repeated, recover
from informers.replacement import Replacement
from informers.resource import Resource
from informers.stream import WatchStream
from informers.transport import Transport

R = TypeVar("R", bound=Row)

ABSENT_SECONDS = (1800.0, 3600.0)
"""Between two looks for a kind whose group and version the server does not have: it is told when they come."""
HEALTHY_SECONDS = 60.0
LEISURELY_SECONDS = (300.0, 600.0)
REFUSALS = 5
LASTING = 15  # refusals, after which nobody is about to grant the right


class State(Enum):
    """What a reflector is doing."""

    START = "start"
    STREAMING_LIST = "streaming list"
    LIST = "list"
    WATCH = "watch"
    RESTING = "resting"
    ABSENT = "absent"


_ATTEMPTS = {
    State.STREAMING_LIST: Attempt.STREAMING_LIST,
    State.LIST: Attempt.LIST,
    State.WATCH: Attempt.WATCH,
}


class Reflector(Generic[R]):
    """One resource in one namespace, or in all of them."""

    def __init__(
        self,
        resource: Resource,
        projection: Projection[R],
        sink: Sink[R],
        *,
        namespace: str,
        optional: bool,
        dispensable: bool = False,
        transport: Transport,
        clock: Clock,
        observer: InformerObserver,
        gates: Gates,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.state = State.START
        self.synced = False
        self.last_error: Exception | None = None
        self.last_event_at: float | None = None
        self.relists = 0
        self.intake = Intake(resource, projection, sink, namespace=namespace, clock=clock, observer=observer)
        self._channel = Channel(
            transport,
            resource,
            namespace=namespace,
            metadata_only=projection.metadata_only,
            clock=clock,
            observer=observer,
            history=gates.history,
        )
        self._witness = Witness(lambda: self.intake.anchor, self._channel.is_told_again, self.refresh)
        gates.history.join(self._witness)
        self._metadata_only = projection.metadata_only
        self._sink = sink
        self._optional = optional
        self._dispensable = dispensable
        self._transport = transport
        self._clock = clock
        self._observer = observer
        self._gates = gates
        self._backoff = Backoff(clock)
        self._wake = asyncio.Event()
        self._consistent = True
        self._silences = self._unfinished = self._refusals = 0
        self._interrupted = self._absent = False
        self._repair_at: float | None = None
        self._refresh_wanted = False
        self._reading: asyncio.Timeout | None = None
        self._delay = 0.0
        self._after_rest = State.START
        self._started_at = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        self._started_at = self._clock.monotonic()
        try:
            while True:
                await self.step()
        finally:
            await self._channel.close("stopped")

    def poke(self) -> None:
        """The kind may be served now: do not wait any longer for it."""
        if isinstance(self.last_error, NotFound):
            self._backoff.begin_anew()
        self._wake.set()

    def refresh(self) -> None:
        """Read the collection as the server has it now, although nothing failed: what was read may lag behind."""
        self._refresh_wanted = True
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(0.0)  # long past: at once

    async def step(self) -> None:
        """Do what the state says, and set the next one."""
        if self.state in _ATTEMPTS:
            await self._try(_ATTEMPTS[self.state])
        elif self.state is State.START:
            streaming = self._gates.may_stream(self.resource)
            self.state = State.STREAMING_LIST if streaming else State.LIST
        else:
            await self._rest()

    # ---- reading the whole collection

    async def _streaming_list(self) -> None:
        """R2 to R5: the initial events of a watch, up to the bookmark that ends them."""
        started = self._clock.monotonic()
        # Consistent (R7) at the start and when in doubt: a cache that lags behind would take us back in time.
        wanted = "" if self._consistent else self.intake.revision
        stream = await self._channel.open(wanted, initial=True)
        replacement = self._sink.begin(self.namespace)
        while (lines := await stream.next_lines()) is not None:
            self.last_event_at = self._clock.monotonic()
            for position, line in enumerate(lines, start=1):
                end = self.intake.gather(line, replacement, stream.encoding)
                if end is not None:
                    stream.put_back(lines[position:])
                    await self._adopt(replacement, end.resource_version, authoritative=not wanted, started=started)
                    return
        raise Unfinished(
            f"WATCH {self._channel.path}",
            reason="Unfinished",
            message=f"the stream ended after {replacement.items} initial objects and before the last of them",
        )

    async def _list(self) -> None:
        """R6, R8: the same with LIST, where the server streams no lists."""
        started = self._clock.monotonic()
        replacement = self._sink.begin(self.namespace)
        revision = ""
        async for page in read_pages(
            self._transport, self.resource, namespace=self.namespace, metadata_only=self._metadata_only
        ):
            self.last_event_at = self._clock.monotonic()
            if page.first:
                replacement, revision = self._sink.begin(self.namespace), page.revision
            for item in page.items:
                self.intake.gather_item(item, replacement, api_version=page.api_version, kind=page.item_kind)
            await self._clock.sleep(0)
        await self._adopt(replacement, revision, authoritative=True, started=started)

    async def _adopt(self, replacement: Replacement[R], revision: str, *, authoritative: bool, started: float) -> None:
        rows = len(replacement.draft)
        telling = self.intake.adopt(replacement, revision, authoritative=authoritative, initial=not self.synced)
        for _ in telling:
            # The store is complete; only telling ten thousand rows takes long enough for others to get a turn (T8).
            await self._clock.sleep(0)
        self._consistent = self._interrupted = self._absent = False
        self._channel.trust()
        self._unfinished = self._silences = 0
        self._repair_at = None
        if replacement.unidentified:
            # R20: some rows may only be there because nobody can tell which object it was. Look again, at leisure.
            self._repair_at = self._clock.monotonic() + self._clock.uniform(*LEISURELY_SECONDS)
        self.last_error = None
        self._observer.listed(
            self.resource,
            self.namespace,
            items=replacement.items,
            rows=rows,
            seconds=self._clock.monotonic() - started,
        )
        self._mark_synced()
        self.state = State.WATCH

    def _mark_synced(self) -> None:
        if not self.synced:
            self.synced = True
            self._observer.synced(self.resource, self.namespace, seconds=self._clock.monotonic() - self._started_at)

    # ---- watching

    async def _watch(self) -> None:
        stream = self._channel.stream
        if stream is None:
            stream = await self._channel.resume(self.intake.revision)
        if stream is None:
            self._delay = 0.0
            self._restart(Restart.RELIST_CONSISTENT, Attempt.WATCH, reason="history")
            return
        while await self._follow(stream):
            self._repair_at = self._clock.monotonic() + self._backoff.next()
        if self._repair_at is not None or self._refresh_wanted:
            reason = "refresh" if self._refresh_wanted else "undecodable"
            self._refresh_wanted = False
            await self._channel.close(reason)
            self._delay = 0.0
            self._restart(Restart.RELIST_CONSISTENT, Attempt.WATCH, reason=reason)
        else:
            await self._ended_politely(stream)

    async def _follow(self, stream: WatchStream) -> bool:
        """Take events until the stream ends, a refresh is wanted or a repair is due. True when a repair is to be put
        off: the stream goes on for everybody else meanwhile (R20)."""
        left = None if self._repair_at is None else self._repair_at - self._clock.monotonic()
        if self._refresh_wanted or (left is not None and left <= 0):
            return False
        try:
            async with asyncio.timeout(left) as self._reading:  # one for many chunks: each is a microsecond's work
                while (lines := await stream.next_lines()) is not None:
                    self.last_event_at = self._clock.monotonic()
                    count = self.intake.apply(lines, stream.encoding)
                    stream.events += count
                    if count:
                        self._silences, self.last_error = 0, None
                    if self.intake.repair_wanted and self._repair_at is None:
                        return True
        except TimeoutError:
            return False
        finally:
            self._reading = None
            if stream.held:
                self._backoff.begin_anew()
        return False

    async def _ended_politely(self, stream: WatchStream) -> None:
        lived = self._clock.monotonic() - stream.opened_at
        useful = stream.useful
        await self._channel.close("closed" if useful else "short")
        # The server ends each watch after the time that was asked for: that is no failure. Whatever ends sooner takes
        # the backoff in the end, however politely it ended, or a broken proxy would be asked each second (R19).
        self._interrupted = self._interrupted or lived < WATCH_SECONDS[0]
        self._delay = 0.0 if lived >= HEALTHY_SECONDS else self._backoff.next(useful=useful)
        self._restart(Restart.RETRY, Attempt.WATCH, reason="closed")

    # ---- failing, resting, trying again

    async def _try(self, attempt: Attempt) -> None:
        try:
            if attempt is Attempt.WATCH:
                await self._watch()
                return
            # Held while reading only: a kind that rests after a failure keeps nobody waiting (R27).
            async with self._gates.relist if self.synced else self._gates.initial:
                await (self._streaming_list() if attempt is Attempt.STREAMING_LIST else self._list())
        except Exception as error:  # every failure takes the same way out; cancellation is no Exception (T3)
            stream = self._channel.stream
            useful = attempt is Attempt.WATCH and stream is not None and stream.useful
            await self._channel.failed(error, watching=attempt is Attempt.WATCH)
            await self._fail(error, attempt, useful=useful)

    async def _fail(self, error: Exception, attempt: Attempt, *, useful: bool) -> None:
        silent = isinstance(error, IdleTimeout) and attempt is Attempt.WATCH
        # It is strange when bookmarks stop, and when the server may be another one since, perhaps with older storage.
        if silent and (self.intake.bookmarked or self._interrupted):
            self._silences += 1
            self._channel.doubt()
        elif isinstance(error, TransportError) and attempt is not Attempt.WATCH:
            self._consistent = True  # who answers the next reading may not have what we know
        elif isinstance(error, Rewound):
            self._gates.history.rewritten(self._witness)
        self._interrupted = self._interrupted or not silent
        self._refusals = self._refusals + 1 if isinstance(error, Forbidden) else 0
        recovery = recover(
            error, attempt, optional=self._optional, consistent=self._consistent, silences=self._silences
        )
        if self._dispensable and not self.synced and self._refusals >= REFUSALS:
            recovery = Recovery(Restart.WAIT, slow=True)
        # Where nothing is stored, a 404 is enough: there is nothing that it could empty.
        holds = self._sink.holds(self.namespace)
        if recovery.restart is Restart.WAIT and holds and not await is_absent(self._transport, self.resource):
            recovery = Recovery(Restart.RETRY, slow=True)
        if recovery.restart is Restart.PLAIN_LIST or self._never_finishes(error, attempt):
            self._gates.refuse_streaming(self.resource)
            self._observer.relist(self.resource, self.namespace, reason="streaming list refused")
            self.state = State.START
            return
        # A connection that was silent for 70 s has waited long enough for its next try.
        self._delay = 0.0 if silent else self._pause(error, recovery, useful=useful)
        if self._silences or not silent:  # of a quiet kind it is no error
            # A kind that has just come is refused until its storage is set up.
            coming = self._absent and isinstance(error, TooManyRequests)
            self._remember(error, routine=recovery.routine or coming)
        if recovery.restart is Restart.WAIT:
            self._go_absent()
        else:
            self._restart(recovery.restart, attempt, reason=type(error).__name__)

    def _pause(self, error: Exception, recovery: Recovery, *, useful: bool) -> float:
        """How long to wait. For a kind that is not served: until somebody pokes, in fact, where it can be told."""
        slow = recovery.slow
        if self._dispensable and self._absent and self._refusals > LASTING:
            return self._clock.uniform(*LEISURELY_SECONDS)
        if recovery.restart is Restart.WAIT and isinstance(error, NotFound):
            presence = self._gates.presence(self.resource)
            if presence is Presence.MISSING:
                return self._clock.uniform(*ABSENT_SECONDS)
            slow = presence is Presence.UNKNOWN
        return self._backoff.next(floor=recovery.floor, slow=slow, useful=useful, refused=recovery.refused)

    def _remember(self, error: Exception, *, routine: bool) -> None:
        repeated = is_repeated(error, self.last_error)
        if not routine:
            self._observer.attempt_failed(
                self.resource, self.namespace, error=error, retry_in=self._delay, repeated=repeated
            )
        # Kept for its text: the frames of its traceback would keep a half-read collection alive.
        error.__context__ = error.__cause__ = None
        self.last_error = error.with_traceback(None)

    def _restart(self, restart: Restart, attempt: Attempt, *, reason: str) -> None:
        self.state = State.RESTING
        reading = attempt is not Attempt.WATCH
        if restart is Restart.RETRY and not reading and not self.intake.repair_wanted:
            self._after_rest = State.WATCH
            self._channel.rest(self._delay)
            return
        self._after_rest = State.START
        if restart is not Restart.RETRY or not reading:
            self._consistent = restart is not Restart.RELIST
            self.relists += 1
            self._observer.relist(self.resource, self.namespace, reason=reason)

    def _go_absent(self) -> None:
        self._absent = True
        self._sink.absent(self.namespace)
        self.intake.forget()
        self._mark_synced()
        self._consistent = True
        self.state = State.ABSENT
        self._after_rest = State.START

    def _never_finishes(self, error: Exception, attempt: Attempt) -> bool:
        """R6: a server too old to know streaming lists sends all objects, and never the bookmark that ends them."""
        if attempt is not Attempt.STREAMING_LIST or not isinstance(error, IdleTimeout | Unfinished):
            return False
        self._unfinished += 1
        return self._unfinished >= 2

    async def _rest(self) -> None:
        self._wake.clear()
        if isinstance(self.last_error, NotFound):
            try:
                async with asyncio.timeout(self._delay):
                    await self._wake.wait()
            except TimeoutError:
                pass  # nobody poked: time to look again
        else:
            await self._clock.sleep(self._delay)
        self.state = self._after_rest
