"""Election between processes on a real API server: who leads, who takes over, and who wrote what, by the audit log.

Times are printed and not asserted. What is asserted is the order of things, and that nobody writes out of turn.
"""

from __future__ import annotations

import signal
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.watchdog import EXIT_CODE
from tests.autobackup.stage import Stage
from tests.election.replicas import DEFAULT, LEASE, NAMESPACE, QUICK, SECONDS, Fleet, Replica, Story, at, edit, spec
from tests.support.faultproxy import FaultProxy
from tools.controlplane import ApiClient, ControlPlane, wait_for

pytestmark = pytest.mark.cluster

ANNOTATION = "stash.appscode.com/backup-blueprint"
HANDOVERS = 4
PAUSES = 2


@pytest.fixture(autouse=True)
def no_lease_is_left(plane: ControlPlane) -> Iterator[None]:
    """The leader of a test is killed at its end; the next test need not wait until what it held has run out."""
    yield
    api = plane.client("admin")
    if api.find(LEASE, "autobackup", namespace=NAMESPACE) is not None:
        api.delete(LEASE, "autobackup", namespace=NAMESPACE)


@contextmanager
def traffic(stage: Stage, blueprint: str, api: ApiClient, *, prefix: str = "more") -> Iterator[None]:
    """New targets all the time, so that whoever leads has something to write. `api` is this thread's client."""
    done = threading.Event()

    def create() -> None:
        busy = Stage(api, stage.namespace)
        number = 0
        while not done.wait(0.1):
            number += 1
            busy.create("PersistentVolumeClaim", f"{prefix}-{number}", {ANNOTATION: blueprint})

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def busy(plane: ControlPlane, mark: int, replica: Replica, *, writes: int = 1) -> None:
    """Wait until this process has written so often since the mark."""
    identity = replica.identity
    wait_for(
        lambda: len(Story.of(plane.audit_log, mark, identity).writes) >= writes,
        SECONDS,
        what=f"{identity} to write",
        state=replica.process.tail,
    )


def check_order(plane: ControlPlane, mark: int, first: Replica, second: Replica) -> None:
    """Every write of the first was there before any of the second."""
    before, after = (Story.of(plane.audit_log, mark, replica.identity).writes for replica in (first, second))
    assert after, "the successor wrote"
    if before:
        assert max(map(at, before)) <= min(map(at, after)), (before[-1], after[0])


def last_validity(plane: ControlPlane, mark: int, replica: Replica, lease: int) -> datetime:
    """When the lease of this process was over, counted generously: from the server's answer to its last renewal, or to
    the creation of the Lease."""
    story = Story.of(plane.audit_log, mark, replica.identity)
    renewals = [event for event in story.renewals if event.status in (200, 201)]
    return max(map(at, renewals)) + timedelta(seconds=lease)


def test_one_leads_and_the_others_are_warm_and_silent(plane: ControlPlane, account: Path, scene: Stage) -> None:
    mark = plane.audit_log.mark()
    blueprint = scene.blueprint()
    with Fleet(account) as fleet:
        leader = fleet.start_leader()
        standbys = [fleet.start(), fleet.start()]
        for number in range(5):
            scene.create("PersistentVolumeClaim", f"t{number}", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=5)
        assert spec(scene.api)["holderIdentity"] == leader.identity
        assert leader.metric("leader_election_master_status") == 1
        assert leader.get("healthAddress", "/readyz")[0] == 200
        for standby in standbys:
            assert standby.get("healthAddress", "/readyz") == (200, "ok")
            assert standby.get("healthAddress", "/livez") == (200, "ok")
            assert standby.metric("leader_election_master_status") == 0
            assert standby.metric("autobackup_informer_synced") == 1
            assert standby.metric("workqueue_adds_total") == 0, "nothing is queued, not even the initial list"
            story = Story.of(plane.audit_log, mark, standby.identity)
            assert story.writes == []
            assert story.renewals == []
            assert not standby.leads
        assert Story.of(plane.audit_log, mark, leader.identity).writes
        refused = [event for event in plane.audit_log.requests(mark) if event.is_denied and event.resource == "leases"]
        assert refused == [], "the shipped rights are enough"


