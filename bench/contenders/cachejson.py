"""`bench.contenders.cache` behind a proxy that lets only JSON through, as it were: it says what protobuf gains."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from bench.contenders.cache import main
from bench.peers.python.contract import arguments
from informers import AiohttpTransport, load_credentials
from informers.transport import METADATA, Body


class JsonTransport(AiohttpTransport):
    """Asks for metadata in nothing else."""

    def stream(
        self, path: str, *, query: Mapping[str, str], accept: str, idle_timeout: float
    ) -> AbstractAsyncContextManager[Body]:
        return super().stream(path, query=query, accept=f"{METADATA},application/json", idle_timeout=idle_timeout)


if __name__ == "__main__":
    options = arguments()
    access = load_credentials(options.kubeconfig)
    access.ssl_context()
    asyncio.run(main(options, access, transport=JsonTransport))
