"""A TLS-terminating proxy in front of a real API server that breaks chosen requests in chosen ways.

    with FaultProxy(plane.apiserver) as proxy:
        proxy.rule(CutAfter(137), method="GET", watch=True)
        kubeconfig = plane.kubeconfig("operator", server=proxy.url)

The proxy shows the API server's own certificate, so clients verify it as usual. It speaks HTTP/1.1, one request
at a time on a connection, and relays bodies piece by piece as they come, so watches flow. A rule acts on the first
request that no earlier rule took; without a rule everything passes. All methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Self

from tests.support.faults import (
    Answer,
    CutAfter,
    Delay,
    DropAfter,
    DropBefore,
    Fault,
    Match,
    Passage,
    Request,
    Rewrite,
    Rule,
    Silent,
    SilentAfter,
    Throttle,
)
from tests.support.listener import Listener, dial
from tests.support.rewriting import changed
from tools.controlplane import ApiServer, wait_for

_PIECE = 16 * 1024


class _Broken(Exception):
    """The connection to the client is to end now, without further ado."""


class _Wire:
    """One side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.path = ""  # of the request that is under way, or was the last one
        self.silent = False
        self._held = b""  # read too early, while watching for the end
        # A drained wire has nothing left to lose in an abort. (At 0, a TLS transport never drains.)
        writer.transport.set_write_buffer_limits(high=1, low=0)

    async def line(self) -> bytes:
        line = self._held + await self._reader.readline()
        self._held = b""
        return line

    async def head(self) -> tuple[str, dict[str, str]] | None:
        """First line and headers (lower-case names); None at the end of the connection."""
        first = (await self.line()).decode("latin-1").strip()
        if not first:
            return None
        headers: dict[str, str] = {}
        while (line := (await self.line()).decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            known = headers.get(name.lower())
            headers[name.lower()] = f"{known}, {value.strip()}" if known else value.strip()
        return first, headers

    async def body(self, headers: Mapping[str, str], *, none: bool = False) -> AsyncIterator[bytes]:
        """The body in the pieces it comes in, without its transfer coding."""
        if none:
            return
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self.line()).partition(b";")[0], 16):
                yield await self._reader.readexactly(size)
                await self.line()
            while (await self.line()).strip():
                pass  # trailers
            return
        left = int(headers.get("content-length", "0"))
        while left:
            piece = await self._reader.read(min(left, _PIECE))
            if not piece:
                raise _Broken
            left -= len(piece)
            yield piece

    async def until_closed(self) -> None:
        self._held += await self._reader.read(1)
        if self._held:
            await asyncio.get_running_loop().create_future()  # a request that came early: not closed
        raise _Broken

    async def send(self, data: bytes) -> None:
        if self.silent:
            await asyncio.get_running_loop().create_future()  # until somebody closes it
        if self.writer.transport.is_closing():
            raise _Broken  # asyncio would take it, and complain of the sixth time
        self.writer.write(data)
        await self.writer.drain()

    def abort(self, *, reset: bool = False) -> None:
        raw = self.writer.get_extra_info("socket")
        if reset and raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass(frozen=True, slots=True)
class _Upstream:
    """A server behind the proxy."""

    port: int
    tls: ssl.SSLContext

    @classmethod
    def of(cls, server: ApiServer) -> _Upstream:
        tls = ssl.create_default_context(cafile=str(server.ca_file))
        tls.set_alpn_protocols(["http/1.1"])
        return cls(server.port, tls)


