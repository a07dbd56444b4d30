"""A listener leaves nothing open, however far a connection had come when it ended.

The moments are the narrow ones in which asyncio forgets a connection: the last bytes of a handshake and the end are in
the event loop at the same time, in either order.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import socket
import ssl
import struct
import termios
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.support.listener import Listener, dial
from tools.controlplane import ControlPlane, wait_for

ORDERS = pytest.mark.parametrize("ended_first", [False, True], ids=["bytes, end", "end, bytes"])


class Peer:
    """The other side of a TLS connection, which sends nothing by itself."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, *, server_side: bool = False) -> None:
        self._connection = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server_side else "127.0.0.1"
        self._tls = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=name)
        self._go_on()

    def _go_on(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def send(self) -> None:
        """What it has to say, and return when the other side's kernel has it."""
        self._connection.sendall(self._out.read())

        def unsent() -> int:
            answer: int = struct.unpack("i", fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"\0" * 4))[0]
            return answer

        wait_for(lambda: unsent() == 0, what="the bytes to arrive")

    def hear(self) -> None:
        """Read until there is an answer to send."""
        while not self._out.pending:
            said = self._connection.recv(1 << 16)
            assert said, "the other side ended"
            self._in.write(said)
            self._go_on()


@contextmanager
def nothing_left_open() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(each.message) for each in said] == []


def in_one_moment(listener: Listener, send: Callable[[], None], *, ended_first: bool) -> None:
    """The bytes are there when the event loop looks for them next, and so is the end."""

    def both() -> None:
        if ended_first:
            listener.end()
            asyncio.get_running_loop().call_soon(send)
        else:
            send()
            listener.end()

    listener.call(both)


async def forever(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    await asyncio.get_running_loop().create_future()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=10)


@dataclass(frozen=True, slots=True)
class Tls:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture
def tls(control_plane: ControlPlane) -> Tls:
    """Of the API server's certificate."""
    files = control_plane.apiserver
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.ca_file, files.key_file)
    return Tls(server, ssl.create_default_context(cafile=str(files.ca_file)))


@ORDERS
def test_a_handshake_that_is_done_in_the_moment_of_the_end(tls: Tls, ended_first: bool) -> None:
    with nothing_left_open():
        listener = Listener(forever, name="test", tls=tls.server)
        listener.start()
        with connect(listener) as connection:
            peer = Peer(connection, tls.client)
            peer.send()
            peer.hear()
            in_one_moment(listener, peer.send, ended_first=ended_first)
            listener.join()
        del listener


@ORDERS
def test_a_dial_that_is_done_in_the_moment_of_the_end(tls: Tls, ended_first: bool) -> None:
    with nothing_left_open(), socket.create_server(("127.0.0.1", 0)) as far:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _, out = await dial(*far.getsockname(), tls=tls.client)
            try:
                await forever(reader, writer)
            finally:
                out.transport.abort()

        listener = Listener(serve, name="test")
        listener.start()
        with connect(listener), far.accept()[0] as dialled:
            peer = Peer(dialled, tls.server, server_side=True)
            peer.hear()
            in_one_moment(listener, peer.send, ended_first=ended_first)
            listener.join()
        del listener


@pytest.mark.parametrize("begun", [False, True])
def test_a_handshake_that_is_under_way_at_the_end(tls: Tls, begun: bool) -> None:
    with nothing_left_open():
        listener = Listener(forever, name="test", tls=tls.server)
        listener.start()
        with connect(listener) as connection:
            if begun:
                peer = Peer(connection, tls.client)
                peer.send()
                peer.hear()
            listener.stop()
        del listener


@ORDERS
@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_that_comes_in_the_moment_of_the_end(tls: Tls, secure: bool, ended_first: bool) -> None:
    with nothing_left_open(), socket.socket() as coming:
        listener = Listener(forever, name="test", tls=tls.server if secure else None)
        listener.start()
        address = ("127.0.0.1", listener.port)
        in_one_moment(listener, lambda: coming.connect(address), ended_first=ended_first)
        listener.join()
        del listener


def test_what_is_served_ends_with_the_listener() -> None:
    serving = threading.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.set()
        await forever(reader, writer)

    with nothing_left_open():
        listener = Listener(serve, name="test")
        listener.start()
        with connect(listener) as connection:
            assert serving.wait(10)
            listener.stop()
            assert connection.recv(1) == b""
        del listener
