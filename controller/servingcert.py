"""The certificate of a server, from files that somebody renews or of our own making.

Contract: `context` is handed to the server once. At the start of each connection it is looked whether there is a newer
certificate, at most every ten seconds; new connections get it, connections that exist go on with theirs. Files that
cannot be used (half written, key of another certificate) are told and the last good certificate stays; at start there
is no good one yet, and that is a `ServeError` which names file and reason.

Invariant: certificate and key are read once each, tried together, and only then taken; a private key of our own making
is never in a file system.

Source of the idea: controller-runtime `pkg/certwatcher`; the swap in the callback for a name is how web servers
choose among certificates.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from controller import selfsigned
from controller.server import ServeError
from informers.clock import Clock

RECHECK_SECONDS: Final = 10.0
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")

_log = structlog.get_logger("serving")

Stamp = tuple[tuple[int, int], ...]


class ServingCertificate:
    """See the module's contract. Without files it makes a certificate itself, and a new one at half its life."""

    def __init__(self, clock: Clock, *, cert_file: str | None = None, key_file: str | None = None) -> None:
        self._clock = clock
        self._files = (cert_file, key_file) if cert_file and key_file else None
        self._renew_at: datetime | None = None
        self._stamp: Stamp = ()
        self._checked_at = clock.monotonic()
        try:
            self._current = self._build()
        except (OSError, ValueError) as error:
            raise ServeError(
                f"read the certificate {cert_file} and its key {key_file}: {_reason(error)}; metrics.certFile and "
                "metrics.keyFile take PEM files that belong together, and without both a certificate is made at start"
            ) from error
        self.context = self._current
        """What to listen with."""
        self.context.sni_callback = self._on_hello

    def current(self) -> ssl.SSLContext:
        """The context for a connection that begins now."""
        now = self._clock.monotonic()
        if now - self._checked_at >= RECHECK_SECONDS:
            self._checked_at = now
            try:
                if self._is_old():
                    self._current = self._build()
                    _log.info("Took a new certificate", source=self.source)
            except (OSError, ValueError) as error:
                _log.warning(
                    "Could not take a new certificate; the last good one stays",
                    source=self.source,
                    err=_reason(error),
                )
        return self._current

    @property
    def source(self) -> str:
        """Where the certificate comes from, for people."""
        return self._files[0] if self._files else "made at start"

    def _on_hello(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """OpenSSL asks for every client, also for one that names no server."""
        current = self.current()
        if current is not connection.context:
            connection.context = current

    def _is_old(self) -> bool:
        if self._files is None:
            assert self._renew_at is not None
            return self._clock.wall() >= self._renew_at
        return _stamp(self._files) != self._stamp

    def _build(self) -> ssl.SSLContext:
        if self._files is None:
            names = dict.fromkeys((*_LOCAL, socket.gethostname()))
            context = _context(selfsigned.make(self._clock, names=tuple(names)).encode())
            self._renew_at = self._clock.wall() + selfsigned.LIFE / 2
            return context
        # Stamped before it is read: what changes meanwhile is read again.
        stamp = _stamp(self._files)
        context = _context(b"\n".join(Path(name).read_bytes() for name in self._files))
        self._stamp = stamp
        return context


def _stamp(files: tuple[str, str]) -> Stamp:
    return tuple((status.st_mtime_ns, status.st_ino) for status in map(os.stat, files))


def _context(pem: bytes) -> ssl.SSLContext:
    """A context with this certificate and key; ssl.SSLError, an OSError, when they are no pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _as_file(pem) as path:
        # An empty password: an encrypted key is an error, not a question on the terminal.
        context.load_cert_chain(path, password="")
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Bytes under a path, because OpenSSL reads keys from files; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a certificate with its own unencrypted key ({error.reason or error})"
    return str(error)
