"""Why caches are not complete or do not follow the API server, in words that name the way out.

Contract: pure. The class of an error decides, never its text. Caches that are behind for one reason are named
together, so what the server said of each of them is left to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from informers import InformerStatus
from informers.errors import Forbidden, NotFound, TransportError, Unauthorized
from informers.resource import Resource
from reconcilers.kinds import GROUP

CRDS = "kubectl apply --server-side -f manifests/crds"
RIGHTS = "docs/how-to/grant-least-rights.md"


def lagging(found: Iterable[InformerStatus], failure: Callable[[Resource], Exception | None]) -> str:
    """Which of these caches are behind, and why; "" when none is. `failure` gives the last error of a resource."""
    resources: dict[str, list[str]] = {}
    for status in found:
        if not status.synced or (status.available and status.last_error and status.state != "watch"):
            resources.setdefault(_why(status, failure(status.resource)), []).append(status.resource.plural)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in resources.items())


def _why(status: InformerStatus, failure: Exception | None) -> str:
    if not status.last_error or failure is None or str(failure) != status.last_error:
        # Nothing that anybody could mend: an expired version, a first answer that is still awaited.
        return status.last_error or status.state
    return explain(status.resource, failure)


def explain(resource: Resource, failure: Exception) -> str:
    """What a failure to read this resource means, and what to do about it."""
    match failure:
        case NotFound() if resource.group == GROUP:
            return f"not served by the API server; install the CRDs: {CRDS}"
        case NotFound():
            return f"{resource.api_version} is not served by the API server"
        case Forbidden():
            return f"403, this account may not list and watch it; grant it the rights in manifests/rbac, see {RIGHTS}"
        case Unauthorized():
            return "the API server answers 401, it does not accept the credentials; check that they are valid"
        case TransportError():
            return f"no answer from the API server: {_line(failure.message or failure.reason)}"
    return _line(str(failure))


def _line(text: str) -> str:
    return " ".join(text.split())
