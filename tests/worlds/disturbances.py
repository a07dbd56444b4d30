"""What can happen to a process of the operator, as data.

Requests and watch events are counted over a whole run, whichever process sends or gets them, so that a number names
one moment of a script. Two runs of one script are the same up to the moment at which the first of them is disturbed.
"""

from __future__ import annotations

from dataclasses import dataclass

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True, slots=True)
class Crash:
    """The process dies at its n-th request: `before` the server has it, or `after`, before the answer arrives."""

    request: int
    when: str
    downtime: float = 2.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The n-th request is answered by a failure, `before` it could take effect or `after`.

    `what`: a status (409, 429, 500, 503, 504), "timeout" (no answer), "reset" (a connection that breaks) or "late" (no
    answer, and the request is carried out long after the client gave up).
    """

    request: int
    what: int | str
    when: str = BEFORE


@dataclass(frozen=True, slots=True)
class Lost:
    """The n-th watch event never arrives.

    `how`: "cut" (its connection breaks), "silence" (its connection is dead, and nobody says so) or "gone" (its
    connection breaks, and the server has forgotten its history when the client comes back).
    """

    event: int
    how: str


@dataclass(frozen=True, slots=True)
class Late:
    """The n-th watch event, and what follows on its connection, arrives `seconds` later."""

    event: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Frozen:
    """From the first change after `revision` on, and for `seconds`, the API server that the operator reads from knows
    nothing newer. Writes go through, and single objects are read from the source, as on a real one.

    `plurals` restricts it to some resources, since each has a watch cache of its own. A collection that is asked for
    as it is now gets no answer from such a server.
    """

    revision: int
    seconds: float
    plurals: tuple[str, ...] = ()


Disturbance = Crash | Refusal | Lost | Late | Frozen
