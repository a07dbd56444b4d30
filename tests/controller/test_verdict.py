"""Each way in which a write fails, with the message the API server really sends, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from controller.verdict import Class, judge
from informers.errors import ApiError, TransportError, error_from_response
from reconcilers.reasons import Reason
from tests.support.scripted import failure

CASES = [
    (failure(403, "Forbidden", 'namespaces "x": it is being terminated', ("NamespaceTerminating",)), False,
     Class.QUIET, Reason.NAMESPACE_TERMINATING),
    (failure(403, "Forbidden", 'unable to create new content in namespace x because it is being terminated'), True,
     Class.QUIET, Reason.NAMESPACE_TERMINATING),
    (failure(403, "Forbidden", 'repositories "r" is forbidden: exceeded quota: q, requested: 1, used: 1'), True,
     Class.WAITING, Reason.QUOTA_EXCEEDED),
    (failure(403, "Forbidden", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"), True,
     Class.WAITING, Reason.ADMISSION_DENIED),
    (failure(422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"), True,
     Class.WAITING, Reason.ADMISSION_DENIED),
    (failure(403, "Forbidden", 'admission webhook "w" denied the request: no'), False,
     Class.WAITING, Reason.ADMISSION_DENIED),
    (failure(403, "Forbidden", 'User "u" cannot patch resource "repositories"'), False,
     Class.WAITING, Reason.FORBIDDEN),
    (failure(422, "Invalid", "spec.backend: Invalid value"), True, Class.WAITING, Reason.INVALID_OBJECT),
    (failure(400, "BadRequest", "cannot decode"), True, Class.WAITING, Reason.INVALID_OBJECT),
    (failure(409, "Conflict", 'conflict with "kubectl"', ("FieldManagerConflict",)), True,
     Class.WAITING, Reason.NAME_CONFLICT),
    (failure(409, "Conflict", 'conflict with "kubectl"', ("FieldManagerConflict",)), False,
     Class.WAITING, Reason.FIELD_CONFLICT),
    (failure(409, "Conflict", "uid mismatch: the provided object specified uid a, and no existing object was found"),
     False, Class.TRANSIENT, Reason.APPLY_FAILED),
    (failure(409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
     True, Class.TRANSIENT, Reason.APPLY_FAILED),
    (failure(404, "NotFound", "the server could not find the requested resource"), True,
     Class.WAITING, Reason.APPLY_FAILED),
    (failure(429, "TooManyRequests", "slow down"), False, Class.TRANSIENT, Reason.APPLY_FAILED),
    (failure(500, "InternalError", "etcdserver: request is too large"), False,
     Class.WAITING, Reason.INVALID_OBJECT),
    (failure(500, "InternalError", "desc = trying to send message larger than max (2101741 vs. 2097152)"), False,
     Class.WAITING, Reason.INVALID_OBJECT),
    (failure(500, "InternalError", "boom"), False, Class.TRANSIENT, Reason.APPLY_FAILED),
    (failure(504, "Timeout", "Timeout: request did not complete"), False, Class.TRANSIENT, Reason.APPLY_FAILED),
    (failure(401, "Unauthorized"), False, Class.TRANSIENT, Reason.APPLY_FAILED),
]  # fmt: skip


def received(answer: tuple[int, dict]) -> ApiError:
    status, body = answer
    return error_from_response("PATCH /x", status, {}, json.dumps(body).encode())


@pytest.mark.parametrize(("answer", "created", "kind", "reason"), CASES)
def test_each_refusal_has_its_class(answer: tuple[int, dict], created: bool, kind: Class, reason: Reason) -> None:
    verdict = judge(received(answer), created=created)
    assert (verdict.kind, verdict.reason) == (kind, reason)
    assert "PATCH /x" in verdict.message


def test_an_object_that_was_made_again_is_no_invalid_one() -> None:
    """The API server says 422 to an apply with the uid of the object before; the cache has yet to show the new one."""
    status, body = failure(422, "Invalid", 'Repository "r" is invalid: metadata.uid: Invalid value: field is immutable')
    body["details"] = {"causes": [{"reason": "FieldValueInvalid", "message": "immutable", "field": "metadata.uid"}]}
    verdict = judge(error_from_response("PATCH /x", status, {}, json.dumps(body).encode()), created=False)
    assert (verdict.kind, verdict.reason) == (Class.TRANSIENT, Reason.APPLY_FAILED)


def test_no_answer_is_transient() -> None:
    assert judge(TransportError("PATCH /x", message="reset"), created=True).kind is Class.TRANSIENT


def test_what_says_nothing_about_the_object() -> None:
    silent = [TransportError("PATCH /x"), *(received(failure(code, "Timeout")) for code in (500, 503, 504))]
    assert not any(judge(error, created=True).answered for error in silent)
    telling = [received(failure(code, "Conflict")) for code in (401, 403, 409, 422, 429)]
    assert all(judge(error, created=True).answered for error in telling)


def test_retry_after_is_the_least_to_wait() -> None:
    status, body = failure(429, "TooManyRequests")
    error = error_from_response("PATCH /x", status, {"retry-after": "7"}, json.dumps(body).encode())
    assert judge(error, created=False).retry_after == 7.0
