"""Leaders that outlive their time, because they were stopped or cut off: not one write of theirs comes later.

Their time is counted generously, from the API server's answer to their last renewal. Who is tried often has a short
lease; the default one is tried with a stop of a minute.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

from tests.e2e.chart import targets
from tests.e2e.chart.effort import EFFORT
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.processes import Write, companion_process, is_running, operator_process, unsent_bytes
from tests.e2e.chart.release import Release, name_of
from tests.e2e.chart.work import TARGET, Witness, work_to_do
from tools.manifests.chart import NAMESPACE

pytestmark = pytest.mark.usefixtures("crowd")

DEFAULT = 15
SHORT = 4
SHORT_LEASE = {"leaseDurationSeconds": SHORT, "renewDeadlineSeconds": 2.5, "retryPeriodSeconds": 0.5}
Disturb = Callable[[Place, Object], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def short_lease(release: Release) -> Iterator[None]:
    release.upgrade(more={"leaderElection": SHORT_LEASE})
    release.wait_rolled_out()
    yield
    release.upgrade()
    release.wait_rolled_out()


@contextmanager
def stopped(place: Place, pod: Object) -> Iterator[None]:
    process = operator_process(pod)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        # Stopped for so long that its probes failed, it may have been killed as it was.
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
    place.wait(lambda: not is_running(process), 30, what="the process that was stopped to end")
    wait_arrived(place, pod)


@contextmanager
def cut_off(place: Place, pod: Object) -> Iterator[None]:
    """Nothing passes between a pod and the API server. Afterwards whatever was held up has arrived."""
    cluster, address = place.own, pod["status"]["podIP"]
    process = operator_process(pod)
    server = str(cluster.state.port)
    there = ("INPUT", "--source", address, "--protocol", "tcp", "--dport", server, "--jump", "DROP")
    back = ("OUTPUT", "--destination", address, "--protocol", "tcp", "--sport", server, "--jump", "DROP")
    for chain, *rule in (there, back):
        cluster.run_inside("iptables", "--wait", "--insert", chain, *rule)
    try:
        yield
        place.wait(lambda: not is_running(process), 30, what="the process that was cut off to end")
    finally:
        for chain, *rule in (there, back):
            cluster.run_inside("iptables", "--wait", "--delete", chain, *rule)
    wait_arrived(place, pod)


def wait_arrived(place: Place, pod: Object) -> None:
    """Nothing that the pod had sent is on its way any more."""
    companion = companion_process(pod)
    place.wait(lambda: unsent_bytes(companion) == 0, 120, what="what the pod had sent to arrive or to be given up")


def late_writes(
    place: Place, release: Release, namespace: str, how: Disturb, *, lease: int, stop: float = 0
) -> list[Write]:
    """The writes of the leader that came after its time, or after somebody else's first."""
    leader = name_of(release.leader())
    pods = {name_of(pod): pod for pod in release.wait_ready()}
    with work_to_do(place, namespace):
        seen = Witness(place, namespace, leader, place.audit_log.mark())
        place.wait(lambda: len(seen.works()) > 3 and seen.renewals(), 30, what="a leader at work")
        began = time.monotonic()
        with how(place, pods[leader]):
            successors = place.wait(seen.others_work, lease + 30, what="a write of the successor")
            over = max(seen.renewals()) + lease
            place.wait(lambda: time.time() > over and time.monotonic() > began + stop, lease + stop, what="its end")
    late = seen.writes_after(min(over, successors[0]))
    place.kubectl("delete", "pod", leader, "-n", NAMESPACE, "--wait=false")
    release.wait_ready(without=leader)
    return late


def try_often(place: Place, release: Release, namespace: str, how: Disturb, *, figures: Figures, what: str) -> None:
    targets.create(place, namespace, TARGET)
    targets.wait_backed_up(place, namespace, TARGET)
    found = [late_writes(place, release, namespace, how, lease=SHORT) for _ in range(EFFORT.trials)]
    for late in found:
        figures.add(f"writes of a leader that was {what} after its time, lease of {SHORT} s", "", len(late), goal=0)
    assert not any(found), found


@pytest.mark.skipif(not EFFORT.long_stops, reason="takes minutes: TRIALS=20")
def test_a_leader_that_was_stopped_for_a_minute_writes_nothing(
    place: Place, release: Release, namespace: str, figures: Figures
) -> None:
    targets.create(place, namespace, TARGET)
    targets.wait_backed_up(place, namespace, TARGET)
    for _ in range(EFFORT.long_stops):
        late = late_writes(place, release, namespace, stopped, lease=DEFAULT, stop=60)
        title = "writes of a leader that was stopped for 60 s after its time, default settings"
        figures.add(title, "", len(late), goal=0)
        assert late == []


@pytest.mark.usefixtures("short_lease")
def test_a_leader_that_was_stopped_writes_nothing(
    place: Place, release: Release, namespace: str, figures: Figures
) -> None:
    try_often(place, release, namespace, stopped, figures=figures, what="stopped")


@pytest.mark.usefixtures("short_lease")
def test_a_leader_that_was_cut_off_writes_nothing(
    place: Place, release: Release, namespace: str, figures: Figures
) -> None:
    try_often(place, release, namespace, cut_off, figures=figures, what="cut off")
