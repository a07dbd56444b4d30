"""What a `FaultProxy` can do to a request, and to which requests."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived at the proxy."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("true", "1")


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests: every given part has to fit. `path` and `query` are substrings."""

    method: str = ""
    path: str = ""
    query: str = ""
    watch: bool | None = None

    def fits(self, request: Request) -> bool:
        return (
            self.method in ("", request.method)
            and self.path in request.path
            and self.query in request.target.partition("?")[2]
            and self.watch in (None, request.is_watch)
        )


@dataclass(frozen=True, slots=True)
class DropBefore:
    """The connection breaks before the server has seen the request: nothing happened."""


@dataclass(frozen=True, slots=True)
class DropAfter:
    """The connection breaks after the server has answered: it happened, and the client does not know."""


@dataclass(frozen=True, slots=True)
class CutAfter:
    """The connection breaks after this many bytes of the answer's body (transfer coding not counted).

    `reset` sends RST instead of an unannounced end.
    """

    body_bytes: int
    reset: bool = False


@dataclass(frozen=True, slots=True)
class SilentAfter:
    """The answer stops after this many bytes of its body and the connection stays open: a dead peer."""

    body_bytes: int


@dataclass(frozen=True, slots=True)
class Silent:
    """The request is swallowed, the connection stays open."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The request reaches the server late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers instead of the server."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Throttle:
    """The answer's body arrives at this rate."""

    bytes_per_second: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The answer's body is changed on its way: that of a watch event by event, as a line or as a frame without its
    length."""

    change: Callable[[bytes], bytes]


Fault = DropBefore | DropAfter | CutAfter | SilentAfter | Silent | Delay | Answer | Throttle | Rewrite


@dataclass(slots=True)
class Rule:
    """A fault for the matching requests number `skip` + 1 to `skip` + `times` (None: for ever)."""

    match: Match
    fault: Fault
    times: int | None = 1
    skip: int = 0
    seen: int = 0
    hits: int = 0

    def takes(self, request: Request) -> bool:
        if not self.match.fits(request):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


@dataclass(frozen=True, slots=True)
class Passage:
    """A request that went through the proxy, and the fault it met."""

    request: Request
    fault: Fault | None
