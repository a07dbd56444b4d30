"""A way to a TCP server that can be held up: connections stay open, and no byte moves.

    with Link("http://127.0.0.1:2379") as link:
        link.pause()
        link.resume()

Bytes pass unchanged. The event loop lives in a thread of its own; all methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Self
from urllib.parse import urlsplit

_PIECE = 1 << 16


class _Ended(Exception):
    """The test is done with the link."""


class Link:
    """See the module's description."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._loop: asyncio.AbstractEventLoop
        self._open: asyncio.Event
        self._end: asyncio.Event
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._listening.result(timeout=10)}"

    def pause(self) -> None:
        """Hold up what is under way and what comes, in both directions."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listening.result(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), "the link's event loop did not end"

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except* _Ended:
            pass

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open, self._end = asyncio.Event(), asyncio.Event()
        self._open.set()
        async with asyncio.TaskGroup() as passages:

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                passages.create_task(self._passage(reader, writer))

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            self._listening.set_result(server.sockets[0].getsockname()[1])
            await self._end.wait()
            server.close()
            raise _Ended  # which cancels the passages

    async def _passage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection(self._host, self._port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far))
                both.create_task(self._pump(far_reader, writer))
        except* OSError:
            pass  # either side ended
        finally:
            for each in (writer, far):
                if each is not None:
                    each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            await self._open.wait()
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError  # and the other direction ends with it
