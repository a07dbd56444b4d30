"""What to do after a failure: the whole policy as one pure function.

Contract: `recover` looks at an error, at what was being attempted and at the kind, and says where to go on.
It decides nothing about time except that a person may be needed (`slow`) and what the server asked for
(`floor`).

| failure | while watching | while reading the collection |
|---|---|---|
| 410, in whichever form (R13) | relist from the last version | consistent relist |
| version too large (R14) | consistent relist | consistent relist |
| version going backwards (R10) | consistent relist | consistent relist |
| stored object unreadable (R16) | consistent relist | again |
| 400, 405, 406, 415, 422 (R6) | again, same version | a streaming list is refused: LIST; else again |
| 404 (R17) | slowly: wait for an optional kind; else again, same version | the same |
| 403, 429, refused, cut, anything else (R15, R16, R17) | again, same version | again |
| silence (R10) | again, same version; the second strange one consistent relist | again |

A 403 is no verdict on our rights: a server that has just started refuses everybody until it has read its roles. What
lasts is tried slowly soon enough, because the backoff grows to its cap within a minute.

Source of the idea: client-go `tools/cache/reflector.go: ListAndWatchWithContext`, and its tests, which are
its policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from informers.errors import (
    REFUSED,
    ApiError,
    Expired,
    IdleTimeout,
    NotFound,
    ResourceVersionTooLarge,
    Rewound,
)

_REFUSALS = frozenset((400, 405, 406, 415, 422))
_STORE_READ_ERRORS = frozenset(("StorageReadError", "StoreReadError"))


class Attempt(Enum):
    """What failed."""

    STREAMING_LIST = "streaming list"
    LIST = "list"
    WATCH = "watch"


class Restart(Enum):
    """Where to go on."""

    RETRY = "the same again, from the same version"
    RELIST = "read the collection, not older than the last version"
    RELIST_CONSISTENT = "read the collection as it is now, whatever was known"
    PLAIN_LIST = "read the collection with LIST from now on"
    WAIT = "the kind is not served: wait for it"


@dataclass(frozen=True, slots=True)
class Recovery:
    """The decision: where to go on, how patiently, and whether it is worth a word (an expired version is not).
    `refused`: nobody listens, so that no request was made."""

    restart: Restart
    slow: bool = False
    floor: float = 0.0
    routine: bool = False
    refused: bool = False


def recover(error: Exception, attempt: Attempt, *, optional: bool, consistent: bool, silences: int) -> Recovery:
    """The way out of `error`.

    `consistent`: the attempt asked for the present state and no particular version. `silences`: how many
    streams in a row, this one included, ended in silence although something should have been heard.
    """
    if not isinstance(error, ApiError):
        # A defect of ours or of a projection, not the server's: begin from nothing, nothing is lost.
        return Recovery(Restart.RELIST_CONSISTENT)
    floor = error.retry_after or 0.0
    watching = attempt is Attempt.WATCH
    if isinstance(error, Expired):
        known = watching and not consistent
        return Recovery(Restart.RELIST if known else Restart.RELIST_CONSISTENT, floor=floor, routine=True)
    if isinstance(error, ResourceVersionTooLarge) or (watching and error.reason in _STORE_READ_ERRORS):
        return Recovery(Restart.RELIST_CONSISTENT, floor=floor, routine=True)
    if attempt is Attempt.STREAMING_LIST and error.status in _REFUSALS:
        return Recovery(Restart.PLAIN_LIST, routine=True)
    if isinstance(error, Rewound):
        return Recovery(Restart.RELIST_CONSISTENT)
    if isinstance(error, NotFound):
        return Recovery(Restart.WAIT if optional else Restart.RETRY, slow=optional, floor=floor, routine=optional)
    if isinstance(error, IdleTimeout) and watching:
        again = Restart.RELIST_CONSISTENT if silences >= 2 else Restart.RETRY
        return Recovery(again, routine=again is Restart.RETRY)
    return Recovery(Restart.RETRY, floor=floor, refused=error.reason == REFUSED)


def is_repeated(error: Exception, last: Exception | None) -> bool:
    """Whether it is the failure that was told last time, worded differently perhaps."""
    return _identity(error) == _identity(last)


def _identity(error: Exception | None) -> tuple[object, ...]:
    if isinstance(error, ApiError):
        return (type(error), error.status, error.reason)
    return (type(error), str(error))
