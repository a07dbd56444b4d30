"""A TCP server for a test, with an event loop in a thread of its own.

    listener = Listener(serve, name="echo")
    listener.start()
    ...
    listener.stop()

`serve` has each connection to itself. Whatever came in by the listener, or went out by `dial`, is closed when the loop
has ended, however far it had come. So `asyncio.start_server` does not do: it forgets a connection that comes in the
moment in which it is closed. And a TLS connection whose opening is cancelled when its handshake is just done begins a
polite farewell, for which no loop is left. All methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class _Ended(Exception):
    """The test is done with the listener."""


class Listener:
    """See the module's description."""

    def __init__(self, serve: Serve, *, name: str, tls: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._name = name
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop
        self._end = asyncio.Event()
        self._listening: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._listening.result(timeout=10)

    @property
    def port(self) -> int:
        return self._listening.result(timeout=10)

    def stop(self) -> None:
        self.end()
        self.join()

    def end(self) -> None:
        """Begin to stop, without waiting for it."""
        self._loop.call_soon_threadsafe(self._end.set)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(timeout=10)
        assert not self._thread.is_alive(), f"the event loop of {self._name} did not end"

    def call(self, function: Callable[[], T]) -> T:
        """What the function returns in the event loop."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=10)

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except* _Ended:
            pass

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as served:
            with socket.create_server(("127.0.0.1", 0)) as door:

                def accept() -> None:
                    try:
                        connection, _ = door.accept()
                    except (BlockingIOError, ConnectionAbortedError):
                        return  # it left again
                    task = served.create_task(self._connection(connection))
                    task.add_done_callback(lambda _: connection.close())

                door.setblocking(False)
                self._loop.add_reader(door, accept)
                self._listening.set_result(door.getsockname()[1])
                try:
                    await self._end.wait()
                finally:
                    self._loop.remove_reader(door)
            raise _Ended  # which cancels whatever is served

    async def _connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # a reset would lose what is held back
        try:
            reader, writer = await _streams(partial(self._loop.connect_accepted_socket, sock=connection, ssl=self._tls))
        except OSError:
            return  # the other side left before its handshake was done
        try:
            await self._serve(reader, writer)
        finally:
            writer.transport.abort()


async def dial(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> Streams:
    """As `asyncio.open_connection`; cancelled, it leaves nothing open."""
    return await _streams(partial(asyncio.get_running_loop().create_connection, host=host, port=port, ssl=tls))


async def _streams(connect: Callable[[Callable[[], asyncio.StreamReaderProtocol]], Awaitable[object]]) -> Streams:
    connected: list[Streams] = []

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), lambda *streams: connected.append(streams))

    try:
        await connect(protocol)
    except asyncio.CancelledError:
        for _, writer in connected:
            writer.transport.abort()
        raise
    return connected[0]
