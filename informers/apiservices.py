"""Which groups and versions the API server has, as its APIServices say: a kind that is not served yet need not be
looked for again and again.

Contract: `presence` says of the group and version of a kind whether the server has them, or that nothing is known. When
one comes, every informer of it is poked. Whoever may not read APIServices knows nothing, and looks for missing kinds as
if nobody told.

A kind can be missing although its version is there: other kinds of that group came first, or the server has heard of
the CRD and does not serve it yet. So this is no reason to believe that a kind is there, only to look at once, and then
with growing pauses.

Source of the rule: kube-apiserver makes an APIService for each group and version of the CRDs that are established
(`crdregistration_controller.go`), and whoever serves an aggregated API brings its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from informers.delta import Added, Delta
from informers.presence import Presence
from informers.projection import MetaRow, Projection, project_meta
from informers.resource import ObjectKey, Resource
from informers.shared import SharedInformer

API_SERVICE = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
API_SERVICES: Projection[MetaRow] = Projection(project_meta, metadata_only=True)


class ApiServices:
    """Follows the cache of APIServices, and pokes the informers that `waiting` gives."""

    def __init__(
        self, services: SharedInformer[MetaRow], waiting: Callable[[], tuple[SharedInformer[Any], ...]]
    ) -> None:
        self._services = services
        self._waiting = waiting
        services.add_handler(self._take, name="api services")

    def presence(self, resource: Resource) -> Presence:
        """Whether the server has the group and version of this kind."""
        if not self._services.has_synced or not self._services.available:
            return Presence.UNKNOWN
        found = self._services.store.get(ObjectKey("", _service_of(resource)))
        return Presence.MISSING if found is None else Presence.THERE

    def _take(self, delta: Delta[MetaRow]) -> None:
        if isinstance(delta, Added):
            for informer in self._waiting():
                if _service_of(informer.resource) == delta.row.name:
                    informer.poke()


def _service_of(resource: Resource) -> str:
    return f"{resource.version}.{resource.group}"
