"""What a failed request means: classed once, and the class decides requeue, condition, Event and metric together.

- transient: nobody has to do anything; it is tried again with backoff.
- waiting: somebody else must act (a policy, a quota, a right); it is tried again slowly, and at once when what we watch
  changes.
- quiet: the object is on its way out; there is nothing to do and nothing to tell.

API machinery gives quota, policy and RBAC refusals one status, 403, and tells them apart in text only.
Sources: apiserver `admission/plugin/resourcequota/controller.go`, `admission/errors.go`,
`admission/plugin/namespace/lifecycle`, `endpoints/handlers/responsewriters/errors.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from informers.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    TransportError,
)
from reconcilers.reasons import Reason

SLOW_RETRY = (120.0, 300.0)
"""Bounds, in seconds, of the jittered interval at which waiting work is tried again."""

_TOO_LARGE = ("etcdserver: request is too large", "trying to send message larger than max")
"""What a 500 says that never heals: etcd refuses the object, or the API server cannot send it there."""


class Class(Enum):
    """See the module."""

    TRANSIENT = "transient"
    WAITING = "waiting"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a failure, the reason to show, the text for people, and the least time to wait."""

    kind: Class
    reason: Reason
    message: str
    result: str
    """Label of the metric `autobackup_apply_total`."""
    retry_after: float = 0.0
    answered: bool = True
    """Whether the failure says anything about this object: no answer, and one of 5xx, does not."""


def judge(error: ApiError, *, created: bool) -> Verdict:
    """Class a failed write. `created` says that it would have made a new object."""
    message = str(error)
    wait = error.retry_after or 0.0
    if isinstance(error, Forbidden):
        return _judge_forbidden(error, message)
    if isinstance(error, Conflict):
        if _has_cause(error, "NamespaceTerminating"):
            return Verdict(Class.QUIET, Reason.NAMESPACE_TERMINATING, message, "denied")
        if _has_cause(error, "FieldManagerConflict"):
            reason = Reason.NAME_CONFLICT if created else Reason.FIELD_CONFLICT
            return Verdict(Class.WAITING, reason, message, "conflict")
        if created:
            message = f"{message} (it is there already and no watch shows it yet; looked at again)"
        return Verdict(Class.TRANSIENT, Reason.APPLY_FAILED, message, "conflict")
    if isinstance(error, Invalid) and any(cause.get("field") == "metadata.uid" for cause in error.causes):
        # The object was deleted and made again, and the cache does not show it yet.
        return Verdict(Class.TRANSIENT, Reason.APPLY_FAILED, message, "conflict")
    if isinstance(error, Invalid | BadRequest):
        reason = Reason.ADMISSION_DENIED if _by_admission(error.message) else Reason.INVALID_OBJECT
        return Verdict(Class.WAITING, reason, message, "denied")
    if isinstance(error, NotFound):
        return Verdict(Class.WAITING, Reason.APPLY_FAILED, message, "error")
    if isinstance(error, TooManyRequests):
        return Verdict(Class.TRANSIENT, Reason.APPLY_FAILED, message, "error", wait)
    if error.status == 413 or any(text in error.message for text in _TOO_LARGE):
        return Verdict(Class.WAITING, Reason.INVALID_OBJECT, message, "denied")
    answered = not isinstance(error, TransportError | ServerError)
    return Verdict(Class.TRANSIENT, Reason.APPLY_FAILED, message, "error", wait, answered)


def _judge_forbidden(error: ApiError, message: str) -> Verdict:
    if _has_cause(error, "NamespaceTerminating") or "because it is being terminated" in error.message:
        return Verdict(Class.QUIET, Reason.NAMESPACE_TERMINATING, message, "denied")
    if "exceeded quota" in error.message:
        return Verdict(Class.WAITING, Reason.QUOTA_EXCEEDED, message, "quota")
    if _by_admission(error.message):
        return Verdict(Class.WAITING, Reason.ADMISSION_DENIED, message, "denied")
    return Verdict(Class.WAITING, Reason.FORBIDDEN, message, "denied")


def _by_admission(message: str) -> bool:
    return "admission webhook" in message or "ValidatingAdmissionPolicy" in message


def _has_cause(error: ApiError, reason: str) -> bool:
    return any(cause.get("reason") == reason for cause in error.causes)
