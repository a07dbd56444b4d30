"""Every way in which talking to an API server fails, as one tree.

    ApiError                             what was attempted, what the server said, and (429, 503) when to come back
     ├── TransportError                  no answer: refused, reset, timed out, cut in the middle (status 0)
     │    ├── IdleTimeout                a stream went silent for longer than its idle deadline (R10)
     │    └── Unfinished                 a streaming list ended before all of it had come (R3)
     ├── DecodeError                     an answer that is not what the protocol allows (status 0)
     │    └── Rewound                    a version lower than one already seen (R10)
     ├── BadRequest                      400
     ├── Unauthorized                    401
     ├── Forbidden                       403
     ├── NotFound                        404
     ├── Conflict                        409
     ├── Expired                         410: the resourceVersion is too old (R13)
     ├── Invalid                         422
     ├── TooManyRequests                 429
     └── ServerError                     5xx
          └── ResourceVersionTooLarge    504 with the cause of that name: this server has not caught up yet (R14)
    CredentialsError                     no usable address or credentials; nothing was sent
    NotSynced                            informers that are not complete in time

Contract: `str(error)` names the attempt (verb and object), the server's reason and its message, on one line.
The class is decided once, from status, `reason` and `causes` of the `Status` object; callers never parse
messages.

Source of the idea: apimachinery `pkg/api/errors/errors.go`; the exception tree on top is how httpx documents
its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

_MESSAGE_LIMIT = 1024


class CredentialsError(Exception):
    """No usable API server address or credentials; the text names the source and the way out."""


class NotSynced(Exception):
    """Some informers did not get their first complete state in time; the text names each and its last error."""


class ApiError(Exception):
    """A request that did not succeed."""

    advice: ClassVar[str] = ""

    def __init__(
        self,
        attempt: str,
        *,
        status: int = 0,
        reason: str = "",
        message: str = "",
        causes: tuple[Mapping[str, Any], ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(attempt, status, reason, message)
        self.attempt = attempt
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after

    def __str__(self) -> str:
        what = " ".join(part for part in (str(self.status) if self.status else "", self.reason) if part)
        text = f"{self.attempt}: {what or type(self).__name__}"
        if self.message:
            text = f"{text}: {self.message}"
        return f"{text} ({self.advice})" if self.advice else text


REFUSED = "Refused"
"""The reason of a `TransportError` where nobody listens: nothing was sent."""


class TransportError(ApiError):
    """No complete answer: no such name, the connection was refused, reset or cut, or time ran out."""


class IdleTimeout(TransportError):
    """Not a single byte arrived on a stream for the whole idle deadline."""


class Unfinished(TransportError):
    """A streaming list ended politely, but before all initial objects had come."""


class DecodeError(ApiError):
    """The bytes received are not the JSON that the protocol promises."""


class Rewound(DecodeError):
    """A resourceVersion lower than one already seen, as after the server's storage was restored from an older copy."""


class BadRequest(ApiError):
    """400: the server did not understand the request."""


class Unauthorized(ApiError):
    """401: the credentials are missing, expired or unknown."""

    advice = "check the token or client certificate"


class Forbidden(ApiError):
    """403: the credentials are known, and may not do this."""

    advice = "grant this verb on this resource to the account in a Role or ClusterRole"


class NotFound(ApiError):
    """404: the object, or the whole resource, does not exist."""


class Conflict(ApiError):
    """409: the object changed meanwhile, exists already, or another field manager owns the field."""


class Expired(ApiError):
    """410: the resourceVersion or continue token is older than the server's history."""


class Invalid(ApiError):
    """422: the object was understood and refused by validation."""


class TooManyRequests(ApiError):
    """429: the server asks for less."""


class ServerError(ApiError):
    """5xx: the server, or something behind it, failed."""


class ResourceVersionTooLarge(ServerError):
    """504: the server's cache has not reached the resourceVersion that was asked for."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
}
_EXPIRED_REASONS = frozenset(("Expired", "Gone"))


def error_from_status(attempt: str, status: Mapping[str, Any], *, fallback_code: int = 500) -> ApiError:
    """The error that a `Status` object describes, be it a response or the object of an ERROR event."""
    code = status.get("code")
    code = code if isinstance(code, int) and code > 0 else fallback_code
    reason = _text(status.get("reason"))
    message = _text(status.get("message"))
    details = status.get("details")
    details = details if isinstance(details, Mapping) else {}
    found = details.get("causes")
    causes = tuple(cause for cause in found if isinstance(cause, Mapping)) if isinstance(found, list) else ()
    seconds = details.get("retryAfterSeconds")
    retry_after = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
    return _class_of(code, reason, causes)(
        attempt, status=code, reason=reason, message=message, causes=causes, retry_after=retry_after
    )


def error_from_response(attempt: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The error that a response of 400 or above means; its body need not be a `Status`, nor JSON at all."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("kind") != "Status":
        document = {"message": body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip()}
    # The line that was received counts, not what the body repeats of it: a proxy may rewrite the first.
    error = error_from_status(attempt, {**document, "code": status})
    header = _retry_after(headers.get("retry-after", ""))
    if header is not None:
        error.retry_after = header
    return error


def _class_of(code: int, reason: str, causes: tuple[Mapping[str, Any], ...]) -> type[ApiError]:
    if reason in _EXPIRED_REASONS:
        return Expired
    if any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes):
        return ResourceVersionTooLarge
    if code >= 500:
        return ServerError
    return _BY_STATUS.get(code, ApiError)


def _retry_after(value: str) -> float | None:
    # Only the form in seconds: the API server sends no dates, and reading one would need a wall clock.
    return float(value) if value.isdecimal() else None


def _text(value: object) -> str:
    return value[:_MESSAGE_LIMIT] if isinstance(value, str) else ""
