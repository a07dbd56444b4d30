"""Which version the API server has, and whether it is one that we support.

Contract: `problem` is the whole rule, a pure function of what `/version` answers. The operator asks until it is
answered and then each hour, because a cluster is upgraded under it; an old server makes it not ready, with words, and
does not stop it. One that is too old is asked more often: somebody waits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import structlog

from informers.clock import Clock
from informers.errors import ApiError
from informers.transport import Transport

OLDEST: Final = (1, 30)
"""The rules in our CRDs need 1.29, and 1.30 is the first with ValidatingAdmissionPolicies that are no beta."""

PATH: Final = "/version"
_UNANSWERED_SECONDS: Final = 5.0
_UNSUPPORTED_SECONDS: Final = 600.0
_SUPPORTED_SECONDS: Final = 3600.0

_log = structlog.get_logger("manager")


def version_of(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """Major and minor version; None when they cannot be told ("30+" is how some providers write 30)."""
    found = [re.match(r"\d+", str(document.get(part, ""))) for part in ("major", "minor")]
    numbers = [int(match[0]) for match in found if match]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def problem(document: Mapping[str, Any]) -> str | None:
    """Why we do not support the server that said this about itself; None when we do, or when it cannot be told."""
    version = version_of(document)
    if version is None or version >= OLDEST:
        return None
    known = str(document.get("gitVersion") or ".".join(map(str, version)))
    return (
        f"the API server is {known[:40]}, which is not supported: {OLDEST[0]}.{OLDEST[1]} is the oldest with "
        "everything that the CRDs and policies use; upgrade the cluster"
    )


class ServerVersion:
    """The check of the server's version, and the task that keeps it current."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._problem: str | None = None

    def check(self) -> str | None:
        return self._problem

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            pause = _UNANSWERED_SECONDS
            if await self._look():
                pause = _UNSUPPORTED_SECONDS if self._problem else _SUPPORTED_SECONDS
            await self._clock.sleep(self._clock.uniform(0.8, 1.2) * pause)

    async def _look(self) -> bool:
        try:
            document = (await self._transport.request("GET", PATH)).json()
        except ApiError as error:
            # Whoever may not ask, or gets no answer, hears of it from the caches, which need more than this.
            _log.debug("Could not ask for the version of the API server", err=str(error))
            return False
        before, self._problem = self._problem, problem(document) if isinstance(document, dict) else None
        if self._problem and self._problem != before:
            _log.error("Unsupported API server", err=self._problem)
        return True
