"""Reading the pod template of a workload, once for each generation.

A workload is watched as metadata; only an annotated one is ever read whole, and what is kept of it are the few facts in
`reconcilers.podtemplate`. The facts live on the BackupConfiguration; this memory serves the time until they are there,
and targets that cannot be configured.

What is asked for is the workload as it was when the cache saw it, or newer: the API server has that in memory, and need
not ask etcd. A newer generation that it misses is an event that is on its way.
"""

from __future__ import annotations

from cachetools import LRUCache

from controller.answers import read_object
from informers.errors import NotFound
from informers.resource import ObjectKey
from informers.transport import Transport
from reconcilers.kinds import TARGETS
from reconcilers.plan import ReadPodTemplate
from reconcilers.podtemplate import PodTemplate, from_workload
from reconcilers.rows import TargetRow

_REMEMBERED = 16_384
_SECONDS = 10.0


class PodTemplates:
    """Pod templates by workload; only the newest of each is kept."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: LRUCache[str, PodTemplate] = LRUCache(maxsize=_REMEMBERED)

    def known(self, target: TargetRow) -> PodTemplate | None:
        found = self._known.get(target.uid)
        return found if found is not None and found.generation >= target.generation else None

    async def read(self, need: ReadPodTemplate) -> bool:
        """GET the workload; False when it is not there any more. Raises ApiError."""
        resource = TARGETS[need.target.kind].resource
        key = ObjectKey(need.target.namespace, need.target.name)
        seen = {"resourceVersion": str(need.version)} if need.version else None
        try:
            response = await self._transport.request("GET", resource.object_path(key), query=seen, timeout=_SECONDS)
        except NotFound:
            return False
        workload = read_object(response)
        if workload["metadata"]["uid"] != need.uid:
            return False
        self._known[need.uid] = from_workload(workload)
        return True
