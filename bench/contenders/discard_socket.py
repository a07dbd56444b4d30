"""The floor: a blocking TLS socket that reads the stream and throws the bytes away."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from time import perf_counter, process_time
from urllib.parse import urlsplit

from bench.contenders.stream import ACCEPT, PATH, QUERY, EndFinder
from informers import load_credentials


def main(kubeconfig: str) -> None:
    credentials = load_credentials(kubeconfig)
    authorization = asyncio.run(credentials.authorization())
    context = credentials.ssl_context()
    assert context is not None
    url = urlsplit(credentials.server_url)
    request = (
        f"GET {PATH}?{QUERY} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: {ACCEPT}\r\nAuthorization: {authorization}\r\n"
        "Accept-Encoding: identity\r\nUser-Agent: bench\r\n\r\n"
    )
    finder = EndFinder()
    started, spent = perf_counter(), process_time()
    with (
        socket.create_connection((url.hostname, url.port)) as plain,
        context.wrap_socket(plain, server_hostname=url.hostname) as stream,
    ):
        stream.sendall(request.encode())
        while not finder.feed(piece := stream.recv(1024 * 1024)):
            assert piece, "the server closed the stream before its end"
        seconds, cpu = perf_counter() - started, process_time() - spent
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "bytes": finder.bytes}))


if __name__ == "__main__":
    main(sys.argv[1])
