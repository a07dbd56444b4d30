"""A way to a TCP server that can be held up: connections stay open, and no byte moves.

    with Link("http://127.0.0.1:2379") as link:
        link.pause()
        link.resume()

Bytes pass unchanged. All methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

from tests.support.listener import Listener, dial

_PIECE = 1 << 16


class Link:
    """See the module's description."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._open = asyncio.Event()
        self._open.set()
        self._listener = Listener(self._passage, name="link")

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._listener.port}"

    def pause(self) -> None:
        """Hold up what is under way and what comes, in both directions."""
        self._listener.call(self._open.clear)

    def resume(self) -> None:
        self._listener.call(self._open.set)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    async def _passage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await dial(self._host, self._port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far))
                both.create_task(self._pump(far_reader, writer))
        except* OSError:
            pass  # either side ended
        finally:
            if far is not None:
                far.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            await self._open.wait()
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError  # and the other direction ends with it
