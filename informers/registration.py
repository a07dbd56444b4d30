"""One handler's place at an informer, and what it has not been given yet.

Contract: who joins is given every present row, the first share at once, the rest in turns of the loop (T8). Until its
turn comes a row is pending: changes of it are not told, because the row is given as it is by then. One that is deleted
is told as added and deleted at once, because whoever reads the store may have acted on it already. So the handler hears
each object from its beginning to its end, without gap or duplicate (H4), however many there are. `has_synced` is about
this handler (H6).

Source of the idea: client-go `tools/cache/shared_informer.go: AddEventHandlerWithOptions`, which buffers instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from informers.delta import Added, Deleted, Delta, Updated
from informers.projection import Row
from informers.resource import ObjectKey

R = TypeVar("R", bound=Row)
Handler = Callable[[Delta[R]], None]
FailureHandler = Callable[[ObjectKey, Exception], None]

MIN_RESYNC = 1.0


class Origin(Protocol):
    """The informer, as a registration sees it."""

    @property
    def has_synced(self) -> bool: ...
    async def wait_synced(self) -> None: ...


class Registration(Generic[R]):
    """See the module."""

    __slots__ = ("_active", "_complete", "_forget", "_origin", "_pending", "fn", "name", "on_failure", "resync")

    def __init__(
        self,
        origin: Origin,
        fn: Handler[R],
        *,
        name: str,
        on_failure: FailureHandler | None,
        resync: float,
        forget: Callable[[Registration[R]], None],
    ) -> None:
        self.resync = max(resync, MIN_RESYNC) if resync > 0 else 0.0
        self.fn = fn
        self.name = name
        self.on_failure = on_failure
        self._origin = origin
        self._forget = forget
        self._active = True
        self._pending: dict[tuple[str, str], None] = {}
        self._complete = asyncio.Event()
        self._complete.set()

    @property
    def active(self) -> bool:
        return self._active

    @property
    def has_synced(self) -> bool:
        """Whether the handler has been given the initial rows."""
        return self._origin.has_synced and not self._pending

    async def wait_synced(self) -> None:
        """Until the handler has been given the initial rows."""
        await self._origin.wait_synced()
        await self._complete.wait()

    def remove(self) -> None:
        """Stop being told; idempotent."""
        self._active = False
        self._pending = {}
        self._complete.set()
        self._forget(self)

    # ---- for the informer

    @property
    def waits(self) -> bool:
        """Whether rows are pending."""
        return bool(self._pending)

    def postpone(self, rows: Iterable[R]) -> None:
        """Give these later, in this order."""
        # The last of a dictionary is taken in no time, the first is not; plain tuples are made in a third of the time.
        self._pending = dict.fromkeys([(row.namespace, row.name) for row in reversed(list(rows))])
        if self._pending:
            self._complete.clear()

    def next_pending(self) -> ObjectKey:
        """Take the key whose turn it is; there has to be one."""
        key, _ = self._pending.popitem()
        self._look()
        return ObjectKey(*key)

    def due(self, delta: Delta[R]) -> tuple[Delta[R], ...]:
        """What the handler is told of a change while rows are pending."""
        row = delta.new if isinstance(delta, Updated) else delta.row
        key = (row.namespace, row.name)
        if key not in self._pending:
            return (delta,)
        if not isinstance(delta, Deleted):
            return ()
        del self._pending[key]
        self._look()
        return (Added(row, initial=True), delta)

    def _look(self) -> None:
        if not self._pending:
            self._complete.set()
