"""A run: the plan, told before it begins; then stage after stage, turn after turn; whatever fails costs its own cells.

The minutes are kept by giving up turns. How much slower than planned this machine is, is learned from the turns that
are done, and what is left is fitted again before each stage.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import ExitStack, suppress
from time import monotonic

from bench import machine
from bench.compare.cells import Cells
from bench.compare.contestants import Field
from bench.compare.gaps import reason
from bench.compare.ledger import Ledger
from bench.compare.limits import limit
from bench.compare.options import Options
from bench.compare.plan import COUNTS, Part, Stage, described, expected, fitted, planned
from bench.compare.stages import Playing, playing
from bench.progress import Progress

_PATIENT = 5.0
"""A turn may take so many times what it should at this machine's pace, and a minute and a half."""
_GRACE = 90.0


class Run:
    """What a ledger still lacks of a plan."""

    def __init__(self, options: Options, progress: Progress, ledger: Ledger) -> None:
        self._options = options
        self._progress = progress
        self._ledger = ledger
        self._began = monotonic()
        self._spent = self._foreseen = 0.0
        self._planned = planned(options)
        self._stages = list(self._planned)

    def measure(self) -> None:
        ledger = self._ledger
        ledger.expected = expected(self._stages)
        for stage in self._stages:
            for part in stage.parts:
                ledger.begin(part)
        self._fit(0)
        for line in described(self._stages, ledger.turns):
            self._progress.step(line)
        self._progress.step("programs of the peers (the first time they are built, which takes minutes)")
        self._field = Field(go_peers="go" in self._options.peers, python_peers="python" in self._options.peers)
        for kind, why in self._field.missing.items():
            self._progress.step(f"nothing of kind {kind} takes part: {why}")
        for number in range(len(self._stages)):
            self._fit(number)
            stage = self._stages[number]
            if stage.left(ledger.turns):
                self._play(stage)
            ledger.save()

    def _fit(self, number: int) -> None:
        """As many turns in the stages from this one on as fit into the rest of the time."""
        left = self._options.minutes * 60 - (monotonic() - self._began)
        self._stages[number:] = fitted(self._planned[number:], left / self._pace, self._ledger.turns)

    @property
    def _pace(self) -> float:
        """How many times slower than planned it goes here."""
        return max(0.3, (self._spent + 60) / (self._foreseen + 60))

    def _patience(self, foreseen: float) -> float:
        return _GRACE + _PATIENT * foreseen * max(1.0, self._pace)

    def _play(self, stage: Stage) -> None:
        ledger = self._ledger
        for part in stage.parts:
            for contestant, why in self._field.absent.items():
                ledger.missed(part, reason(RuntimeError(why)), contestant)
        self._tell(f"{stage.name}: servers and objects")
        before = monotonic()
        play = playing(stage)(stage, options=self._options, field=self._field, ledger=ledger, progress=self._progress)
        with ExitStack() as stack:
            try:
                with limit(self._patience(stage.setup)):
                    stack.enter_context(play)
            except Exception as error:
                self._report(stage.name, error)
                for part in stage.parts:
                    if part.left(ledger.turns.get(part.name, 0)):
                        ledger.missed(part, reason(error))
                return
            self._learn(monotonic() - before, stage.setup)
            for turn in range(max(part.turns for part in stage.parts)):
                # What is idle comes first and ends last: the other parts happen meanwhile.
                for part in reversed(stage.parts) if stage.kind == COUNTS else stage.parts:
                    if ledger.turns.get(part.name, 0) <= turn < part.turns and not self._failed(part):
                        self._take(play, part, turn)

    def _take(self, play: Playing, part: Part, turn: int) -> None:
        ledger, foreseen = self._ledger, part.took(turn)
        self._tell(f"{part.name}, turn {turn + 1} of {part.turns}")
        taken, company, before = Cells(), machine.Company(), monotonic()
        try:
            with limit(self._patience(foreseen)):
                play.take(part, turn, taken)
        except Exception as error:
            self._report(part.name, error)
            ledger.missed(part, reason(error))
            with suppress(Exception), limit(_GRACE):
                play.mend()
        else:
            seconds = monotonic() - before
            self._learn(seconds, foreseen)
            ledger.ended(part, seconds=seconds, others=company.share())
        finally:
            ledger.cells.extend(taken)
            ledger.save()

    def _failed(self, part: Part) -> bool:
        return self._ledger.gaps.failed_whole(part.group, part.size)

    def _learn(self, seconds: float, foreseen: float) -> None:
        self._spent += seconds
        self._foreseen += foreseen

    def _tell(self, text: str) -> None:
        left = sum(stage.left(self._ledger.turns) for stage in self._stages)
        self._progress.expect(left * self._pace)
        self._progress.step(text)

    def _report(self, name: str, error: Exception) -> None:
        self._progress.step(f"{name} is not measured: {reason(error)}")
        traceback.print_exception(error, file=sys.stderr)
