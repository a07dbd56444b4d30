"""What runs for ever, for as long as a test looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(endless: Coroutine[Any, Any, object]) -> AsyncIterator[asyncio.Task[object]]:
    """It must not end by itself, with a failure or without; in the end it is cancelled and waited for."""
    task = asyncio.create_task(endless)
    try:
        yield task
        if task.done():
            raise AssertionError(f"it ended by itself with {task.result()!r}")
    finally:
        task.cancel()
        await asyncio.wait([task])
