"""An open watch: lines as they come, and what is worth knowing about the connection.

Contract: `next_lines` gives at least one whole line, or None at a clean end. A stream that ends within a line
was cut: the fragment is discarded and `TransportError` raised (R21). Lines that belong to the next state can
be put back.

Invariant: after a quarter of a mebibyte every other ready task gets a turn, however fast the server is and however much
the transport hands out at once (T8). That much is decoded in milliseconds, also where whole objects are.

Source of the idea: apiserver `pkg/endpoints/handlers/watch.go: HandleHTTP`, read from the other end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack

from informers.clock import Clock
from informers.encoding import encoding_of
from informers.errors import TransportError
from informers.transport import Body, Transport

IDLE_SECONDS = 70.0
SHORT_SECONDS = 1.0
HELD_SECONDS = 10.0
TURN_BYTES = 256 * 1024


class WatchStream:
    """One connection that carries watch events."""

    __slots__ = (
        "_chunks",
        "_clock",
        "_lines",
        "_path",
        "_since_turn",
        "_splitter",
        "_stack",
        "encoding",
        "events",
        "opened_at",
    )

    def __init__(self, path: str, stack: AsyncExitStack, body: Body, clock: Clock) -> None:
        self._path = path
        self._stack = stack
        self._chunks = body.chunks
        self._clock = clock
        self.encoding = encoding_of(body.content_type)
        self._splitter = self.encoding.splitter()
        self._lines: list[bytes] = []
        self._since_turn = 0
        self.events = 0
        self.opened_at = clock.monotonic()

    @classmethod
    async def open(
        cls, transport: Transport, path: str, *, query: Mapping[str, str], accept: str, clock: Clock
    ) -> WatchStream:
        """Connect, and wait for the status line."""
        stack = AsyncExitStack()
        context = transport.stream(path, query=query, accept=accept, idle_timeout=IDLE_SECONDS)
        body = await stack.enter_async_context(context)
        return cls(path, stack, body, clock)

    async def next_lines(self) -> list[bytes] | None:
        """The next lines, as many as a turn has room for, and one at least."""
        if self._since_turn >= TURN_BYTES:
            await self._yield()
        while not self._lines:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                self._refuse_fragment()
                return None
            self._lines = self._splitter.feed(chunk)
            if not self._lines:
                self._since_turn += len(chunk)
                if self._since_turn >= TURN_BYTES:
                    await self._yield()
        return self._take()

    def put_back(self, lines: list[bytes]) -> None:
        """Give these out again, before anything else."""
        self._lines = lines + self._lines

    @property
    def useful(self) -> bool:
        """Whether it brought anything, or lived long enough to be no refusal in disguise (R19)."""
        return self.events > 0 or self._clock.monotonic() - self.opened_at >= SHORT_SECONDS

    @property
    def held(self) -> bool:
        """Whether it lived so long that the server cannot have been failing, though it may be now."""
        return self._clock.monotonic() - self.opened_at >= HELD_SECONDS

    async def close(self) -> float:
        """Let go of the connection; returns how long it lasted."""
        await self._stack.aclose()
        return self._clock.monotonic() - self.opened_at

    def _take(self) -> list[bytes]:
        lines = self._lines
        size = sum(map(len, lines))
        if self._since_turn + size < TURN_BYTES:
            self._since_turn += size
            self._lines = []
            return lines
        for count, line in enumerate(lines, start=1):
            self._since_turn += len(line)
            if self._since_turn >= TURN_BYTES:
                self._lines = lines[count:]
                return lines[:count]
        self._lines = []
        return lines

    async def _yield(self) -> None:
        self._since_turn = 0
        await self._clock.sleep(0)

    def _refuse_fragment(self) -> None:
        if self._splitter.fragment:
            raise TransportError(
                f"WATCH {self._path}",
                reason="CutInLine",
                message=f"the stream ended after {self._splitter.fragment} bytes of a line; they are discarded",
            )
