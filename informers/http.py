"""The transport over aiohttp.

Contract: see transport.py. On top of it: responses are asked for uncompressed (R25; the CPU on both sides
costs more than a cluster's network), connecting is bounded by 10 s, a 401 re-reads the credentials and sends
the request once more (R17), a certificate that is not accepted has them read again for the next request, redirects
are not followed (the token is for this server alone), and each answer is reported to `observer`.

Invariants: one connection pool for all requests and streams; a stream's connection is closed when it is left,
never reused half-read; a connection that is closed, or whose process ends, takes along what was not delivered;
only what `errors.py` names leaves this module, and cancellation.

Source of the idea: design decision D2; client-go `rest/request.go`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ssl import SSLContext
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL

from informers.clock import Clock, RealClock
from informers.credentials import Credentials
from informers.errors import ApiError, CredentialsError, TransportError, error_from_response
from informers.noanswer import no_answer
from informers.proxy import proxy_for
from informers.transport import Body, Response

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 60.0
RENEW_SECONDS = 5.0
# Large pieces, because a cold sync arrives at 100 MB/s; it also bounds what lies undecoded (T8).
READ_BUFFER = 256 * 1024
ERROR_BODY_LIMIT = 64 * 1024
_NOTHING_IS_KEPT = struct.pack("ii", 1, 0)

# method, host, status code ("<error>" when there was no answer), seconds until the answer began
RequestObserver = Callable[[str, str, str, float], None]


def _ignore(method: str, host: str, code: str, seconds: float) -> None:
    """Observe nothing."""


class AiohttpTransport:
    """Requests and streams to the server that `credentials` names."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        user_agent: str,
        observer: RequestObserver | None = None,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._credentials = credentials
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._observe = observer or _ignore
        self._clock = clock or RealClock()
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._doubted_at: float | None = None
        self._host = urlsplit(credentials.server_url).netloc
        self._proxy = credentials.proxy_url or proxy_for(
            credentials.server_url, os.environ if environ is None else environ
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 10.0,  # noqa: ASYNC109 - reported as a TransportError that names the request
    ) -> Response:
        attempt = f"{method} {path}"
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS)
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        response = await self._send(attempt, method, path, query=query, headers=headers, body=body, limits=limits)
        try:
            content = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise no_answer(attempt, error) from error
        finally:
            response.release()
        return Response(status=response.status, headers=_lower(response.headers), body=content, attempt=attempt)

    def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AbstractAsyncContextManager[Body]:
        return self._stream(path, query=query, accept=accept, idle_timeout=idle_timeout)

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AsyncIterator[Body]:
        attempt = f"WATCH {path}"
        # sock_read is restarted by every byte, and covers the wait for the status line as well (R10).
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle_timeout)
        response = await self._send(
            attempt, "GET", path, query=query, headers={"Accept": accept}, body=None, limits=limits
        )
        try:
            yield Body(_Chunks(attempt, response), content_type=response.headers.get("Content-Type", ""))
        finally:
            _hang_up(response)

    async def _send(
        self,
        attempt: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        url = self._credentials.server_url + path
        if query:
            url = f"{url}?{urlencode(query, quote_via=quote)}"
        fresh = self._is_doubtful()
        for again in (False, True):
            try:
                authorization = await self._credentials.authorization(fresh=fresh or again)
                context = self._credentials.ssl_context(fresh=fresh or again)
            except (CredentialsError, OSError) as error:
                raise TransportError(attempt, reason="Credentials", message=str(error)) from error
            if authorization:
                headers = {**headers, "Authorization": authorization}
            response = await self._send_once(
                attempt, method, url, headers=headers, body=body, limits=limits, context=context
            )
            if response.status < 300:
                return response
            if response.status != 401 or again:
                raise await _refusal(attempt, response)
            await _refusal(attempt, response)
        raise AssertionError("a second 401 was raised above")

    def _is_doubtful(self) -> bool:
        """Whether to read credentials anew: the server's certificate is not accepted, and its issuer may be another one
        since. Not with each of many requests that fail: a kubeconfig may name a program to run."""
        now = self._clock.monotonic()
        if self._doubted_at is None or now - self._doubted_at < RENEW_SECONDS:
            return False
        self._doubted_at = now
        return True

    async def _send_once(
        self,
        attempt: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        limits: aiohttp.ClientTimeout,
        context: SSLContext | None,
    ) -> aiohttp.ClientResponse:
        if self._closed:
            raise TransportError(attempt, reason="Closed", message="the transport was closed")
        extra: dict[str, Any] = {} if context is None else {"ssl": context}
        if self._credentials.tls_server_name:
            extra["server_hostname"] = self._credentials.tls_server_name
        started = self._clock.monotonic()
        code = "<error>"
        try:
            response = await self._open_session().request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                proxy=self._proxy,
                **extra,
            )
            code = str(response.status)
            self._doubted_at = None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, aiohttp.ClientConnectorCertificateError) and self._doubted_at is None:
                self._doubted_at = float("-inf")
            raise no_answer(attempt, error) from error
        finally:
            self._observe(method, self._host, code, self._clock.monotonic() - started)
        return response

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEEPALIVE_SECONDS, socket_factory=_make_socket
                ),
                headers=self._headers,
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class _Chunks:
    """The body of one response, as it arrives."""

    __slots__ = ("_attempt", "_response")

    def __init__(self, attempt: str, response: aiohttp.ClientResponse) -> None:
        self._attempt = attempt
        self._response = response

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise no_answer(self._attempt, error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk


def _make_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A write that was given up must not arrive when the network is back, minutes later, out of the kernel's hands."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOTHING_IS_KEPT)
    return made


async def _refusal(attempt: str, response: aiohttp.ClientResponse) -> ApiError:
    try:
        body = await response.content.read(ERROR_BODY_LIMIT)
        if response.content.at_eof():
            response.release()
        else:
            _hang_up(response)
    except (aiohttp.ClientError, OSError):
        body = b""  # the status line says enough
        _hang_up(response)
    return error_from_response(attempt, response.status, _lower(response.headers), body)


def _hang_up(response: aiohttp.ClientResponse) -> None:
    # At once, without TLS's farewell: a peer that is dead or silent would keep the socket open for half a minute.
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
