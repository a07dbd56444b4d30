"""Keeps the managed copies of storage Secrets.

`reconcilers.secretcopy` decides, from metadata; this looks, reads the content of a source when a copy of it is to be
written, has the applier write, and drops the content when the last of these writes is done. Sources are watched one by
one; copies are not watched: each is looked at now and then, as metadata, and always after a failed write.

Contract: whatever fails for one copy stays with it and is tried again with growing delays. A pass over what is wanted
is made whenever something may have changed (`wake`), and costs no request where nothing has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from controller.answers import read_object, require_definite
from controller.applier import Applier
from controller.secretcontent import SecretContent
from controller.selfreview import may
from controller.sourcewatch import SourceWatch, same_version
from controller.verdict import Class, judge
from informers.clock import Clock
from informers.errors import ApiError, Conflict, Forbidden, NotFound
from informers.resource import ObjectKey
from informers.transport import METADATA, Transport
from reconcilers import storagekeys
from reconcilers.plan import Wish
from reconcilers.ports import SecretSight, SecretState, SourceSight
from reconcilers.reasons import Reason
from reconcilers.secretcopy import (
    NOTHING,
    SECRET,
    ApplySecret,
    Copy,
    CopyPlan,
    DeleteSecret,
    Source,
    SourceState,
    plan_copy,
    project_copy,
    project_source,
    rule,
    source_problem,
    version_of,
)

VERBS = ("get", "create", "patch", "delete")
"""What the operator needs on a copy."""

LOOK_SECONDS = 300.0
"""How often a copy is looked at that nothing happens to: somebody may have changed or deleted it."""

_SECONDS = 10.0
_AT_ONCE = 32
_BACKOFF = (1.0, 60.0)
_REFUSED = (15.0, 300.0)
_REFUSALS = 3
_CONFLICT_SECONDS = 60.0
_RETIRED_SECONDS = 21600.0
_PASS_SECONDS = 60.0
"""How often a pass is made although nobody asked for one."""
_LINGER_SECONDS = 3.0
"""How often it is asked, of a copy that nobody wants, whether something still relies on it. That costs no request."""

_log = structlog.get_logger("storage-secrets")
_UNKNOWN = Source(SourceState.UNKNOWN)


class Demand(Protocol):
    """What copies there should be."""

    def wishes(self) -> Mapping[ObjectKey, Collection[Wish]]: ...

    def sources(self) -> Collection[ObjectKey]:
        """The sources that blueprints name."""
        ...

    def retired(self) -> Collection[ObjectKey]:
        """Names under which a copy may be left that nobody wants."""
        ...

    def relied_on(self, key: ObjectKey) -> bool:
        """Whether something of ours still needs the Secret, whoever wants it."""
        ...


@dataclass(slots=True)
class _Known:
    live: Copy | None = None
    plan: CopyPlan = NOTHING
    due: float = 0.0
    failures: int = 0
    looked: bool = False


@dataclass(slots=True)
class _Work:
    """What is under way, and what was asked for meanwhile."""

    busy: set[ObjectKey] = field(default_factory=set)
    missed: set[ObjectKey] = field(default_factory=set)
    content: dict[ObjectKey, SecretContent] = field(default_factory=dict)
    reading: dict[ObjectKey, asyncio.Lock] = field(default_factory=dict)


class SecretCopies:
    """See the module. `changed` is told of each copy, and `source_changed` of each source, that stands differently;
    `wrote` what became of each attempt to write."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        applier: Applier,
        demand: Demand,
        changed: Callable[[ObjectKey], None],
        source_changed: Callable[[ObjectKey], None],
        wrote: Callable[[str], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._applier = applier
        self._demand = demand
        self._changed = changed
        self._source_changed = source_changed
        self._wrote = wrote
        self._known: dict[ObjectKey, _Known] = {}
        self._sources: dict[ObjectKey, Source] = {}
        self._watches: dict[ObjectKey, asyncio.Task[None]] = {}
        self._work = _Work()
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._woken = asyncio.Event()
        self._wishes: Mapping[ObjectKey, Collection[Wish]] = {}

    # what is known

    def sight(self, key: ObjectKey, wish: Wish) -> SecretSight:
        """How a copy stands for somebody who wants it."""
        known = self._known.get(key)
        if known is None or known.plan.chosen is None:
            return SecretSight(SecretState.UNCHECKED)
        if known.plan.chosen != (wish.source, wish.identity):
            text = f"Secret {key} is a copy for another source or repository: give the blueprint another name for it"
            return SecretSight(SecretState.CONFLICT, note=text)
        return known.plan.sight

    def source_sight(self, source: ObjectKey, *, blueprint: str, provider: str) -> SourceSight:
        """What stands in the way of copying from a source for a blueprint."""
        row = self._sources.get(source, _UNKNOWN)
        if row.state is SourceState.UNKNOWN:
            return SourceSight(source, None)
        lacks = storagekeys.missing(provider, row.keys) if provider and row.keys is not None else ()
        return SourceSight(source, source_problem(row, source, blueprint, lacks))

    def looked_at(self, key: ObjectKey) -> bool:
        """False while the first look is still to come."""
        known = self._known.get(key)
        return known is not None and known.looked

    def counts(self) -> dict[str, int]:
        """How many copies are wanted, by state."""
        found = dict.fromkeys((state.value for state in SecretState), 0)
        for key in self._wishes:
            known = self._known.get(key)
            found[(known.plan.sight.state if known else SecretState.UNCHECKED).value] += 1
        return found

    # what is done

    def wake(self) -> None:
        """What is wanted may have changed."""
        self._woken.set()

    async def run(self) -> None:
        """Keep the copies, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                soonest = self._pass(group)
                try:
                    async with asyncio.timeout(max(0.1, soonest - self._clock.monotonic())):
                        await self._woken.wait()
                except TimeoutError:
                    continue
                # Wishes come in flocks, and a pass walks through all of them.
                await self._clock.sleep(0.05 + len(self._known) / 10_000)

    def _pass(self, group: asyncio.TaskGroup) -> float:
        """Begin all that is to be done; when the next look is due."""
        now = self._clock.monotonic()
        self._wishes = wishes = self._demand.wishes()
        sources = set(self._demand.sources())
        sources.update(wish.source for found in wishes.values() for wish in found)
        self._follow(group, sources)
        wanted = {*wishes, *self._demand.retired()}
        wanted.update(key for key, known in self._known.items() if known.live is not None)
        for key in self._known.keys() - wanted - self._work.busy:
            del self._known[key]
        for key in sorted(wanted):
            if key in self._work.busy:
                self._work.missed.add(key)
            elif self._has_work(key, now):
                self._work.busy.add(key)
                group.create_task(self._settle(key))
        lingering = any(known.live is not None and key not in wishes for key, known in self._known.items())
        soonest = min((known.due for known in self._known.values()), default=now + _PASS_SECONDS)
        return min(soonest, now + (_LINGER_SECONDS if lingering else _PASS_SECONDS))

    def _follow(self, group: asyncio.TaskGroup, sources: set[ObjectKey]) -> None:
        """Watch these sources and no others."""
        for source in self._watches.keys() - sources:
            self._watches.pop(source).cancel()
            self._sources.pop(source, None)
        for source in sorted(sources - self._watches.keys()):
            watch = SourceWatch(self._transport, self._clock, key=source, seen=self._see)
            self._watches[source] = group.create_task(watch.run())

    def _see(self, source: ObjectKey, row: Source) -> None:
        before = self._sources.get(source)
        row = same_version(before, row)
        if row != before:
            self._sources[source] = row
            self._source_changed(source)
            self.wake()

    def _has_work(self, key: ObjectKey, now: float) -> bool:
        known = self._known.get(key)
        if known is None or known.due <= now:
            return True
        if known.failures:
            return False
        plan = self._plan(key, known.live)
        if plan.step is None and plan.read is None:
            self._tell(key, known, plan)
            return False
        return True

    def _plan(self, key: ObjectKey, live: Copy | None) -> CopyPlan:
        wishes = self._wishes.get(key, ())
        needed = not wishes and live is not None and self._demand.relied_on(key)
        return plan_copy(
            key, wishes, live=live, source_of=lambda source: self._sources.get(source, _UNKNOWN), needed=needed
        )

    def _tell(self, key: ObjectKey, known: _Known, plan: CopyPlan) -> None:
        before, known.plan = known.plan, plan
        if (before.sight, before.chosen) != (plan.sight, plan.chosen):
            self._changed(key)

    async def _settle(self, key: ObjectKey) -> None:
        known = self._known.setdefault(key, _Known())
        try:
            async with self._limit:
                await self._bring_up_to_date(key, known)
            known.failures = 0
        except ApiError as error:
            self._failed(key, known, error)
        except Exception:
            _log.exception("Keeping a copy failed unexpectedly", namespace=key.namespace, name=key.name)
            known.failures += 1
            known.due = self._clock.monotonic() + _REFUSED[1]
        finally:
            self._work.busy.discard(key)
            if not self._work.busy:
                self._work.content.clear()
            if key in self._work.missed:
                self._work.missed.discard(key)
                self.wake()

    async def _bring_up_to_date(self, key: ObjectKey, known: _Known) -> None:
        if known.due <= self._clock.monotonic():
            known.live = await self._look(key)
            known.looked = True
        plan = await self._plan_with_content(key, known.live)
        match plan.step:
            case ApplySecret():
                known.live = await self._applier.apply_secret(plan.step, self._work.content[plan.step.source])
                self._wrote("updated" if plan.step.uid else "created")
                _log.info("Wrote a copy of a storage Secret", namespace=key.namespace, name=key.name)
                plan = self._plan(key, known.live)
            case DeleteSecret():
                await self._applier.delete_secret(plan.step)
                known.live = None
                self._wrote("deleted")
                _log.info("Deleted a copy of a storage Secret", namespace=key.namespace, name=key.name)
        interval = LOOK_SECONDS if key in self._wishes else _RETIRED_SECONDS
        if plan.sight.state is SecretState.CONFLICT:
            interval = _CONFLICT_SECONDS
        known.due = self._clock.monotonic() + interval * self._clock.uniform(0.8, 1.2)
        self._tell(key, known, plan)

    async def _plan_with_content(self, key: ObjectKey, live: Copy | None) -> CopyPlan:
        """The plan, with the content at hand that its step writes."""
        while True:
            plan = self._plan(key, live)
            source = plan.read or (plan.step.source if isinstance(plan.step, ApplySecret) else None)
            if source is None:
                return plan
            content = self._work.content.get(source)
            if plan.read is None and content is not None and content.version == self._sources[source].version:
                return plan
            await self._read(source)

    async def _read(self, source: ObjectKey) -> None:
        """Read the content of a source, once for all who wait for it."""
        before = self._work.content.get(source)
        async with self._work.reading.setdefault(source, asyncio.Lock()):
            if self._work.content.get(source) is not before:
                return
            response = await self._transport.request("GET", SECRET.object_path(source), timeout=_SECONDS)
            live = read_object(response)
            data = live.get("data") or {}
            self._work.content[source] = SecretContent(version_of(live["metadata"]), data)
            self._see(source, project_source(live["metadata"], data))

    async def _look(self, key: ObjectKey) -> Copy | None:
        """The metadata of what has the name of a copy. Where nobody wants one, the operator asks whether it may."""
        if key not in self._wishes and not await may(self._transport, "get", SECRET, key):
            return None
        path = SECRET.object_path(key)
        try:
            live = project_copy(read_object(await self._transport.request("GET", path, accept=METADATA)))
        except NotFound as error:
            require_definite(error)
            return None
        return live if live.ours or key in self._wishes else None

    def _failed(self, key: ObjectKey, known: _Known, error: ApiError) -> None:
        """Class a failure, say how the copy stands, and when it is tried again."""
        known.failures += 1
        self._wrote("failed")
        verdict = judge(error, created=known.live is None)
        forbidden = isinstance(error, Forbidden) and verdict.reason is Reason.FORBIDDEN
        wait = min(_BACKOFF[0] * 2 ** (known.failures - 1), _BACKOFF[1])
        known.due = self._clock.monotonic() + wait * self._clock.uniform(0.8, 1.2)
        _log.debug("A copy of a storage Secret failed", namespace=key.namespace, name=key.name, err=str(error))
        if isinstance(error, Conflict):
            # Somebody was there first, perhaps another one of us: what is known is not so any more.
            known.looked = False
            known.due -= wait * 0.75
        if verdict.kind is not Class.WAITING or isinstance(error, Conflict):
            return
        if forbidden and known.failures < _REFUSALS:
            return  # a server that has just started refuses everybody until it has read its roles
        wait = min(_REFUSED[0] * 2 ** max(0, known.failures - _REFUSALS), _REFUSED[1])
        known.due = self._clock.monotonic() + wait * self._clock.uniform(0.8, 1.2)
        known.looked = True
        note = f"the operator may not keep a copy: {rule(key, VERBS)}" if forbidden else str(error)
        chosen = known.plan.chosen or next(((w.source, w.identity) for w in sorted(self._wishes.get(key, ()))), None)
        state = SecretState.FORBIDDEN if isinstance(error, Forbidden) else SecretState.CONFLICT
        self._tell(key, known, CopyPlan(SecretSight(state, note=note), chosen=chosen))
