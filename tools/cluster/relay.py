"""A way into a cluster's network from the machine's loopback, for one address in there.

    python relay.py PID HOST PORT FILE

Listens on a free loopback port of the machine, writes its number to FILE, then joins the network namespace of process
PID: from there on every socket it makes is inside. The listening one stays outside, because a socket belongs to the
namespace it was made in. Bytes pass unchanged, so TLS is verified end to end. There is no way from inside to outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys
from pathlib import Path

_NETWORK = 0x40000000  # CLONE_NEWNET
_CHUNK = 1 << 16


def join_network(pid: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if library.setns(handle, _NETWORK) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"join the network of process {pid}: {os.strerror(number)}")
    finally:
        os.close(handle)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()  # a reset is passed on as one


async def serve(listener: socket.socket, host: str, port: int) -> None:
    async def passage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                far_reader, far_writer = await asyncio.open_connection(host, port)
            except OSError:
                writer.transport.abort()
                return
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_pump(reader, far_writer))
                    both.create_task(_pump(far_reader, writer))
            finally:
                for each in (writer, far_writer):
                    each.close()

    server = await asyncio.start_server(passage, sock=listener)
    await server.serve_forever()


def main() -> None:
    pid, host, port, file = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    listener = socket.create_server(("127.0.0.1", 0))
    join_network(pid)
    written = file.with_suffix(".writing")
    written.write_text(str(listener.getsockname()[1]))
    written.rename(file)
    asyncio.run(serve(listener, host, port))


if __name__ == "__main__":
    main()
