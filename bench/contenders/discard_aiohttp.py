"""The floor for anything over aiohttp: it reads the stream and throws the bytes away."""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter, process_time

import aiohttp
from yarl import URL

from bench.contenders.stream import ACCEPT, PATH, QUERY, EndFinder
from informers import load_credentials


async def main(kubeconfig: str) -> None:
    credentials = load_credentials(kubeconfig)
    headers = {
        "Accept": ACCEPT,
        "Authorization": await credentials.authorization() or "",
        "Accept-Encoding": "identity",
        "User-Agent": "bench",
    }
    context = credentials.ssl_context()
    assert context is not None
    finder = EndFinder()
    started, spent = perf_counter(), process_time()
    async with (
        aiohttp.ClientSession(auto_decompress=False, read_bufsize=256 * 1024) as session,
        session.get(
            URL(f"{credentials.server_url}{PATH}?{QUERY}", encoded=True), headers=headers, ssl=context
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()
        while not finder.feed(piece := await answer.content.readany()):
            assert piece, "the server closed the stream before its end"
        seconds, cpu = perf_counter() - started, process_time() - spent
        answer.close()
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "bytes": finder.bytes}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