class FaultProxy:
    """See the module's description."""

    def __init__(self, server: ApiServer) -> None:
        self._ways = [(Match(), _Upstream.of(server))]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(server.ca_file, server.key_file)
        tls.set_alpn_protocols(["http/1.1"])
        self._rules: list[Rule] = []
        self._passages: list[Passage] = []
        self._lock = threading.Lock()
        self._connections: set[_Wire] = set()
        self._open_gate = asyncio.Event()
        self._open_gate.set()
        self._listener = Listener(self._connection, name="fault-proxy", tls=tls)

    # -- for the test ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def rule(
        self,
        fault: Fault,
        *,
        method: str = "",
        path: str = "",
        query: str = "",
        watch: bool | None = None,
        times: int | None = 1,
        skip: int = 0,
    ) -> Rule:
        """Break the matching requests number `skip` + 1 to `skip` + `times` (None: all)."""
        rule = Rule(Match(method, path, query, watch), fault, times=times, skip=skip)
        with self._lock:
            self._rules.append(rule)
        return rule

    def send_to(
        self, server: ApiServer, *, method: str = "", path: str = "", query: str = "", watch: bool | None = None
    ) -> None:
        """From now on the matching requests go to this server, as a load balancer may decide; the last word counts."""
        with self._lock:
            self._ways.insert(0, (Match(method, path, query, watch), _Upstream.of(server)))

    def clear(self) -> None:
        """Forget all rules; requests under way keep their fault."""
        with self._lock:
            self._rules.clear()

    @property
    def passages(self) -> list[Passage]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return list(self._passages)

    def requests(
        self, *, method: str = "", path: str = "", query: str = "", watch: bool | None = None
    ) -> list[Request]:
        match = Match(method, path, query, watch)
        return [each.request for each in self.passages if match.fits(each.request)]

    def wait_for_hits(self, rule: Rule, *, hits: int = 1, timeout: float = 60.0) -> None:
        wait_for(lambda: rule.hits >= hits, timeout, what=f"{hits} requests for {rule}")

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def cut_all(self, *, reset: bool = False) -> int:
        """Break every open connection now; how many there were."""

        def cut() -> int:
            for wire in self._connections:
                wire.abort(reset=reset)
            return len(self._connections)

        return self._listener.call(cut)

    def silence(self, path: str = "") -> int:
        """A network that forgets connections, as a router does: those that are open now stay so and carry nothing any
        more, new ones do. `path`: only those whose last request has this in it. How many there were."""

        def silence() -> int:
            found = [wire for wire in self._connections if path in wire.path]
            for wire in found:
                wire.silent = True
            return len(found)

        return self._listener.call(silence)

    def pause(self) -> None:
        """A network that drops everything: connections stay open, no byte moves, until `resume()`."""
        self._listener.call(self._open_gate.clear)

    def resume(self) -> None:
        self._listener.call(self._open_gate.set)

    # -- in the listener's event loop ------------------------------------------------------------------

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Wire(reader, writer)
        self._connections.add(client)
        way: _Upstream | None = None
        upstream: _Wire | None = None
        try:
            while (head := await client.head()) is not None:
                method, target, _ = head[0].split(" ", 2)
                body = b"".join([piece async for piece in client.body(head[1])])
                request = Request(method, target, head[1], body)
                if client.silent:
                    await client.until_closed()
                client.path = request.path
                fault = self._fault_for(request)
                if not await self._before(client, fault):
                    continue
                if upstream is None or way != self._way_for(request):
                    if upstream is not None:
                        upstream.abort()
                    way = self._way_for(request)
                    upstream = _Wire(*await dial("127.0.0.1", way.port, tls=way.tls))
                async with asyncio.TaskGroup() as group:
                    watcher = group.create_task(client.until_closed())
                    await self._relay(client, upstream, request, fault)
                    watcher.cancel()
        except* (OSError, EOFError, ValueError, _Broken):
            pass  # either side ended: what a proxy is for
        finally:
            self._connections.discard(client)
            if upstream is not None:
                upstream.abort()

    def _fault_for(self, request: Request) -> Fault | None:
        with self._lock:
            fault = next((rule.fault for rule in self._rules if rule.takes(request)), None)
            self._passages.append(Passage(request, fault))
            return fault

    def _way_for(self, request: Request) -> _Upstream:
        with self._lock:
            return next(upstream for match, upstream in self._ways if match.fits(request))

    async def _before(self, client: _Wire, fault: Fault | None) -> bool:
        """What happens before the server sees the request; whether it gets to see it."""
        await self._open_gate.wait()
        match fault:
            case DropBefore():
                raise _Broken
            case Silent():
                await client.until_closed()
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Answer(status, body, headers):
                lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                await client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
                return False
        return True

    async def _relay(self, client: _Wire, upstream: _Wire, request: Request, fault: Fault | None) -> None:
        await upstream.send(_head(f"{request.method} {request.target} HTTP/1.1", request.headers, request.body))
        head = await upstream.head()
        if head is None:
            raise _Broken
        status, headers = head
        empty = request.method == "HEAD" or status.split(" ")[1] in ("204", "304")
        pieces = upstream.body(headers, none=empty)
        if isinstance(fault, DropAfter):
            async for _ in pieces:
                pass
            raise _Broken
        fixed = "content-length" in headers
        if fixed and isinstance(fault, Rewrite):
            content = fault.change(b"".join([piece async for piece in pieces]))
            await client.send(_head(status, headers, content))
            return
        await self._open_gate.wait()
        await client.send(_head(status, headers))
        sent = 0
        if isinstance(fault, Rewrite):
            pieces = changed(pieces, fault.change, content_type=headers.get("content-type", ""))
        async for data in pieces:
            await self._open_gate.wait()
            if isinstance(fault, CutAfter | SilentAfter) and sent + len(data) >= fault.body_bytes:
                frame = b"" if fixed else b"%x\r\n" % len(data)
                await client.send(frame + data[: fault.body_bytes - sent])
                await self._end_early(client, fault)
            if isinstance(fault, Throttle):
                await asyncio.sleep(len(data) / fault.bytes_per_second)
            sent += len(data)
            await client.send(data if fixed else b"%x\r\n%b\r\n" % (len(data), data))
        if not fixed and not empty:
            await client.send(b"0\r\n\r\n")

    async def _end_early(self, client: _Wire, fault: CutAfter | SilentAfter) -> None:
        if isinstance(fault, SilentAfter):
            await asyncio.get_running_loop().create_future()  # until the client leaves
        client.abort(reset=isinstance(fault, CutAfter) and fault.reset)
        raise _Broken


def _head(first: str, headers: Mapping[str, str], body: bytes | None = None) -> bytes:
    """The head of a message; with a body, the body follows in one piece."""
    sent = dict(headers)
    if body is not None:
        sent.pop("transfer-encoding", None)
        if body or "content-length" in sent:
            sent["content-length"] = str(len(body))
    lines = [first, *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (body or b"")
