"""Whether a kind is served, when a 404 says that it is not (R17).

Contract: `is_absent` asks discovery, which other code of the server answers. It raises nothing: a server that cannot
tell has not said that the kind is gone.

Source of the idea: a 404 alone must not empty a store; aggregated APIs answer it while their backend is away.
"""

from __future__ import annotations

from enum import Enum

from informers.errors import ApiError, NotFound
from informers.resource import Resource
from informers.transport import Transport


class Presence(Enum):
    """Whether the server has the group and version of a kind."""

    UNKNOWN = "unknown"
    MISSING = "missing"
    THERE = "there"


async def is_absent(transport: Transport, resource: Resource) -> bool:
    """True only when the server says so."""
    try:
        document = (await transport.request("GET", resource.api_path)).json()
    except NotFound:
        return True
    except ApiError:
        return False
    served = document.get("resources") if isinstance(document, dict) else None
    return isinstance(served, list) and all(
        not isinstance(entry, dict) or entry.get("name") != resource.plural for entry in served
    )
