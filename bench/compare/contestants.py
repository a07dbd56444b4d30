"""Who runs: how each is started, and what it does not do that others do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compare.conversation import Conversation
from bench.peers import go
from bench.peers.python.environment import NotInstalled, interpreter
from tools.controlplane.build import BuildFailed
from tools.controlplane.toolchain import NoToolchain

OURS = "ours"
METADATA, TYPED, CONTROLLER = "go-metadata", "go-typed", "go-controller"


@dataclass(frozen=True, slots=True)
class Contestant:
    """`kind` is ours, go or python; who is `slow` takes minutes for 100,000 objects."""

    name: str
    title: str
    kind: str
    arguments: tuple[str, ...]
    note: str
    slow: bool = False

    @property
    def has_loop(self) -> bool:
        """Whether it runs on an event loop, whose stalls can be measured."""
        return self.kind != "go" and self.name != "kubernetes.informer"


CONTESTANTS = (
    Contestant(
        OURS,
        "ours",
        "ours",
        ("bench.contenders.cache",),
        "holds a row of ten fields for each object that asks for backup, and nothing for the others",
    ),
    Contestant(
        "ours-json",
        "ours, asking for JSON",
        "ours",
        ("bench.contenders.cachejson",),
        "as above, as behind a proxy that lets no protobuf through: says what protobuf gains",
    ),
    Contestant(
        METADATA,
        "client-go, metadata informer",
        "go",
        ("informer", "-kind", "metadata"),
        "protobuf; decodes and holds the metadata of every object",
    ),
    Contestant(
        TYPED,
        "client-go, typed informer, protobuf",
        "go",
        ("informer", "-kind", "typed"),
        "decodes and holds whole objects",
    ),
    Contestant(
        "go-typed-json",
        "client-go, typed informer, JSON",
        "go",
        ("informer", "-kind", "typed-json"),
        "as above, from JSON",
        slow=True,
    ),
    Contestant(
        "go-dynamic",
        "client-go, dynamic informer",
        "go",
        ("informer", "-kind", "dynamic"),
        "decodes and holds whole objects as maps, from JSON",
        slow=True,
    ),
    Contestant(
        "kopf",
        "kopf, on.event",
        "python",
        ("bench.peers.python.kopf_events",),
        "does more for each event (a task, logging); holds names and the one annotation; cannot tell the list's end",
        slow=True,
    ),
    Contestant(
        "kubernetes.informer",
        "kubernetes.informer and a queue",
        "python",
        ("bench.peers.python.official_informer",),
        "holds whole objects as models; lists all at once",
        slow=True,
    ),
    Contestant(
        "kubernetes.aio",
        "kubernetes.aio watch, a dictionary and a queue",
        "python",
        ("bench.peers.python.official_aio",),
        "holds whole objects as models; the glue does not survive a failure",
        slow=True,
    ),
)
FLOORS = {
    "metadata-json": "thrown away, metadata as JSON",
    "metadata-protobuf": "thrown away, metadata as protobuf",
    "json": "thrown away, JSON",
    "protobuf": "thrown away, protobuf",
}
BY_NAME = {contestant.name: contestant for contestant in CONTESTANTS}


def named(name: str) -> str:
    """What people call it."""
    if name == CONTROLLER:
        return "controller-runtime controller"
    return BY_NAME[name].title if name in BY_NAME else FLOORS.get(name.removeprefix("floor-"), name)


class Field:
    """The contestants that can be started here, and how; `missing` says of which kind there are none, and why."""

    def __init__(self, *, go_peers: bool = True, python_peers: bool = True) -> None:
        self.missing: dict[str, str] = {}
        self._go: Path | None = None
        self._python: Path | None = None
        if go_peers:
            try:
                self._go = go.programs()
            except (BuildFailed, NoToolchain) as error:
                self.missing["go"] = str(error)
        if python_peers:
            try:
                self._python = interpreter()
            except NotInstalled as error:
                self.missing["python"] = str(error)

    @property
    def contestants(self) -> tuple[Contestant, ...]:
        there = {"ours": True, "go": self._go is not None, "python": self._python is not None}
        return tuple(contestant for contestant in CONTESTANTS if there[contestant.kind])

    @property
    def absent(self) -> dict[str, str]:
        """By their names, the contestants that should be here and are not: why."""
        found = {one.name: self.missing[one.kind] for one in CONTESTANTS if one.kind in self.missing}
        if "go" in self.missing:
            found |= dict.fromkeys((CONTROLLER, *(f"floor-{encoding}" for encoding in FLOORS)), self.missing["go"])
        return found

    @property
    def floors(self) -> tuple[str, ...]:
        return tuple(FLOORS) if self._go is not None else ()

    @property
    def controller(self) -> Path | None:
        """The controller on controller-runtime."""
        return None if self._go is None else self._go / "controller"

    def start(
        self,
        contestant: Contestant,
        kubeconfig: Path,
        *,
        objects: int,
        namespace: str = "",
        stalls: Path | None = None,
    ) -> Conversation:
        first, *rest = contestant.arguments
        if contestant.kind == "go":
            assert self._go is not None
            argv = [str(self._go / first), *rest, f"-kubeconfig={kubeconfig}", f"-namespace={namespace}"]
        else:
            python = str(self._python) if contestant.kind == "python" else sys.executable
            argv = [python, "-m", first, *rest, f"--kubeconfig={kubeconfig}", f"--namespace={namespace}"]
            argv += [f"--objects={objects}", *([f"--stalls={stalls}"] if stalls else [])]
        return Conversation(contestant.name, argv)

    def floor(self, encoding: str, kubeconfig: Path, *more: str) -> Conversation:
        """What reads the stream in this encoding and throws it away; it says `ready` at its end."""
        assert self._go is not None
        argv: Sequence[str] = (str(self._go / "floor"), f"-kubeconfig={kubeconfig}", f"-encoding={encoding}", *more)
        return Conversation(f"floor-{encoding}", argv)
