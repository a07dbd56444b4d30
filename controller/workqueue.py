"""The work queue: which key is reconciled next, by one worker at a time.

Contract, by rule (the tests carry the same names):

- Q1  A key is ready, delayed, processing, or unknown: one entry, one place. An add while it is processed
  marks it and it is queued again at `done`; N adds before `get` are one run.
- Q2  A key is never with two workers.
- Q3  Delayed adds coalesce with each other (the earlier wins) and with what is ready: no stale timer runs a
  key twice.
- Q4  `retry` waits exponentially with full jitter, `forget` resets (ratelimit.py).
- Q5  Only retries pass the shared bucket, whose wait is bounded (ratelimit.py).
- Q6  An event during backoff runs the key early only if it changed something, and then at most once a second.
- Q7  A re-add takes the higher priority and the earlier time; who is raised stands at the end of the new
  band; a retry keeps its priority.
- Q8, Q9  Bands age, namespaces take turns (bands.py). What is of a fan-out is taken within limits (fanout.py).
- Q11 After `shut_down`, `get` raises and adds do nothing; `drain` waits a while for what is being processed.
- Q14 Plain dicts and a heap, no task and no future per key; a worker parks on one future only when nothing
  is ready, and needs no coroutine (`try_get`) while something is.

The queue belongs to one event loop and takes no locks. Call `retry`, `requeue` and `forget` before `done`,
and `done` in a `finally`.

Sources of the ideas: client-go `util/workqueue`, controller-runtime `pkg/controller/priorityqueue`, kube-rs
`scheduler.rs`.
"""

from __future__ import annotations

import asyncio
from heapq import nsmallest
from itertools import islice
from typing import Final, Generic

from controller.bands import BAND_OF, Bands
from controller.delays import Delays
from controller.entries import NEVER, Again, Entry, ItemState, K, QueueItem, QueueObserver
from controller.fanout import URGENT_BANDS, FanOut
from controller.parking import Parking
from controller.priorities import BANDS, USER_EVENT
from controller.ratelimit import RetryLimiter
from informers.clock import Clock

TURN_SECONDS: Final = 0.005
"""How long ready work may hold the event loop before I/O gets a turn."""


class ShutDown(Exception):
    """`get` after `shut_down`."""


_READY: Final = ItemState.READY
_DELAYED: Final = ItemState.DELAYED
_PROCESSING: Final = ItemState.PROCESSING


