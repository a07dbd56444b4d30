"""The transport over real sockets on loopback: what is sent, and what each way of failing becomes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from informers import (
    AiohttpTransport,
    ApiError,
    CredentialsError,
    Forbidden,
    IdleTimeout,
    NotFound,
    TransportError,
    Unauthorized,
)
from informers.credentials import StaticCredentials

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Kind: Test\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
Script = Callable[["Connection"], Awaitable[None]]


def answer(code: int, body: bytes = b"", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d X" % code, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@dataclass
class Connection:
    """One request as the server got it, and the way to answer."""

    head: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name:
                return value
        return None


@dataclass
class Server:
    """Answers each request by the next of its scripts (the last one again and again)."""

    url: str = ""
    requests: list[Connection] = field(default_factory=list)


@asynccontextmanager
async def serving(*scripts: bytes | Script) -> AsyncIterator[Server]:
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
                )
                connection = Connection(head, await reader.readexactly(length), reader, writer)
                script = scripts[min(len(server.requests), len(scripts) - 1)]
                server.requests.append(connection)
                if isinstance(script, bytes):
                    await connection.send(script)
                else:
                    await script(connection)
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    server.url = f"http://{host}:{port}"
    async with listener:
        yield server


@dataclass
class Tokens(StaticCredentials):
    """Credentials that know a better token once they are asked for a fresh one."""

    def __init__(self, url: str) -> None:
        super().__init__(url, token="old")
        self.asked: list[bool] = []

    async def authorization(self, *, fresh: bool = False) -> str | None:
        self.asked.append(fresh)
        return "Bearer new" if fresh else await super().authorization()


@asynccontextmanager
async def client(url: str, **options: object) -> AsyncIterator[AiohttpTransport]:
    transport = AiohttpTransport(Tokens(url), user_agent="test/1", environ={}, **options)  # type: ignore[arg-type]
    try:
        yield transport
    finally:
        await transport.close()


async def listen(transport: AiohttpTransport, heard: list[bytes] | None = None, *, idle_timeout: float = 5.0) -> bytes:
    """The whole of a stream."""
    heard = [] if heard is None else heard
    async with transport.stream("/w", query={}, accept="a", idle_timeout=idle_timeout) as chunks:
        async for data in chunks:
            heard.append(data)
    return b"".join(heard)


async def hung_up(connection: Connection) -> None:
    with contextlib.suppress(ConnectionResetError):
        await connection.reader.read()


async def test_what_is_sent_and_what_comes_back() -> None:
    async with serving(OK) as server, client(server.url) as transport:
        response = await transport.request(
            "POST",
            "/a b".replace(" ", "%20"),
            query={"q": "x y&z", "e": ""},
            body=b"[]",
            content_type="text/x",
            accept="text/y",
        )
        seen = server.requests[0]
        assert seen.head.startswith("POST /a%20b?q=x%20y%26z&e= HTTP/1.1")
        assert seen.body == b"[]"
        assert seen.header("content-type") == "text/x"
        assert seen.header("accept") == "text/y"
        assert seen.header("user-agent") == "test/1"
        assert seen.header("authorization") == "Bearer old"
        assert seen.header("accept-encoding") == "identity"
        assert (response.status, response.headers["x-kind"], response.json()) == (200, "Test", {})


async def test_connections_are_used_again() -> None:
    async with serving(OK) as server, client(server.url) as transport:
        for _ in range(3):
            await transport.request("GET", "/")
        assert len({id(seen.writer) for seen in server.requests}) == 1


async def test_r17_after_a_401_the_credentials_are_read_again_and_the_request_is_sent_once_more() -> None:
    async with serving(answer(401), OK) as server, client(server.url) as transport:
        await transport.request("PUT", "/", body=b"{}")
        assert [seen.header("authorization") for seen in server.requests] == ["Bearer old", "Bearer new"]
        assert server.requests[1].body == b"{}"


async def test_r17_a_second_401_is_the_answer() -> None:
    async with serving(answer(401)) as server, client(server.url) as transport:
        with pytest.raises(Unauthorized, match=r"GET /x: 401"):
            await transport.request("GET", "/x")
        assert len(server.requests) == 2


async def test_r17_streams_as_well() -> None:
    async with serving(answer(401), OK) as server, client(server.url) as transport:
        async with transport.stream("/x", query={}, accept="a", idle_timeout=5) as chunks:
            assert [data async for data in chunks] == [b"{}"]
        assert len(server.requests) == 2


async def test_statuses_become_errors() -> None:
    body = b'{"kind":"Status","reason":"Forbidden","message":"no"}'
    async with (
        serving(answer(403, body), answer(404, b"404 page not found")) as server,
        client(server.url) as transport,
    ):
        with pytest.raises(Forbidden, match="GET /x: 403 Forbidden: no"):
            await transport.request("GET", "/x")
        with pytest.raises(NotFound, match="WATCH /y: 404: 404 page not found"):
            async with transport.stream("/y", query={}, accept="a", idle_timeout=5):
                pass


async def test_redirects_are_not_followed() -> None:
    async with serving(answer(302, b"", b"location: http://127.0.0.1:1/")) as server, client(server.url) as transport:
        with pytest.raises(ApiError, match="302"):
            await transport.request("GET", "/")


async def silent(connection: Connection) -> None:
    await connection.reader.read()


async def test_an_answer_that_does_not_come_in_time() -> None:
    async with serving(silent) as server, client(server.url) as transport:
        with pytest.raises(TransportError, match="GET /x: Timeout"):
            await transport.request("GET", "/x", timeout=0.05)


async def test_a_body_that_does_not_come_in_time() -> None:
    async def half(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        await silent(connection)

    async with serving(half) as server, client(server.url) as transport:
        with pytest.raises(TransportError):
            await transport.request("GET", "/x", timeout=0.05)


async def cut(connection: Connection) -> None:
    await connection.send(CHUNKED + chunk(b"one\n") + b"ff\r\nhal")


async def test_a_body_that_is_cut() -> None:
    async def half(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")

    async with serving(half) as server, client(server.url) as transport:
        with pytest.raises(TransportError):
            await transport.request("GET", "/x")


async def test_a_stream_gives_what_comes_and_ends_politely() -> None:
    async def talk(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"one\n") + chunk(b"two\n") + chunk(b""))

    async with serving(talk) as server, client(server.url) as transport:
        assert await listen(transport) == b"one\ntwo\n"


async def test_a_stream_that_is_cut() -> None:
    async with serving(cut) as server, client(server.url) as transport:
        with pytest.raises(TransportError, match="WATCH /w"):
            await listen(transport)


async def test_r10_a_stream_that_goes_silent() -> None:
    async def talk(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"one\n"))
        await silent(connection)

    async with serving(talk) as server, client(server.url) as transport:
        heard: list[bytes] = []
        with pytest.raises(IdleTimeout):
            await listen(transport, heard, idle_timeout=0.05)
        assert heard == [b"one\n"]


async def test_r10_any_byte_counts() -> None:
    async def talk(connection: Connection) -> None:
        await connection.send(CHUNKED)
        for _ in range(12):
            await connection.send(chunk(b"."))
            await asyncio.sleep(0.02)
        await connection.send(chunk(b""))

    async with serving(talk) as server, client(server.url) as transport:
        assert await listen(transport, idle_timeout=0.15) == b"." * 12


async def test_leaving_a_stream_closes_its_connection() -> None:
    closed = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"one\n"))
        await hung_up(connection)
        closed.set()

    async with serving(talk) as server, client(server.url) as transport:
        async with transport.stream("/w", query={}, accept="a", idle_timeout=5) as chunks:
            assert await anext(aiter(chunks)) == b"one\n"
        async with asyncio.timeout(5):
            await closed.wait()


async def test_every_answer_is_observed() -> None:
    seen: list[tuple[str, str, str]] = []

    def observe(method: str, host: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        seen.append((method, host, code))

    async with serving(answer(401), OK) as server, client(server.url, observer=observe) as transport:
        await transport.request("GET", "/")
        host = server.url.removeprefix("http://")
        assert seen == [("GET", host, "401"), ("GET", host, "200")]
    async with client("http://127.0.0.1:1", observer=observe) as transport:
        with pytest.raises(TransportError):
            await transport.request("DELETE", "/")
    assert seen[-1] == ("DELETE", "127.0.0.1:1", "<error>")


@pytest.mark.parametrize("closing", [False, True])
async def test_a_request_that_was_given_up_does_not_arrive_later(closing: bool) -> None:
    """The server reads nothing for a while, and its side takes little: the kernel on our side holds the rest."""
    loop = asyncio.get_running_loop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        host, port = listener.getsockname()
        async with client(f"http://{host}:{port}") as transport, asyncio.timeout(20):
            sent = transport.request("PATCH", "/", body=b"x" * (256 << 10), timeout=30 if closing else 0.2)
            write = asyncio.create_task(sent)
            server, _ = await loop.sock_accept(listener)
            with server:
                server.setblocking(False)
                await loop.sock_recv(server, 1)
                if closing:
                    await transport.close()
                with pytest.raises(TransportError):
                    await write
                with pytest.raises(ConnectionResetError):
                    await to_the_end(server)


async def read(transport: AiohttpTransport) -> None:
    await transport.request("GET", "/x", timeout=0.05)


async def hear(transport: AiohttpTransport) -> None:
    await listen(transport, idle_timeout=0.05)


@pytest.mark.parametrize(
    ("script", "ask"),
    [
        pytest.param(CHUNKED + b"ff\r\nhal", hear, id="silence"),
        pytest.param(CHUNKED + b"no number\r\n", read, id="no http"),
        pytest.param(cut, read, id="cut"),
        pytest.param(cut, hear, id="stream cut"),
        pytest.param(answer(500), read, id="refused"),
        pytest.param(answer(401), hear, id="refused twice"),
    ],
)
async def test_no_failure_is_left_to_the_garbage_collector(
    script: bytes | Script, ask: Callable[[AiohttpTransport], Awaitable[None]]
) -> None:
    """A response in a cycle with the traceback of its error would stay, with its buffers, for an hour perhaps."""

    def responses() -> int:
        return sum(type(known) is aiohttp.ClientResponse for known in gc.get_objects())

    async with serving(script) as server, client(server.url) as transport:
        gc.collect()
        before = responses()
        gc.disable()
        try:
            with pytest.raises(ApiError):
                await ask(transport)
            async with asyncio.timeout(5):
                while responses() > before:  # noqa: ASYNC110 - what is awaited has no event to set
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def to_the_end(server: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while await loop.sock_recv(server, 1 << 16):
        pass


async def test_credentials_that_cannot_be_read_are_no_answer() -> None:
    class Broken(StaticCredentials):
        async def authorization(self, *, fresh: bool = False) -> str | None:
            raise CredentialsError("read the token: gone")

    transport = AiohttpTransport(Broken("http://127.0.0.1:1"), user_agent="test/1")
    with pytest.raises(TransportError, match="GET /: Credentials: read the token: gone"):
        await transport.request("GET", "/")
    await transport.close()


async def test_a_closed_transport_says_so() -> None:
    async with client("http://127.0.0.1:1") as transport:
        await transport.close()
        with pytest.raises(TransportError, match="closed"):
            await transport.request("GET", "/")
        await transport.close()


async def test_closing_hangs_up() -> None:
    gone = asyncio.Event()

    async def talk(connection: Connection) -> None:
        await connection.send(OK)
        await hung_up(connection)
        gone.set()

    async with serving(talk) as server, client(server.url) as transport:
        await transport.request("GET", "/")
        assert not gone.is_set()
        await transport.close()
        async with asyncio.timeout(5):
            await gone.wait()
