"""CPU for watch events, alone in its process: python -m bench.contenders.events KUBECONFIG WHAT LAST

WHAT is `informer` or `discard`: our informer of Deployments, or our transport alone, whose bytes are thrown away. It
ends with the event whose version is LAST; what counts is the time of the processor after the end of the initial list.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import process_time
from typing import Any
from urllib.parse import parse_qsl

from bench.contenders.stream import ACCEPT, END, PATH, QUERY
from informers import AiohttpTransport, Credentials, InformerFactory, RealClock, load_credentials
from reconcilers import mapping
from reconcilers.kinds import TARGETS
from reconcilers.rows import target_projection

_SECONDS = 120.0


async def informer(transport: AiohttpTransport, last: int) -> float:
    factory = InformerFactory(transport, RealClock())
    deployments = factory.informer(
        TARGETS["Deployment"].resource,
        target_projection("Deployment"),
        indexes={"blueprint": mapping.blueprint_index},
    )
    deployments.add_handler(lambda delta: None, name="bench")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(factory.run())
        await factory.wait_synced(_SECONDS)
        began = process_time()
        while deployments.store.last_sync_rv() < last:  # noqa: ASYNC110 - seldom enough not to count
            await asyncio.sleep(0.02)
        spent = process_time() - began
        running.cancel()
    return spent


async def discard(transport: AiohttpTransport, last: int) -> float:
    mark = b"2%c%d" % (len(str(last)), last)  # the field with the version
    began, tail = 0.0, b""
    async with transport.stream(PATH, query=dict(parse_qsl(QUERY)), accept=ACCEPT, idle_timeout=_SECONDS) as chunks:
        async for chunk in chunks:
            if END in chunk:
                began = process_time()
            # The last event is at the end of a piece, perhaps of two.
            tail = tail[-4096:] + chunk[-8192:]
            if mark in tail:
                break
        return process_time() - began


async def main(credentials: Credentials, what: str, last: int) -> dict[str, Any]:
    transport = AiohttpTransport(credentials, user_agent="bench")
    async with asyncio.timeout(_SECONDS):
        spent = await (informer if what == "informer" else discard)(transport, last)
    await transport.close()
    return {"cpu_seconds": spent}


if __name__ == "__main__":
    access = load_credentials(sys.argv[1])
    access.ssl_context()
    print(json.dumps(asyncio.run(main(access, sys.argv[2], int(sys.argv[3])))))
