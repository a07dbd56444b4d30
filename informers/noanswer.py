"""Why there was no answer, in plain words.

Contract: `no_answer` makes a `TransportError` of whatever aiohttp or a socket raised. Its reason is one word that stays
the same for the same cause; its message names the address where it is known, and no object of Python. Silence on a
stream is an `IdleTimeout`.

The tracebacks of what was raised are cut off. aiohttp keeps the exception in the response whose reading it ended, and
the frames of a traceback hold that response with its buffers: a cycle for each connection that is cut, which only the
garbage collector could undo, and it looks rarely.

Source of the idea: client-go, whose "dial tcp 10.0.0.1:6443: connect: connection refused" everybody understands.
"""

from __future__ import annotations

import errno
import os
from ssl import SSLCertVerificationError, SSLError

import aiohttp

from informers.errors import REFUSED, IdleTimeout, TransportError

_BROKEN = frozenset((errno.ECONNRESET, errno.EPIPE))


def no_answer(attempt: str, error: Exception) -> TransportError:
    """The error that `error` means. Takes from `error`, and what it came of, their tracebacks."""
    _cut_off(error)
    # aiohttp's own timeouts are both: its ClientErrors and TimeoutErrors, which in Python 3.11 are OSErrors.
    if isinstance(error, aiohttp.SocketTimeoutError):
        return IdleTimeout(attempt, reason="IdleTimeout", message="no byte arrived before the idle deadline")
    if isinstance(error, TimeoutError):
        return TransportError(attempt, reason="Timeout", message="no answer in time")
    reason, message = _why(error)
    return TransportError(attempt, reason=reason, message=message)


def _cut_off(error: BaseException | None) -> None:
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _why(error: Exception) -> tuple[str, str]:
    match error:
        case aiohttp.ClientConnectorError():
            return _unconnected(error)
        case aiohttp.ClientHttpProxyError():
            return "Proxy", f"the proxy answered {error.status} {error.message}".rstrip()
        case aiohttp.ClientResponseError():
            return "NotHTTP", f"what was answered is no HTTP: {' '.join(error.message.split())}"
        case aiohttp.ServerDisconnectedError():
            return "Closed", "the connection was closed before an answer came"
        case aiohttp.ClientPayloadError():
            return "Cut", "the connection was closed in the middle of the answer"
        case OSError() if error.errno in _BROKEN:
            return "Reset", "the connection was reset"
        case OSError():
            return "Broken", f"the connection failed: {_text(error)}"
    return "Broken", f"the connection failed ({type(error).__name__})"


def _unconnected(error: aiohttp.ClientConnectorError) -> tuple[str, str]:
    name = f"[{error.host}]" if ":" in error.host else error.host
    where = name if error.port is None else f"{name}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        where = f"the proxy {where}"
    cause: Exception = error.os_error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    match cause:
        case SSLCertVerificationError():
            return "Certificate", f"the certificate of {where} is not accepted: {cause.verify_message}"
        case SSLError():
            return "TLS", f"no TLS with {where}: {cause.reason or cause.strerror}"
        case ConnectionRefusedError():
            return REFUSED, f"connection to {where} refused"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "NoAddress", f"no address found for {name}: {_text(cause)}"
    return "Unreachable", f"no connection to {where}: {_text(cause)}"


def _text(error: Exception) -> str:
    if not isinstance(error, OSError):
        return type(error).__name__
    # The event loop puts addresses as Python writes them into the text of an error with a number.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return (error.strerror or type(error).__name__).lower()
