"""TLS contexts from files that rotate.

Contract: `TlsFiles.context()` gives one shared `SSLContext` and builds a new one when a file changed on disk
(T7). Requests in flight keep the old context; new connections take the new one, so nothing is cut.

Invariant: `stat` is asked once a minute, and when somebody has a reason to doubt; a rotation of the cluster's CA is
noticed within that time (R17).

Source of the idea: client-go `transport/cert_rotation.go` and the gate ClientsAllowCARotation.
"""

from __future__ import annotations

import os
import ssl

from informers.clock import Clock

RECHECK_SECONDS = 60.0


class TlsFiles:
    """The CA bundle, and a client certificate with its key where there is one."""

    def __init__(
        self,
        clock: Clock,
        *,
        ca_file: str | None = None,
        ca_data: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        verify: bool = True,
    ) -> None:
        self._clock = clock
        self._ca_file = ca_file
        self._ca_data = ca_data
        self._cert_file = cert_file
        self._key_file = key_file
        self._verify = verify
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._checked_at = 0.0

    def context(self, *, fresh: bool = False) -> ssl.SSLContext:
        """The context for the files as they are now (give or take a minute, unless it has to be `fresh`)."""
        now = self._clock.monotonic()
        if self._context is not None and not fresh and now - self._checked_at < RECHECK_SECONDS:
            return self._context
        stamp = self._read_stamp()
        if self._context is None or stamp != self._stamp:
            self._context = self._build()
        self._stamp, self._checked_at = stamp, now
        return self._context

    def _read_stamp(self) -> tuple[tuple[int, int], ...]:
        files = (name for name in (self._ca_file, self._cert_file, self._key_file) if name)
        return tuple((status.st_mtime_ns, status.st_ino) for status in map(os.stat, files))

    def _build(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file, cadata=self._ca_data)
        # Python 3.13 turns this on; cluster CAs in the wild lack the extensions that it asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._cert_file:
            context.load_cert_chain(self._cert_file, self._key_file)
        return context
