"""Queues all keys that one change concerns, in shares.

An edit of a blueprint concerns thousands of targets. To queue them in one piece would keep the event loop from its
sockets for tens of milliseconds, as it would with collections (T8): the first `SHARE` of them are queued at once, then
as many in each turn of the loop.

Keys are taken from an iterator as their turn comes. One that begins to matter after the change has an event of its own,
so that it does not need to be among them. After a crash everything is looked at anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from controller.priorities import FAN_OUT
from controller.workqueue import WorkQueue
from reconcilers.keys import Key

SHARE: Final = 1000


class Spread:
    """Fan-outs that are being queued, one share of one of them a turn."""

    def __init__(self, queue: WorkQueue[Key]) -> None:
        self._queue = queue
        self._waiting: deque[tuple[Iterator[Key], str]] = deque()

    def queue(self, keys: Iterable[Key], *, reason: str) -> None:
        """Queue all of these."""
        self._share(iter(keys), reason)

    def _share(self, keys: Iterator[Key], reason: str) -> None:
        share = tuple(islice(keys, SHARE))
        for key in share:
            self._queue.add(key, priority=FAN_OUT, reason=reason)
        if len(share) == SHARE:
            self._waiting.append((keys, reason))
            if len(self._waiting) == 1:
                asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        keys, reason = self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._share(keys, reason)
