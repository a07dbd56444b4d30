"""Whether the storage Secrets that targets rely on exist, looked at only where the operator may.

The operator has no cluster-wide right to read Secrets, and none at all by default. For each Secret it first asks the
API server whether it may read exactly that one (SelfSubjectAccessReview), and only then asks for it, as metadata: its
content never reaches this process. Where it may not, the answer is "unchecked", which the blueprint's status says.

One look for each Secret, not for each target, and again at an interval that depends on the answer: a missing one is
waited for by somebody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from informers.clock import Clock
from informers.errors import ApiError, NotFound
from informers.resource import ObjectKey, Resource
from informers.transport import Transport
from reconcilers.ports import SecretState

_SECRET = Resource("", "v1", "secrets", "Secret")
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_INTERVALS = {SecretState.MISSING: 15.0, SecretState.FOUND: 300.0, SecretState.UNCHECKED: 600.0}
_FAILED_SECONDS = 15.0
"""A look that failed says nothing, and is repeated soon."""
_SECONDS = 10.0

_log = structlog.get_logger("storage-secrets")


@dataclass(slots=True)
class _Known:
    state: SecretState
    due: float


class StorageSecrets:
    """What is known of each storage Secret, and the task that finds it out.

    `wanted` gives the Secrets that targets rely on now; `changed` is told of each whose state is not as before.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        enabled: bool,
        wanted: Callable[[], Collection[ObjectKey]],
        changed: Callable[[ObjectKey], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._enabled = enabled
        self._wanted = wanted
        self._changed = changed
        self._known: dict[ObjectKey, _Known] = {}
        self._woken = asyncio.Event()

    def state(self, key: ObjectKey) -> SecretState:
        known = self._known.get(key)
        return known.state if known else SecretState.UNCHECKED

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
            wanted = set(self._wanted())
            for key in self._known.keys() - wanted:
                del self._known[key]
            now = self._clock.monotonic()
            for key in sorted(wanted):
                known = self._known.get(key)
                if known is None or known.due <= now:
                    await self._look(key)
            soonest = min((known.due for known in self._known.values()), default=now + 3600.0)
            try:
                async with asyncio.timeout(max(0.5, soonest - self._clock.monotonic())):
                    await self._woken.wait()
                await self._clock.sleep(0.5)
            except TimeoutError:
                continue

    async def _look(self, key: ObjectKey) -> None:
        try:
            state = await self._find(key)
            interval = _INTERVALS[state]
        except ApiError as error:
            _log.debug("Could not look at a storage Secret", namespace=key.namespace, name=key.name, err=str(error))
            state, interval = self.state(key), _FAILED_SECONDS
        before = self._known.get(key)
        self._known[key] = _Known(state, self._clock.monotonic() + self._clock.uniform(0.8, 1.2) * interval)
        if (before.state if before else SecretState.UNCHECKED) is not state:
            self._changed(key)

    async def _find(self, key: ObjectKey) -> SecretState:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "verb": "get",
                    "resource": "secrets",
                    "namespace": key.namespace,
                    "name": key.name,
                }
            },
        }
        answer = await self._transport.request("POST", _REVIEWS, body=json.dumps(review).encode(), timeout=_SECONDS)
        if not (answer.json().get("status") or {}).get("allowed"):
            return SecretState.UNCHECKED
        try:
            await self._transport.request("GET", _SECRET.object_path(key), accept=_METADATA, timeout=_SECONDS)
        except NotFound:
            return SecretState.MISSING
        return SecretState.FOUND
