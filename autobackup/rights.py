"""What the operator's account must be allowed to do, and whether it is.

Contract: `needed` is the whole list; a test holds it against the roles in manifests/rbac. `missing` asks the API server
about another account than one's own (SubjectAccessReview), which is a right of its own. What the user may do says
nothing about what the operator may, so there is no falling back to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autobackup.cluster import Cluster
from informers.apiservices import API_SERVICE
from informers.errors import ApiError
from informers.resource import Resource
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE

_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")
_LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
_TOKEN_REVIEW: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
_ACCESS_REVIEW: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
BY_LABEL: Final = "blueprints that allow namespaces by label"
_CLUSTER_EVENTS: Final = "default"
"""Where Events about cluster-scoped objects are kept."""


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, in one namespace ("" is all of them) and perhaps on one name; `use` is what for."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    use: str = ""

    @property
    def what(self) -> str:
        """The resource as `kubectl auth can-i` takes it."""
        kind = self.resource
        plural = f"{kind.plural}/{self.subresource}" if self.subresource else kind.plural
        return f"{plural}.{kind.group}" if kind.group and not self.subresource else plural


def needed(*, namespaces: Sequence[str], lease_namespace: str, lease: str) -> Iterator[Right]:
    """Every right that the operator uses; without `namespaces` it watches all."""
    for verb in ("list", "watch"):
        yield Right(verb, BLUEPRINT)
    for verb in ("get", "list", "watch"):
        yield Right(verb, NAMESPACE, use=BY_LABEL if namespaces else "")
    yield Right("patch", BLUEPRINT, subresource="status")
    for verb in ("list", "watch"):
        yield Right(verb, API_SERVICE, use="kinds that come later")
    for namespace in namespaces or ("",):
        for kind in TARGETS.values():
            for verb in ("get", "list", "watch"):
                yield Right(verb, kind.resource, namespace, use="openshift" if kind.openshift else "")
        for verb in ("list", "watch", "create", "patch"):
            yield Right(verb, REPOSITORY, namespace)
            yield Right(verb, CONFIGURATION, namespace)
        yield Right("delete", CONFIGURATION, namespace)
    for namespace in dict.fromkeys((*namespaces, _CLUSTER_EVENTS)) if namespaces else ("",):
        for verb in ("create", "patch"):
            yield Right(verb, _EVENTS, namespace)
    for verb in ("get", "watch", "create", "update"):
        yield Right(verb, _LEASES, lease_namespace, lease, use="leader election")
    for review in (_TOKEN_REVIEW, _ACCESS_REVIEW):
        yield Right("create", review, use="metrics.secure")


async def missing(cluster: Cluster, account: str, rights: Iterable[Right]) -> list[Right]:
    """Those of the rights that the service account `namespace:name` lacks. Raises `ApiError` when nobody says."""
    asked = list(rights)

    async def allowed(right: Right) -> bool:
        return await _allowed(cluster, account, right)

    found = []
    for right, answer in zip(asked, await cluster.each(allowed, asked), strict=True):
        if isinstance(answer, ApiError):
            raise answer
        if not answer:
            found.append(right)
    return found


async def _allowed(cluster: Cluster, account: str, right: Right) -> bool:
    attributes = {
        "verb": right.verb,
        "group": right.resource.group,
        "version": right.resource.version,
        "resource": right.resource.plural,
        "subresource": right.subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    namespace = account.partition(":")[0]
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"],
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        },
    }
    answer = await cluster.transport.request("POST", _ACCESS_REVIEWS, body=json.dumps(review).encode())
    return (answer.json().get("status") or {}).get("allowed") is True
