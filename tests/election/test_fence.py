"""The fence in front of writes, and the watchdog behind the process (L5 to L8)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from controller.applier import Applier
from controller.fence import STOP_SECONDS, Fence, FencedTransport, NotLeading
from controller.recorder import EventRecorder
from controller.verdict import Class, judge
from controller.watchdog import EXIT_CODE, PERIOD, Watchdog
from informers.clock import RealClock
from informers.errors import TransportError
from informers.resource import ObjectKey
from reconcilers.keys import ObjectRef
from reconcilers.kinds import BLUEPRINT
from reconcilers.plan import ApplyStatus, EventIntent
from tests.support.scripted import ScriptedTransport, made
from tests.support.virtualtime import VirtualClock, run_virtual

ROOT = Path(__file__).resolve().parents[2]


def fenced(until: float, *, seconds: float = 0.0) -> tuple[FencedTransport, ScriptedTransport, Fence]:
    """Of a server that takes `seconds` for each answer."""
    wire = ScriptedTransport(made, seconds=seconds)
    clock = VirtualClock()
    fence = Fence(clock)
    fence.extend(clock.boottime() + until)
    return FencedTransport(wire, fence), wire, fence


def test_a_closed_fence_sends_nothing_and_says_why() -> None:
    async def main() -> None:
        transport, wire, fence = fenced(0.4)
        with pytest.raises(NotLeading, match=r"PATCH /x: NotLeading: nothing was sent: the lease is valid for 0.4 s"):
            await transport.request("PATCH", "/x")
        fence.condemn("it is held by b")
        with pytest.raises(NotLeading, match="it is held by b"):
            await transport.request("PATCH", "/x")
        assert not wire.asked
        await transport.request("GET", "/x")
        assert wire.asked

    run_virtual(main())


def test_a_refused_write_is_tried_again_as_one_that_got_no_answer() -> None:
    verdict = judge(NotLeading("PATCH /x", reason="NotLeading", message="nothing was sent"), created=False)
    assert verdict.kind is Class.TRANSIENT


def test_the_time_of_a_request_is_cut_to_what_is_left_for_us_and_for_the_server() -> None:
    async def main() -> None:
        transport, wire, _ = fenced(3.0)
        await transport.request("PATCH", "/x", timeout=11.0, query={"timeout": "10s", "force": "true"})
        assert wire.asked[-1].timeout == pytest.approx(3.0)
        assert wire.asked[-1].query == {"timeout": "3.000s", "force": "true"}
        await transport.request("PATCH", "/x", timeout=1.0, query={"timeout": "1s"})
        assert wire.asked[-1].timeout == 1.0
        assert wire.asked[-1].query == {"timeout": "1s"}

    run_virtual(main())


def test_no_request_outlasts_the_lease_whatever_the_transport_does() -> None:
    """A transport may try twice, each time with the whole limit, as after a 401."""

    async def main() -> None:
        transport, _, fence = fenced(3.0, seconds=60)
        with pytest.raises(TransportError, match=r"no answer within 3.0 s"):
            await transport.request("PATCH", "/x", timeout=11.0)
        assert fence.remaining == 0
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)

    run_virtual(main())


def test_validity_never_gets_shorter_and_never_comes_back() -> None:
    async def main() -> None:
        clock = VirtualClock()
        fence = Fence(clock)
        assert fence.remaining == 0
        fence.extend(10)
        fence.extend(5)
        assert fence.remaining == 10
        assert fence.exit_by == 10
        fence.shut("given back")
        fence.extend(20)
        assert fence.remaining == 0
        assert fence.exit_by > 1e9, "a process that gave the lease back may take its time"

    run_virtual(main())


def test_time_asleep_counts() -> None:
    async def main() -> None:
        clock = VirtualClock()
        fence = Fence(clock)
        fence.extend(10)
        clock.suspend(60)
        assert clock.monotonic() == 0
        with pytest.raises(NotLeading):
            fence.check("PATCH /x")

    run_virtual(main())


def test_a_condemned_process_has_two_seconds_and_no_more_than_it_had() -> None:
    async def main() -> None:
        clock = VirtualClock()
        long, short, never = Fence(clock), Fence(clock), Fence(clock)
        long.extend(100)
        short.extend(1)
        for fence in (long, short, never):
            fence.condemn("lost")
        assert (long.exit_by, short.exit_by, never.exit_by) == (STOP_SECONDS, 1, STOP_SECONDS)

    run_virtual(main())


def test_without_an_election_everything_passes() -> None:
    async def main() -> None:
        wire, clock = ScriptedTransport(made), VirtualClock()
        transport = FencedTransport(wire, Fence.without_election(clock))
        clock.suspend(1e9)
        await transport.request("DELETE", "/x", timeout=11.0)
        assert wire.asked[-1].timeout == 11.0

    run_virtual(main())


def test_status_writes_and_events_stop_at_the_fence() -> None:
    async def main() -> None:
        transport, wire, fence = fenced(100.0)
        clock = VirtualClock()
        dropped: list[str] = []
        applier = Applier(transport, clock, most_in_flight=4)
        recorder = EventRecorder(transport, clock, identity="x", dropped=dropped.append)
        status = ApplyStatus(BLUEPRINT, ObjectKey("", "b"), "u", {})
        ref = ObjectRef("v1", "PersistentVolumeClaim", "ns", "p", uid="u")
        intent = EventIntent(regarding=ref, type="Normal", reason="R", action="A", note="n")
        await applier.apply_status(status)
        recorder.emit(intent)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(recorder.run())
            assert await recorder.flush(5)
            assert [asked.method for asked in wire.asked] == ["PATCH", "POST"]
            wire.asked.clear()
            fence.condemn("lost")
            with pytest.raises(NotLeading):
                await applier.apply_status(status)
            recorder.emit(EventIntent(regarding=ref, type="Normal", reason="Other", action="A", note="n"))
            await asyncio.sleep(30)
            writing.cancel()
        assert not wire.asked
        assert dropped == ["failed"]

    run_virtual(main())


# The watchdog, with the machine's own clock, threads and signals.


def test_the_watchdog_sees_what_the_loop_does_not() -> None:
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    clock = RealClock()
    fence = Fence(clock)
    with Watchdog(fence, clock, end=end):
        assert not ended.wait(2 * PERIOD), "it does not lead"
        fence.extend(clock.boottime() + PERIOD)
        assert ended.wait(20), "nobody turned any loop"
    assert set(codes) == {EXIT_CODE}


def test_the_watchdog_lets_a_process_live_that_renews_or_gave_back() -> None:
    ended = threading.Event()
    clock = RealClock()
    fence = Fence(clock)
    with Watchdog(fence, clock, end=lambda code: ended.set()):
        fence.extend(clock.boottime() + 100)
        assert not ended.wait(2 * PERIOD)
        fence.shut("given back")
        assert not ended.wait(2 * PERIOD)
    assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL


PROGRAM = """
    import sys
    from controller.fence import Fence
    from controller.watchdog import Watchdog
    from informers.clock import RealClock

    clock = RealClock()
    fence = Fence(clock)
    fence.extend(clock.boottime() + 1.5)
    with Watchdog(fence, clock):
        print("ready", flush=True)
        while True:  # as a loop that hangs, or one that writes without a pause
            sys.stdout.write(".")
            sys.stdout.flush()
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["hangs", "is stopped and goes on"])
def test_a_real_process_is_ended(stopped: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        if stopped:
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            os.set_blocking(process.stdout.fileno(), False)
            while process.stdout.read():
                pass
            threading.Event().wait(2.0)  # the lease runs out; nothing tells that of a stopped process
            os.kill(process.pid, signal.SIGCONT)
            assert process.wait(20) == EXIT_CODE
            after = process.stdout.read() or b""
            assert len(after) <= 1, "no more than the one call that was under way: the handler of SIGCONT came next"
        else:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            assert process.wait(20) == EXIT_CODE
        assert b'"exit_code": 70' in process.stderr.read()
