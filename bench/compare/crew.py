"""The controllers of one size, each running on its own control plane: who is running now, and who has to be again.

A measure that failed may leave a controller in any state, so both are replaced after it. A restart that is measured
ends with the new process being the one that runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from bench.compare.controllers import Side
from bench.operator import Operator


class Crew:
    """`with Crew(sides) as crew:`; leaving stops whoever runs."""

    def __init__(self, sides: Sequence[Side]) -> None:
        self.sides = sides
        self._running: dict[str, Operator] = {}

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dismiss()

    def operator(self, side: Side) -> Operator:
        """The running one, started and settled if there is none."""
        if side.name not in self._running:
            self.start(side).wait_settled(side.targets)
            side.scene.wait_quiet()
        return self._running[side.name]

    def start(self, side: Side) -> Operator:
        """A new process, in place of the one that runs."""
        self.stop(side)
        operator = side.build()
        self._running[side.name] = operator
        operator.start()
        return operator

    def stop(self, side: Side) -> None:
        if (operator := self._running.pop(side.name, None)) is not None:
            operator.stop()

    def dismiss(self) -> None:
        for side in self.sides:
            self.stop(side)
