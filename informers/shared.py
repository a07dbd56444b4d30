"""One cache of one resource, shared by everybody who wants to know about it.

Contract: handlers are synchronous functions of one delta. They map it to keys and return; they cannot await,
so they can delay nobody (H1). Each handler first gets every present row as `Added(initial=True)`, whenever it
joins, then each change, in order per key, without gap or duplicate (H4). `Registration.has_synced` is about
that handler: true once the initial rows were handed to it (H6). Sync is one-way: an outage later makes a
store stale, not unsynced (H7).

Invariants:
- The store and its indexes are complete before anybody is told (S5), and between the two there is no `await`
  (T1). Only the telling of a whole collection lets others run after each thousand changes; nothing else happens
  to that slice of the store meanwhile.
- There are no buffers between the store and the handlers: nothing can grow (H2).
- A handler that raises loses nothing but this one call: it is reported, `on_failure` gets the key so that it
  can be looked at again, and everybody else goes on (H3).
- After `remove` returned, the handler is not called again (H5).
- A handler that asks for it is given all rows again from time to time, as updates from themselves to themselves
  (H10): from the store, without a request, and no other handler notices.

Source of the idea: client-go `tools/cache/shared_informer.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from informers.clock import Clock
from informers.delta import Added, Delta, Updated
from informers.gates import Gates
from informers.index import IndexFunction
from informers.observer import InformerObserver
from informers.projection import Projection, Row
from informers.reflector import Reflector, State
from informers.registration import FailureHandler, Handler, Registration
from informers.replacement import Replacement
from informers.resource import ObjectKey, Resource
from informers.store import ALL_NAMESPACES, Store
from informers.transport import Transport

R = TypeVar("R", bound=Row)

SHARE = 1000
SHARE_SECONDS = 0.005
FIRST_SHARE = 100
"""What a handler is given while it joins: several may join in one turn."""
RESYNC_JITTER = 0.1


class Share:
    """What may be told in one turn of the loop."""

    __slots__ = ("_clock", "_left", "_until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin()

    def ends(self, told: bool) -> bool:
        """Count one; True when others are to have a turn, after which the next share begins."""
        self._left -= told
        if self._left > 0 and self._clock.monotonic() < self._until:
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        self._left, self._until = SHARE, self._clock.monotonic() + SHARE_SECONDS


@dataclass(frozen=True, slots=True)
class InformerStatus:
    """How an informer is doing; times are of the clock's `monotonic`. With several namespaces, the worst of them."""

    resource: Resource
    name: str
    namespaces: tuple[str, ...]
    synced: bool
    available: bool
    rows: int
    last_sync_rv: int
    state: str
    last_event_at: float | None
    last_bookmark_at: float | None
    last_error: str
    relists: int
    undecodable: int


