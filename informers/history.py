"""Whether the server that answers after an outage has the history that we know (R10).

Storage that is restored from an older copy counts its versions anew from there. A watch from a version that the server
does not have yet is silent until it has passed that one, and what is between is missing for ever (kubernetes#107457);
where it has been passed before anybody looks, the versions tell nothing at all.

Contract: who loses sight of the server says so with `lost`, and asks `is_ours` before a watch goes on from where it
was. The newest thing that any informer of the process was told has to be told again, byte for byte where it is known
so, by a watch that begins just before it. A server does that only if it has run since then: one that was started
afterwards remembers nothing of it, and storage can only be exchanged under servers that do not run. Whatever else comes
of it is no proof, and whoever asked reads its collection anew. `rewritten` is for who met a history that is not ours
without having asked: everybody reads anew.

Invariants: one question is the answer to everybody who had lost sight of the server before it was asked. A question
that fails is nobody's answer. What interrupts a stream again and again is worth a question each half minute; a
collection is read anew because of somebody else each ten minutes at most.

Source of the idea: none that we know; client-go and kube-rs go on from where they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from informers.clock import Clock

SPREAD_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest thing that a server told of a collection; `line` as it was told in a watch, empty if in a list."""

    revision: int
    uid: str
    line: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """A reflector, as this module sees it: the newest thing that it was told; a question to the server whether that is
    told again, which raises where it cannot be asked; and how to have the collection read as the server has it now."""

    anchor: Callable[[], Anchor | None]
    is_told_again: Callable[[Anchor], Awaitable[bool]]
    refresh: Callable[[], None]


class History:
    """One per factory."""

    __slots__ = ("_asking", "_clock", "_losses", "_ours", "_settled", "_spread_at", "_witnesses", "proven_at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._witnesses: list[Witness] = []
        self._asking = asyncio.Lock()
        self._losses = 0
        self._settled = 0
        self._ours = True
        self.proven_at = self._spread_at = float("-inf")

    def join(self, witness: Witness) -> None:
        self._witnesses.append(witness)

    def lost(self) -> int:
        """Somebody lost sight of the server; what is returned is for `is_ours`."""
        self._losses += 1
        return self._losses

    async def is_ours(self, loss: int) -> bool:
        """Whether the server has run since before this loss. Raises where it cannot be asked."""
        async with self._asking:
            if self._settled < loss:
                losses = self._losses
                self._ours = await self._ask()
                self._settled = losses
                if self._ours:
                    self.proven_at = self._clock.monotonic()
            return self._ours

    def rewritten(self, by: Witness) -> None:
        """`by` met a history that is not ours, and reads anew itself."""
        now = self._clock.monotonic()
        if now - self._spread_at >= SPREAD_SECONDS:
            self._spread_at = now
            for witness in self._witnesses:
                if witness is not by:
                    witness.refresh()

    async def _ask(self) -> bool:
        known = [(anchor.revision, witness, anchor) for witness in self._witnesses if (anchor := witness.anchor())]
        if not known:
            return False
        _, witness, anchor = max(known, key=lambda entry: entry[0])
        return await witness.is_told_again(anchor)