@pytest.mark.slow
def test_sigterm_hands_over_in_order(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Again and again: the successor's first write comes after its predecessor's last one and after the Lease."""
    blueprint = scene.blueprint()
    taken: list[float] = []
    with Fleet(account, terms=DEFAULT) as fleet:
        leader = fleet.start_leader()
        for number in range(HANDOVERS):
            standby = fleet.start()
            mark = plane.audit_log.mark()
            told = leader.signal(signal.SIGTERM)
            with traffic(scene, blueprint, plane.client("admin"), prefix=f"t{number}"):
                assert leader.wait_ended() == 0
                busy(plane, mark, standby)
            first = min(map(at, Story.of(plane.audit_log, mark, standby.identity).writes))
            taken.append((first - told).total_seconds())
            check_order(plane, mark, leader, standby)
            released = Story.of(plane.audit_log, mark, leader.identity).renewals[-1]
            won = Story.of(plane.audit_log, mark, standby.identity).renewals[0]
            assert at(released) <= at(won) <= first
            assert standby.lines("Caches have caught up", by_note=True)
            assert not standby.lines("Reading a whole collection again"), "the note spares that"
            leader = standby
    print(
        f"\nSIGTERM to the successor's first write, {len(taken)} times: "
        f"median {statistics.median(taken) * 1000:.0f} ms, longest {max(taken) * 1000:.0f} ms"
    )


@pytest.mark.slow
def test_a_killed_leader_is_replaced_when_its_lease_has_run_out(
    plane: ControlPlane, account: Path, scene: Stage
) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with Fleet(account, terms=DEFAULT) as fleet:
        leader = fleet.start_leader()
        standby = fleet.start()
        killed = datetime.now(UTC)
        leader.process.kill()
        scene.create("PersistentVolumeClaim", "t", {ANNOTATION: blueprint})
        standby.wait_leading(SECONDS)
        scene.configured("pvc-t")
        check_order(plane, mark, leader, standby)
        won = min(map(at, Story.of(plane.audit_log, mark, standby.identity).renewals))
        renewed = last_validity(plane, mark, leader, 0)
        # The follower's clock begins when it sees the renewal, and the server logs the answer a little later.
        assert won > renewed + timedelta(seconds=DEFAULT[0] - 1), "not before its time was over"
        first = min(map(at, Story.of(plane.audit_log, mark, standby.identity).writes))
    print(f"\nkill -9 to the successor's first write: {(first - killed).total_seconds():.1f} s")


@pytest.mark.slow
def test_a_stopped_leader_that_goes_on_writes_nothing_and_ends(
    plane: ControlPlane, account: Path, scene: Stage
) -> None:
    """SIGSTOP in the middle of its work, for longer than the lease, then SIGCONT."""
    blueprint = scene.blueprint()
    codes = []
    with Fleet(account) as fleet, traffic(scene, blueprint, plane.client("admin")):
        leader = fleet.start_leader()
        for _ in range(PAUSES):
            mark = plane.audit_log.mark()
            standby = fleet.start()
            busy(plane, plane.audit_log.mark(), leader, writes=5)
            leader.stop()
            standby.wait_leading()
            busy(plane, mark, standby)
            leader.go_on()
            codes.append(leader.wait_ended())
            over = last_validity(plane, mark, leader, QUICK[0])
            late = [event for event in Story.of(plane.audit_log, mark, leader.identity).writes if at(event) > over]
            assert late == []
            check_order(plane, mark, leader, standby)
            leader = standby
    assert all(code in (1, EXIT_CODE) for code in codes), codes
    print(f"\nexit codes after SIGSTOP and SIGCONT: {codes}")


def test_a_cut_off_leader_ends_and_writes_nothing_afterwards(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """For ever: what is held up in a network and arrives later, no fence can call back (L15)."""
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with FaultProxy(plane.apiserver) as proxy, Fleet(account) as fleet:
        behind = plane.kubeconfig("operator", server=proxy.url, namespace=NAMESPACE)
        leader = fleet.start_leader(behind)
        standby = fleet.start()
        with traffic(scene, blueprint, plane.client("admin")):
            busy(plane, plane.audit_log.mark(), leader, writes=5)
            proxy.pause()
            standby.wait_leading()
            assert leader.wait_ended() in (1, EXIT_CODE)
            busy(plane, mark, standby)
        over = last_validity(plane, mark, leader, QUICK[0])
        assert [event for event in Story.of(plane.audit_log, mark, leader.identity).writes if at(event) > over] == []
        check_order(plane, mark, leader, standby)
        assert leader.lines("Lost the Lease; the process ends") or leader.process.exit_code == EXIT_CODE


@pytest.mark.parametrize("how", ["given to another", "taken away", "deleted"])
def test_a_lease_changed_by_hand_stops_the_leader(plane: ControlPlane, account: Path, scene: Stage, how: str) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with Fleet(account) as fleet:
        leader = fleet.start_leader()
        standby = fleet.start()
        with traffic(scene, blueprint, plane.client("admin")):
            busy(plane, plane.audit_log.mark(), leader, writes=5)
            if how == "deleted":
                scene.api.delete(LEASE, "autobackup", namespace=NAMESPACE)
                edited = datetime.now(UTC)
            else:
                edited = edit(scene.api, holderIdentity="somebody" if how == "given to another" else "")
            assert leader.wait_ended() == 1
            standby.wait_leading()
            busy(plane, mark, standby)
        check_order(plane, mark, leader, standby)
        (line,) = leader.lines("Lost the Lease; the process ends")
        assert {"given to another": "somebody", "taken away": "nobody", "deleted": "deleted"}[how] in line["why"]
        late = [at(event) - edited for event in Story.of(plane.audit_log, mark, leader.identity).writes]
        assert late
    print(f"\n{how}: the last write of the old leader came {max(late).total_seconds() * 1000:+.0f} ms after the edit")


@pytest.mark.slow
def test_an_api_server_that_is_away_longer_than_the_deadline(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """The leader ends with an error; started again, as the kubelet does, it leads again."""
    blueprint = scene.blueprint()
    with Fleet(account) as fleet:
        leader = fleet.start_leader()
        scene.create("PersistentVolumeClaim", "before", {ANNOTATION: blueprint})
        scene.configured("pvc-before")
        plane.apiserver.kill9()
        try:
            assert leader.wait_ended() == 1
            (line,) = leader.lines("Lost the Lease; the process ends")
            assert f"could not be renewed for {QUICK[1]:g} s" in line["why"]
        finally:
            plane.apiserver.restart()
        again = fleet.start_leader()
        assert again.identity != leader.identity
        scene.create("PersistentVolumeClaim", "after", {ANNOTATION: blueprint})
        scene.configured("pvc-after")


def test_a_standby_ends_at_once_and_an_outage_does_not_end_it(plane: ControlPlane, account: Path) -> None:
    """Only who leads has something to lose."""
    with Fleet(account) as fleet:
        leader = fleet.start_leader()
        standby, other = fleet.start(), fleet.start()
        assert other.process.terminate() == 0
        plane.apiserver.kill9()
        try:
            assert leader.wait_ended() == 1
        finally:
            plane.apiserver.restart()
        standby.wait_leading()
        assert standby.metric("leader_election_master_status") == 1