class WorkQueue(Generic[K]):
    """See the module's contract."""

    def __init__(
        self,
        clock: Clock,
        *,
        limiter: RetryLimiter[K] | None = None,
        observer: QueueObserver | None = None,
        fan_out: FanOut | None = None,
    ) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic
        self._limiter: RetryLimiter[K] = RetryLimiter(clock.uniform) if limiter is None else limiter
        self._failing = self._limiter.failing
        self._observer = observer
        self._fan_out = fan_out or FanOut()
        self._entries: dict[K, Entry[K]] = {}
        self._processing: set[Entry[K]] = set()
        self._ready: Bands[Entry[K]] = Bands()
        self._delays: Delays[Entry[K]] = Delays()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._parking = Parking()
        self._drained: asyncio.Future[None] | None = None
        self._stopped = False
        self._taken = 0
        self._turn_at = float("-inf")
        self._turn_over = False

    def add(
        self,
        key: K,
        *,
        priority: int = USER_EVENT,
        after: float = 0.0,
        reason: str = "",
        changed: bool = True,
    ) -> None:
        """Have `key` run, `after` seconds from now at the latest.

        `changed=False` says that the event behind this add altered nothing that the reconcilers read.
        """
        if self._stopped:
            return
        band = BAND_OF.get(priority)
        if band is None:
            raise ValueError(f"add {key!r} to the work queue: priority {priority} is none of {BANDS}")
        now = self._monotonic()
        entry = self._entries.get(key)
        if entry is None and after <= 0.0 and not self._failing:
            self._entries[key] = entry = Entry(key, priority, reason, now)
            self._ready.push(entry, band, now)
            if self._parking.waiters:
                self._parking.wake()
            return
        due = now + after if after > 0.0 else now
        if entry is not None and entry.state is _PROCESSING:
            again = self._mark(entry, priority, reason)
            if changed:
                again.changed = min(again.changed, due)
            else:
                again.unchanged = min(again.unchanged, due)
            return
        if self._failing and (entry is None or entry.state is _DELAYED):
            due = self._limiter.earliest(key, due, changed=changed)
            if entry is None or due < entry.due:
                self._limiter.expedite(key, due)
        if entry is None:
            self._entries[key] = entry = Entry(key, priority, reason, due)
            self._place(entry, now)
        else:
            self._merge(entry, priority, reason, due, now)

    def retry(self, key: K, *, floor: float = 0.0, answered: bool = True, reason: str = "") -> float:
        """Count a failure (`RetryLimiter.fail`) and have `key` run again after its backoff, which is returned."""
        now = self._monotonic()
        delay = self._limiter.fail(key, now, floor=floor, answered=answered)
        if self._observer is not None:
            self._observer.retried()
        self._order(key, now + delay, now, reason)
        return delay

    def requeue(self, key: K, *, after: float, reason: str = "") -> None:
        """Have `key` run again `after` seconds from now although it did not fail: forgets failures (Q10)."""
        self._limiter.forget(key)
        now = self._monotonic()
        self._order(key, now + after, now, reason)

    def wrote(self, key: K, seconds: float) -> None:
        """A write for `key`, which is processed, took so long (fanout.py)."""
        if self._entries[key].band >= URGENT_BANDS:
            self._fan_out.wrote(seconds, self._monotonic())

    def forget(self, key: K) -> None:
        """`key` is fine, or hopeless until it changes: the next failure starts from the shortest backoff."""
        self._limiter.forget(key)

    def failures(self, key: K) -> int:
        return self._limiter.failures(key)

    def failing_for(self, key: K) -> float:
        """Seconds since `key` failed first; 0 when it did not fail last time."""
        return self._limiter.failing_for(key, self._monotonic())

    def refusals(self, key: K) -> int:
        """How many failures in a row were answers of the server."""
        return self._limiter.refusals(key)

    def try_get(self) -> K | None:
        """The key whose turn it is, if there is one now: it is the caller's alone until `done`. None also when others
        need a turn of the event loop; `get` waits then."""
        now = self._monotonic()
        if self._timer_at <= now:
            self._release(now)
        if self._stopped or now - self._turn_at > TURN_SECONDS:
            return None
        entry = self._ready.pop(now, self._served())
        if entry is None:
            return None
        if entry.band >= URGENT_BANDS:
            self._fan_out.taken += 1
        entry.state = _PROCESSING
        entry.started = now
        self._processing.add(entry)
        self._taken += 1
        return entry.key

    async def get(self) -> K:
        """Wait for the key whose turn it is. It is the caller's alone until `done`. Raises `ShutDown`."""
        while not self._stopped:
            key = self.try_get()
            if key is not None:
                return key
            if not self._ready.waits(self._monotonic(), self._served()):
                await self._parking.park()
                continue
            # Workers that never wait (all plans empty) must not keep the loop from its sockets.
            # The slice is that of all workers together: one callback opens the next one for them.
            if not self._turn_over:
                self._turn_over = True
                asyncio.get_running_loop().call_soon(self._begin_turn)
            await self._clock.sleep(0)
        raise ShutDown

    def done(self, key: K) -> None:
        """Give `key` back; it is queued again if something asked for it meanwhile."""
        entry = self._entries.get(key)
        if entry is None or entry.state is not _PROCESSING:
            raise ValueError(f"done({key!r}) in the work queue: no worker holds that key")
        self._processing.remove(entry)
        now = self._monotonic()
        if self._observer is not None:
            self._observer.ran(entry.started - entry.due, now - entry.started)
        if entry.band >= URGENT_BANDS:
            self._fan_out.taken -= 1
        if self._parking.waiters and self._ready.waits(now, self._served()):
            self._parking.wake(self._fan_out.room(len(self._processing)))
        again = entry.again
        if again is None or self._stopped:
            del self._entries[key]
            if self._drained is not None and not self._processing and not self._drained.done():
                self._drained.set_result(None)
        else:
            due = min(
                self._limiter.earliest(key, again.changed, changed=True),
                self._limiter.earliest(key, again.unchanged, changed=False),
            )
            if due < again.ordered:
                self._limiter.expedite(key, due)
            entry.again = None
            entry.priority = again.priority
            entry.reason = again.reason
            entry.due = min(due, again.ordered)
            self._place(entry, now)

    def shut_down(self) -> None:
        """No more keys: workers that wait, or ask, get `ShutDown`."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = NEVER
        while self._parking.waiters:
            self._parking.wake()

    async def drain(self, grace: float) -> bool:
        """Shut down and wait until no key is processed, for `grace` seconds; returns whether that was
        reached.
        """
        self.shut_down()
        if not self._processing:
            return True
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(grace):
                await asyncio.shield(self._drained)
        except TimeoutError:
            return False
        return True

    def __len__(self) -> int:
        """How many keys are ready."""
        return sum(self.depth().values())

    @property
    def added(self) -> int:
        """How often a key became ready."""
        return self._taken + len(self)

    def depth(self) -> dict[int, int]:
        """How many keys are ready, by the priority of the band they wait in now."""
        return self._ready.depth()

    def unfinished(self) -> tuple[float, float]:
        """Seconds of work in progress: of all workers together, and of the longest one."""
        now = self._monotonic()
        ages = [now - entry.started for entry in self._processing]
        return sum(ages), max(ages, default=0.0)

    def states(self) -> dict[ItemState, int]:
        """How many keys are in which state."""
        dirty = sum(entry.again is not None for entry in self._processing)
        return {
            ItemState.PROCESSING: len(self._processing) - dirty,
            ItemState.DIRTY: dirty,
            ItemState.READY: len(self),
            ItemState.DELAYED: len(self._delays),
        }

    def items(self, most: int | None = None) -> list[QueueItem[K]]:
        """What the queue knows of, for people: what is processed, then what is next, then what is delayed; all
        of it, or the first `most`.
        """
        now = self._monotonic()
        found = list(islice((*self._processing, *self._ready), most))
        room = len(self._delays) if most is None else most - len(found)
        found += nsmallest(room, self._delays, key=lambda entry: entry.due)
        return [self._describe(entry, now) for entry in found]

    def item(self, key: K) -> QueueItem[K] | None:
        """What the queue knows of one key; None when it is not in it."""
        entry = self._entries.get(key)
        return None if entry is None else self._describe(entry, self._monotonic())

    def reason(self, key: K) -> str:
        """Why `key` is queued or processed; "" for a key that is neither."""
        entry = self._entries.get(key)
        return "" if entry is None else entry.reason

    def _mark(self, entry: Entry[K], priority: int, reason: str) -> Again:
        again = entry.again
        if again is None:
            again = entry.again = Again()
        again.priority = max(again.priority, priority)
        again.reason = reason or again.reason or entry.reason
        return again

    def _order(self, key: K, due: float, now: float, reason: str) -> None:
        """Queue a key again at its own priority, at a time that needs no further limits."""
        if self._stopped:
            return
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = entry = Entry(key, USER_EVENT, reason, due)
            self._place(entry, now)
        elif entry.state is _PROCESSING:
            again = self._mark(entry, entry.priority, reason)
            again.ordered = min(again.ordered, due)
        else:
            self._merge(entry, entry.priority, reason, due, now)

    def _merge(self, entry: Entry[K], priority: int, reason: str, due: float, now: float) -> None:
        """Coalesce with what is queued: highest priority, earliest time (Q3, Q7)."""
        if priority > entry.priority:
            entry.priority = priority
            entry.reason = reason or entry.reason
            if entry.state is _READY:
                self._ready.raise_to(entry, BAND_OF[priority], now)
        if entry.state is _DELAYED and due < entry.due:
            entry.reason = reason or entry.reason
            entry.due = due
            self._delays.discard(entry)
            self._place(entry, now)

    def _place(self, entry: Entry[K], now: float) -> None:
        """Put an entry that is nowhere where its time says."""
        if entry.due > now:
            entry.state = _DELAYED
            self._delays.put(entry, entry.due)
            if entry.due < self._timer_at:
                self._arm(entry.due, now)
        else:
            entry.state = _READY
            entry.due = now
            self._ready.push(entry, BAND_OF[entry.priority], now)
            if self._parking.waiters:
                self._parking.wake()

    def _release(self, now: float) -> None:
        """Make ready what is due, and set the timer for what is due next."""
        while (entry := self._delays.pop_due(now)) is not None:
            self._place(entry, now)
        due = self._delays.next_due()
        self._arm(NEVER if due is None else due, now)

    def _arm(self, due: float, now: float) -> None:
        """One timer for all delays. It may find nothing to do: moving it at each change would cost more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = due
        if due != NEVER:
            self._timer = asyncio.get_running_loop().call_later(due - now, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._release(self._monotonic())

    def _begin_turn(self) -> None:
        self._turn_over = False
        self._turn_at = self._monotonic()

    def _served(self) -> int:
        """How many bands may be served now, from the first one on."""
        if not self._fan_out.taken or self._fan_out.room(len(self._processing)):
            return len(BANDS)
        return URGENT_BANDS

    def _describe(self, entry: Entry[K], now: float) -> QueueItem[K]:
        state, seconds = entry.state, now - entry.due
        if state is _DELAYED:
            seconds = entry.due - now
        elif state is _PROCESSING:
            seconds = now - entry.started
            state = _PROCESSING if entry.again is None else ItemState.DIRTY
        return QueueItem(
            key=entry.key,
            state=state,
            priority=entry.priority,
            reason=entry.reason,
            seconds=seconds,
            failures=self._limiter.failures(entry.key),
        )
