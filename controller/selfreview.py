"""What the operator itself may do, as the API server says: asked before a request that might be refused.

A SelfSubjectAccessReview stores nothing and needs no right. A refused request would do as well, but it would stand in
the audit log as an attempt.
"""

from __future__ import annotations

import json
from typing import Final

from informers.resource import ObjectKey, Resource
from informers.transport import Transport

_SELF_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_SECONDS: Final = 10.0


async def may(transport: Transport, verb: str, resource: Resource, key: ObjectKey) -> bool:
    """Whether the operator has this right on one object. Raises `ApiError` when the API server does not say."""
    attributes = {
        "verb": verb,
        "group": resource.group,
        "resource": resource.plural,
        "namespace": key.namespace,
        "name": key.name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    answer = await transport.request("POST", _SELF_REVIEWS, body=json.dumps(review).encode(), timeout=_SECONDS)
    return (answer.json().get("status") or {}).get("allowed") is True
