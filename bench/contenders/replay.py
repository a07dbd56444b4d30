"""A server that sends one watch, as fast as it is read: python -m bench.contenders.replay CERTIFICATE KEY FILE WHAT

FILE has events in protobuf, as an API server writes them, each led by its length. WHAT is `list`, and they are the
objects of a streaming list, or `changes`: that has no objects, and the events come half a second after it, when a
client is done with it. Each is a chunk and a TLS record of its own, as from a kube-apiserver. The port is printed;
clients are served one after the other until standard input ends.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from pathlib import Path
from time import sleep

from bench.contenders.frames import ANNOTATIONS, VERSION, event
from informers.protobufframes import FrameSplitter

_TYPE = b"application/vnd.kubernetes.protobuf;stream=watch"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % _TYPE
END = event("BOOKMARK", [(VERSION, "1"), (ANNOTATIONS, b"\n\x19k8s.io/initial-events-end\x12\x04true")])
_PAUSE = 0.5


def main(certificate: str, key: str, file: Path, what: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    chunks = [_chunk(_led(frame)) for frame in FrameSplitter().feed(file.read_bytes())]
    first, then = (chunks, []) if what == "list" else ([], chunks)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        threading.Thread(target=_serve, args=(listening, context, [*first, _chunk(END)], then), daemon=True).start()
        sys.stdin.read()


def _serve(listening: socket.socket, context: ssl.SSLContext, first: list[bytes], then: list[bytes]) -> None:
    while True:
        plain, _ = listening.accept()
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(plain, server_side=True) as stream:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += stream.recv(65536)
                stream.sendall(HEAD)
                for chunk in first:
                    stream.sendall(chunk)
                sleep(_PAUSE)
                for chunk in then:
                    stream.sendall(chunk)
                stream.recv(1)  # until the client leaves
        except OSError:
            continue  # it left early


def _led(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4])
