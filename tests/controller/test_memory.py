"""What the collector looks at, and what goes back to the system."""

from __future__ import annotations

import asyncio
import gc
import platform
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import memory
from tests.support.beside import beside
from tests.support.virtualtime import VirtualClock, run_virtual

PAGES = 8192


class Knot:
    """Refers to itself, as a transport of asyncio does."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_was_left_out_is_not_searched_and_everything_else_is() -> None:
    old = Knot()
    left_out = weakref.ref(old)
    memory.leave_out(search=True)
    del old
    new = Knot()
    searched = weakref.ref(new)
    del new
    assert searched() is not None
    assert memory.tidy() > 0
    assert searched() is None
    assert left_out() is not None


@pytest.mark.usefixtures("collector")
def test_where_there_is_much_a_search_leaves_it_out_and_the_next_one_is_short() -> None:
    memory.leave_out(search=True)
    before = gc.get_freeze_count()
    rows = [Knot() for _ in range(memory.MANY + 1)]
    memory.tidy()
    assert gc.get_freeze_count() >= before + len(rows)
    new = Knot()
    searched = weakref.ref(new)
    del new
    memory.tidy()
    assert searched() is None
    for row in rows:
        del row.itself


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have nothing of the kind")
def test_free_pages_between_used_ones_go_back_to_the_system() -> None:
    blocks = [bytes(4096) + bytes(number % 7) for number in range(PAGES)]
    kept = blocks[::16]
    del blocks
    before = resident()
    memory.tidy()
    assert before - resident() > PAGES * 4096 / 2
    assert len(kept) == PAGES / 16


def test_it_tidies_up_in_a_moment_without_work_or_when_there_is_none_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        clock, work, tidied = VirtualClock(), [True] * 5, list[float]()
        began = clock.monotonic()
        monkeypatch.setattr(memory, "tidy", lambda: tidied.append(clock.monotonic() - began) or 1)
        async with beside(memory.keep_tidy(clock, lambda: bool(work and work.pop()))):
            await asyncio.sleep(310)
            assert tidied == pytest.approx([305])
            work += [True] * 1000
            await asyncio.sleep(400)
            assert tidied == pytest.approx([305, 665])

    run_virtual(main())


def resident() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
