"""Who needs too much is left out, before its start where a smaller size tells, and while it runs where none does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.compare import conversation
from bench.compare.contestants import BY_NAME, Contestant, Field
from bench.compare.conversation import Conversation
from bench.compare.ledger import Ledger
from bench.compare.options import Options
from bench.compare.plan import Part, planned
from bench.compare.stages import CachesPlaying
from bench.contender import ContenderFailed
from bench.progress import Progress

SILENT = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.mark.parametrize(("bound", "value"), [("PATIENCE", 0.0), ("MOST_MEMORY", 1)])
def test_a_contestant_that_needs_too_much_is_given_up(
    bound: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, bound, value)
    with Conversation("silent", SILENT) as running, pytest.raises(ContenderFailed, match="more than 0"):
        running.wait("ready")


def test_a_contestant_that_ends_is_told_at_once() -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such server')"]
    with Conversation("gone", argv) as running, pytest.raises(ContenderFailed, match=r"says nothing .* no such server"):
        running.wait("ready")


@pytest.mark.parametrize(
    ("name", "seconds", "megabytes", "why"),
    [
        ("kopf", 8.0, 280.0, None),
        ("kopf", 19.0, 280.0, "with 10000 it takes 19 s: this would take more than 3 minutes"),
        ("kubernetes.aio", 8.0, 900.0, "with 10000 it takes 900 MB: this would take more than 8 GB"),
        ("go-metadata", 19.0, 900.0, None),  # whoever is quick is not asked
    ],
)
def test_what_a_smaller_size_tells_of_a_larger_one(
    name: str, seconds: float, megabytes: float, why: str | None, tmp_path: Path
) -> None:
    ledger, part, one = _prepared(tmp_path, "cold-sync", name)
    ledger.cells.add("cold-sync", 10_000, name, seconds)
    ledger.cells.add("cache-peak", 10_000, name, megabytes)
    assert _playing(ledger).sensible(part, one) is (why is None)
    assert ledger.gaps.why("cold-sync", 100_000, name) == why
    assert not ledger.gaps.failed("cold-sync", 100_000)


def test_nobody_slow_takes_events_of_the_largest_size(tmp_path: Path) -> None:
    ledger, part, one = _prepared(tmp_path, "events", "kopf")
    assert not _playing(ledger).sensible(part, one)
    assert "memory" in (ledger.gaps.why("events", 100_000, "kopf") or "")


def _prepared(folder: Path, group: str, name: str) -> tuple[Ledger, Part, Contestant]:
    parts = [part for stage in planned(Options.parse([])) for part in stage.parts]
    part = next(part for part in parts if (part.group, part.size) == (group, 100_000))
    return Ledger(folder / "results.json"), part, BY_NAME[name]


def _playing(ledger: Ledger) -> CachesPlaying:
    options = Options.parse([])
    field = Field(go_peers=False, python_peers=False)
    return CachesPlaying(planned(options)[-1], options=options, field=field, ledger=ledger, progress=Progress())
