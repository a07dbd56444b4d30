"""Whether the storage Secrets that targets rely on exist and have the keys they need, looked at only where the
operator may.

The operator has no cluster-wide right to read Secrets, and none at all by default. For each Secret it first asks the
API server whether it may read exactly that one (SelfSubjectAccessReview). Where it may not, the answer is "unchecked",
which the blueprint's status says. Where it may, that is believed until a request is refused. The Secret is read whole
once for each version of it, and all that is kept are the names of the keys that have a value; every other look is at
its metadata.

One look for each Secret, not for each target, and again at an interval that depends on the answer: one that is missing
or lacks a key is waited for by somebody. Those that may not be read take turns: one is asked about every ten minutes,
and each every six hours at least. When the answer is a new one for any of them, all are asked about at once, because
rights are mostly given for more than one (ADR 22).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from controller.answers import read_object, require_definite
from controller.selfreview import may
from informers.clock import Clock
from informers.errors import ApiError, Forbidden, NotFound
from informers.resource import ObjectKey, Resource
from informers.transport import METADATA, Transport
from reconcilers import storagekeys
from reconcilers.ports import SecretSight, SecretState

_SECRET = Resource("", "v1", "secrets", "Secret")
_INTERVALS = {
    SecretState.MISSING: 15.0,
    SecretState.INCOMPLETE: 15.0,
    SecretState.FOUND: 300.0,
}
_TURN_SECONDS = 600.0
_ROUND_SECONDS = 21_600.0
"""Of the Secrets that may not be read one is asked about so often, and each."""
_FAILED_SECONDS = 15.0
"""A look that failed says nothing, and is repeated soon."""
_SECONDS = 10.0

_log = structlog.get_logger("storage-secrets")


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look told: `keys` are those with a value, `version` is that of the Secret."""

    state: SecretState
    keys: frozenset[str] = frozenset()
    version: str = ""


@dataclass(slots=True)
class _Known:
    found: _Found
    due: float


class StorageSecrets:
    """What is known of each storage Secret, and the task that finds it out.

    `wanted` gives the Secrets that targets rely on now, with the backends they are for; `changed` is told of each whose
    state is not as before.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        enabled: bool,
        wanted: Callable[[], Mapping[ObjectKey, Collection[str]]],
        changed: Callable[[ObjectKey], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._enabled = enabled
        self._wanted = wanted
        self._changed = changed
        self._known: dict[ObjectKey, _Known] = {}
        self._woken = asyncio.Event()

    def sight(self, key: ObjectKey, provider: str) -> SecretSight:
        """How a Secret stands with the backend `provider`; with "" it is not asked for keys."""
        known = self._known.get(key)
        return _sight(known.found, provider) if known else SecretSight(SecretState.UNCHECKED)

    def looked_at(self, key: ObjectKey) -> bool:
        """False while the first look is still to come."""
        return not self._enabled or key in self._known

    def wake(self) -> None:
        """Targets may rely on a Secret that was never looked at."""
        self._woken.set()

    async def run(self) -> None:
        """Look at what is due, for ever."""
        if not self._enabled:
            return
        while True:
            self._woken.clear()
            wanted = self._wanted()
            for key in self._known.keys() - wanted.keys():
                del self._known[key]
            now = self._clock.monotonic()
            for key in sorted(wanted):
                known = self._known.get(key)
                if known is None or known.due <= now:
                    await self._look(key, wanted[key])
            soonest = min((known.due for known in self._known.values()), default=now + 3600.0)
            try:
                async with asyncio.timeout(max(0.5, soonest - self._clock.monotonic())):
                    await self._woken.wait()
                await self._clock.sleep(0.5)
            except TimeoutError:
                continue

    async def _look(self, key: ObjectKey, providers: Collection[str]) -> None:
        first = key not in self._known
        before = _Found(SecretState.UNCHECKED) if first else self._known[key].found
        try:
            found = await self._find(key, before)
            states = {_sight(found, provider).state for provider in providers} or {found.state}
            interval = min(_INTERVALS.get(state) or self._turn(key, first=first) for state in states)
        except ApiError as error:
            _log.debug("Could not look at a storage Secret", namespace=key.namespace, name=key.name, err=str(error))
            found, interval = before, _FAILED_SECONDS
        self._known[key] = _Known(found, self._clock.monotonic() + self._clock.uniform(0.8, 1.2) * interval)
        if (before.state, before.keys) != (found.state, found.keys):
            self._changed(key)
            if before.state is SecretState.UNCHECKED and not first:
                self._ask_again()

    def _turn(self, key: ObjectKey, *, first: bool) -> float:
        """When it is the turn of a Secret that may not be read, behind all others of that kind."""
        others = sum(known.found.state is SecretState.UNCHECKED for other, known in self._known.items() if other != key)
        wait = (others + 1) * _TURN_SECONDS
        if wait <= _ROUND_SECONDS:
            return wait
        # Those that are too many for it are spread over the first round, and keep their distances in the next.
        return self._clock.uniform(_TURN_SECONDS, _ROUND_SECONDS) if first else _ROUND_SECONDS

    def _ask_again(self) -> None:
        now = self._clock.monotonic()
        for known in self._known.values():
            if known.found.state is SecretState.UNCHECKED:
                known.due = now

    async def _find(self, key: ObjectKey, before: _Found) -> _Found:
        """What a look tells. That it is allowed was asked before the first one, and is asked again after a refusal."""
        if before.state is not SecretState.UNCHECKED:
            try:
                return await self._read(key, before)
            except Forbidden:
                pass
        if not await may(self._transport, "get", _SECRET, key):
            return _Found(SecretState.UNCHECKED)
        return await self._read(key, before)

    async def _read(self, key: ObjectKey, before: _Found) -> _Found:
        path = _SECRET.object_path(key)
        try:
            if before.version:
                live = read_object(await self._transport.request("GET", path, accept=METADATA, timeout=_SECONDS))
                if live["metadata"].get("resourceVersion") == before.version:
                    return before
            live = read_object(await self._transport.request("GET", path, timeout=_SECONDS))
        except NotFound as error:
            require_definite(error)
            return _Found(SecretState.MISSING)
        keys = frozenset(name for name, value in (live.get("data") or {}).items() if value)
        return _Found(SecretState.FOUND, keys, str(live["metadata"].get("resourceVersion", "")))


def _sight(found: _Found, provider: str) -> SecretSight:
    lacks = storagekeys.missing(provider, found.keys) if provider and found.state is SecretState.FOUND else ()
    return SecretSight(SecretState.INCOMPLETE if lacks else found.state, lacks)
