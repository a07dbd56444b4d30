"""What people read when there is no answer: made on real sockets, because only these raise what aiohttp raises."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from informers import AiohttpTransport, TransportError
from informers.credentials import StaticCredentials
from informers.noanswer import no_answer
from tests.informers.test_http import client

Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_PYTHON = re.compile(r"<|object at|\(\'|Errno|aiohttp|Client[A-Z]|Error")


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[str]:
    async with await asyncio.start_server(server, "127.0.0.1", 0) as started:
        yield f"127.0.0.1:{started.sockets[0].getsockname()[1]}"


async def failing(transport: AiohttpTransport) -> str:
    with pytest.raises(TransportError) as raised:
        await transport.request("GET", "/x", timeout=5)
    text = str(raised.value)
    assert not _PYTHON.search(text), text
    return text


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def saying(words: bytes) -> Server:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        await writer.drain()
        writer.close()

    return say


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "https://127.0.0.1:1"])
async def test_nobody_listens(url: str) -> None:
    async with client(url) as transport:
        where = url.partition("//")[2]
        said = await failing(transport)
        assert said == f"GET /x: Refused: connection to {where} refused"


async def test_the_proxy_does_not_listen() -> None:
    transport = AiohttpTransport(
        StaticCredentials("https://10.0.0.1"), user_agent="test/1", environ={"https_proxy": "http://127.0.0.1:1"}
    )
    assert await failing(transport) == "GET /x: Refused: connection to the proxy 127.0.0.1:1 refused"
    await transport.close()


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (reset, "Reset: the connection was reset"),
        (saying(b""), "Closed: the connection was closed before an answer came"),
        (saying(b"junk\r\n\r\n"), "NotHTTP: what was answered is no HTTP: Bad status line"),
        (
            saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
            "Cut: the connection was closed in the middle of the answer",
        ),
    ],
)
async def test_the_connection_breaks(server: Server, said: str) -> None:
    async with listening(server) as where, client(f"http://{where}") as transport:
        with pytest.raises(TransportError) as raised:
            await transport.request("GET", "/x", timeout=5)
        assert str(raised.value).startswith(f"GET /x: {said}")
        assert "<" not in str(raised.value)


async def test_no_tls_where_it_is_expected() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(1)
        writer.close()

    async with listening(plain) as where, client(f"https://{where}") as transport:
        assert (await failing(transport)).startswith(f"GET /x: TLS: no TLS with {where}: ")


def test_what_cannot_be_had_on_a_loopback() -> None:
    key = aiohttp.client_reqrep.ConnectionKey("api.example.com", 6443, True, True, None, None, None)
    unknown = aiohttp.ClientConnectorDNSError(key, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    assert no_answer("GET /x", unknown).message == "no address found for api.example.com: name or service not known"
    away = aiohttp.ClientConnectorError(key, OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 6443)"))
    assert no_answer("GET /x", away).message == "no connection to api.example.com:6443: no route to host"
    refusal = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refusal.verify_message = "self-signed certificate"
    untrusted = aiohttp.ClientConnectorCertificateError(key, refusal)
    assert no_answer("GET /x", untrusted).message == (
        "the certificate of api.example.com:6443 is not accepted: self-signed certificate"
    )
    assert no_answer("GET /x", OSError(errno.EMFILE, "x")).message == "the connection failed: too many open files"
    assert no_answer("GET /x", aiohttp.ClientError(object())).message == "the connection failed (ClientError)"
    assert no_answer("GET /x", aiohttp.ClientHttpProxyError(None, (), status=407, message="Who?")).message == (  # type: ignore[arg-type]
        "the proxy answered 407 Who?"
    )
    assert no_answer("GET /x", FileNotFoundError(errno.ENOENT, str(Path("x")))).reason == "Broken"
