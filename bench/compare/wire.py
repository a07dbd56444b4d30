"""A relay between a contestant and the API server that counts the bytes of both directions, as they are on the wire."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

_PIECE = 256 * 1024


class CountingRelay:
    """`with CountingRelay(port) as relay:` listens on `relay.port` and passes on to `port`, both on loopback."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._bytes = 0
        self._open: list[socket.socket] = []

    def __enter__(self) -> CountingRelay:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()

    @property
    def bytes(self) -> int:
        with self._lock:
            return self._bytes

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open += (near, far)
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass_on, args=(source, sink), name="relay-pipe", daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(_PIECE):
                with self._lock:
                    self._bytes += len(piece)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one of the two ends went away: so does the other
            for end in (source, sink):
                end.close()