class SharedInformer(Generic[R]):
    """The cache of one resource; made by `InformerFactory.informer`."""

    def __init__(
        self,
        resource: Resource,
        projection: Projection[R],
        *,
        transport: Transport,
        clock: Clock,
        observer: InformerObserver,
        gates: Gates,
        namespaces: Sequence[str] = (),
        indexes: Mapping[str, IndexFunction[R]] | None = None,
        optional: bool = False,
        dispensable: bool = False,
        name: str = "",
    ) -> None:
        self.resource = resource
        self.name = name or str(resource)
        self.optional = optional
        self.projection = projection
        self._clock = clock
        self._observer = observer
        self._resyncing = asyncio.Event()
        self._joining = asyncio.Event()
        self._running = False
        self._telling = 0
        self._synced = asyncio.Event()
        self._handlers: tuple[Registration[R], ...] = ()
        self._absent: set[str] = set()
        self._reported = (0, 0, 0)
        self.store: Store[R] = Store(
            indexes, on_index_failure=lambda index, key, error: observer.index_failed(resource, index, key, error)
        )
        self._reflectors = tuple(
            Reflector(
                resource,
                projection,
                self,
                namespace=namespace,
                optional=optional,
                dispensable=dispensable,
                transport=transport,
                clock=clock,
                observer=observer,
                gates=gates,
            )
            for namespace in (tuple(dict.fromkeys(namespaces)) if namespaces else (ALL_NAMESPACES,))
        )

    # ---- for users

    def add_handler(
        self, fn: Handler[R], *, name: str, on_failure: FailureHandler | None = None, resync: float = 0.0
    ) -> Registration[R]:
        """Be told every change, beginning with what is there; see the module's contract.

        `on_failure` gets the key of a delta on which `fn` raised. `resync`: every so many seconds (give or take a
        tenth, at least one) also each row as it is; 0 for never, which is right unless something outside decays.
        """
        registration = Registration(self, fn, name=name, on_failure=on_failure, resync=resync, forget=self._forget)
        rows = self.store.rows()
        self._handlers = (*self._handlers, registration)
        if registration.resync:
            self._resyncing.set()
        for row in islice(rows, min(SHARE, FIRST_SHARE) if self._running else None):
            self._call(registration, Added(row, initial=True))
        registration.postpone(rows)
        self._joining.set()
        return registration

    def _forget(self, registration: Registration[R]) -> None:
        self._handlers = tuple(known for known in self._handlers if known is not registration)

    @property
    def has_synced(self) -> bool:
        """Whether the first complete state is in the store and with the handlers."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Until `has_synced`."""
        await self._synced.wait()

    @property
    def available(self) -> bool:
        """False while an optional kind is known not to be served, or one may not read it: an empty store proves nothing
        then."""
        return not self._absent

    def poke(self) -> None:
        """Something suggests that a missing kind is served now: look at once."""
        for reflector in self._reflectors:
            reflector.poke()

    def refresh(self) -> None:
        """Read the whole collection again, as the server has it now. `store.last_sync_rv` tells when that is done."""
        for reflector in self._reflectors:
            reflector.refresh()

    def widen(self, projection: Projection[R]) -> None:
        """Go on with a projection that makes rows of more objects than the one before; of the same form of them."""
        if projection.metadata_only != self.projection.metadata_only:
            raise ValueError(f"{self.name}: the wider projection needs another form of its objects")
        self.projection = projection
        for reflector in self._reflectors:
            reflector.intake.widen(projection)
            if reflector.state is not State.START:
                reflector.refresh()

    def status(self) -> InformerStatus:
        """A snapshot for people, readiness and metrics."""
        reflectors = self._reflectors
        worst = min(reflectors, key=lambda reflector: reflector.last_event_at or float("-inf"))
        resting = [reflector for reflector in reflectors if reflector.state is not State.WATCH]
        errors = [str(reflector.last_error) for reflector in reflectors if reflector.last_error is not None]
        return InformerStatus(
            resource=self.resource,
            name=self.name,
            namespaces=tuple(reflector.namespace for reflector in reflectors),
            synced=self.has_synced,
            available=self.available,
            rows=len(self.store),
            last_sync_rv=self.store.last_sync_rv(),
            state=(resting[0] if resting else worst).state.value,
            last_event_at=worst.last_event_at,
            last_bookmark_at=worst.intake.last_bookmark_at,
            last_error=errors[0] if errors else "",
            relists=sum(reflector.relists for reflector in reflectors),
            undecodable=sum(
                len(reflector.intake.undecodable) + reflector.intake.unidentified for reflector in reflectors
            ),
        )

    async def run(self) -> None:
        """Keep the store current until cancelled."""
        self._running = True
        try:
            await self._run()
        finally:
            self._running = False

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=f"reflect {self.name} {reflector.namespace}".rstrip())
            group.create_task(self._resync(), name=f"resync {self.name}")
            group.create_task(self._join(), name=f"join {self.name}")

    # ---- for the reflectors (their `Sink`)

    def begin(self, scope: str) -> Replacement[R]:
        return Replacement(self.store.draft(scope))

    def reaches(self, scope: str) -> int:
        return self.store.last_sync_rv(scope)

    def replace(self, scope: str, replacement: Replacement[R], *, revision: int, initial: bool) -> Iterator[None]:
        """S3, S4: swap the slice now, then tell, a thousand changes at a time.

        Nothing else happens to the slice until all is told: it is its reflector that takes these steps.
        """
        if scope in self._absent:
            self._absent.discard(scope)
            self._observer.availability(self.resource, available=self.available)
        deltas = self.store.replace(
            scope,
            replacement.draft,
            revision=revision,
            initial=initial,
            keep=replacement.skipped,
            keep_missing=replacement.unidentified > 0,
        )
        return self._tell(scope, deltas)

    def upsert(self, row: R) -> None:
        self._deliver(self.store.upsert(row))

    def remove(self, key: ObjectKey, *, uid: str, revision: int) -> None:
        deltas = self.store.remove(key, uid=uid, revision=revision)
        if deltas:
            self._deliver(deltas)

    def advance(self, scope: str, revision: int) -> None:
        self.store.advance(scope, revision)

    def absent(self, scope: str) -> None:
        """R17: an optional kind is certainly not served: synced and empty, and not available."""
        if scope not in self._absent:
            self._absent.add(scope)
            self._observer.availability(self.resource, available=False)
        changes = self.store.replace(scope, self.store.draft(scope), revision=0)
        self._deliver(delta for delta in changes if delta is not None)
        self._mark_synced(scope)
        self.flush()

    def holds(self, scope: str) -> bool:
        return self.store.holds(scope)

    def flush(self) -> None:
        now = (len(self.store), self.store.equal, self.store.stale)
        before, self._reported = self._reported, now
        if now[0] != before[0]:
            self._observer.objects(self.resource, now[0])
        if now[1:] != before[1:]:
            self._observer.suppressed(self.resource, equal=now[1] - before[1], stale=now[2] - before[2])

    # ---- inside

    async def _resync(self) -> None:
        """H10, for all handlers that asked for it."""
        due: dict[Registration[R], float] = {}
        while True:
            self._resyncing.clear()
            now = self._clock.monotonic()
            due = {known: due.get(known, self._next(known, now)) for known in self._handlers if known.resync}
            for registration in [known for known, at in due.items() if at <= now]:
                due[registration] = self._next(registration, now)
                for row in self.store.rows():
                    self._call(registration, Updated(row, row))
            try:
                # Until the next one is due, or a handler joins that may be due earlier.
                async with asyncio.timeout(min(due.values()) - now if due else None):
                    await self._resyncing.wait()
            except TimeoutError:
                continue

    async def _join(self) -> None:
        """T8: give to those who joined what is pending, one share a turn. Not while a collection is told: its rows are
        in the store already, and what changed is still to come."""
        while True:
            self._joining.clear()
            share = Share(self._clock)
            for registration in self._handlers:
                while registration.waits:
                    row = None if self._telling else self.store.get(registration.next_pending())
                    if row is not None:
                        self._call(registration, Added(row, initial=True))
                    if self._telling or share.ends(True):
                        await self._clock.sleep(0)
            await self._joining.wait()

    def _next(self, registration: Registration[R], now: float) -> float:
        return now + registration.resync * self._clock.uniform(1 - RESYNC_JITTER, 1 + RESYNC_JITTER)

    def _mark_synced(self, scope: str) -> None:
        pending = (reflector for reflector in self._reflectors if not reflector.synced)
        if all(reflector.namespace == scope for reflector in pending):
            self._synced.set()

    def _tell(self, scope: str, deltas: Iterable[Delta[R] | None]) -> Iterator[None]:
        # A handler that joins while these are delivered was given the store as it is after all of them.
        handlers = self._handlers
        share = Share(self._clock)
        self._telling += 1
        try:
            for delta in deltas:
                if delta is not None:
                    self._deliver((delta,), handlers)
                if share.ends(delta is not None):
                    yield
        finally:
            self._telling -= 1
        self._mark_synced(scope)
        self.flush()

    def _deliver(self, deltas: Iterable[Delta[R]], handlers: tuple[Registration[R], ...] | None = None) -> None:
        handlers = self._handlers if handlers is None else handlers
        for delta in deltas:
            for registration in handlers:
                self._call(registration, delta)

    def _call(self, registration: Registration[R], delta: Delta[R]) -> None:
        if not registration.waits:
            self._notify(registration, delta)
            return
        for due in registration.due(delta):
            self._notify(registration, due)

    def _notify(self, registration: Registration[R], delta: Delta[R]) -> None:
        if not registration.active:
            return
        try:
            registration.fn(delta)
        except Exception as error:  # foreign code: whatever it raises is reported, nothing else stops
            row = delta.new if isinstance(delta, Updated) else delta.row
            key = ObjectKey(row.namespace, row.name)
            self._observer.handler_failed(self.resource, registration.name, key, error)
            self._report(registration, key, error)

    def _report(self, registration: Registration[R], key: ObjectKey, error: Exception) -> None:
        if registration.on_failure is None:
            return
        try:
            registration.on_failure(key, error)
        except Exception as second:  # as above
            self._observer.handler_failed(self.resource, f"{registration.name}.on_failure", key, second)
