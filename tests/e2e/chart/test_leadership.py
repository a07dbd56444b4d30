"""Leaders go in every way that they can, and the work goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.chart import targets
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.processes import operator_process, resident_megabytes, writes_of_pods
from tests.e2e.chart.release import Release, name_of
from tools.manifests.chart import NAMESPACE

TRIALS = int(os.environ.get("AUTOBACKUP_E2E_TRIALS") or 2)
CROWD = int(os.environ.get("AUTOBACKUP_E2E_CROWD") or 300)
_TICK = 0.02


def test_the_leader_pod_is_deleted_and_the_work_goes_on(place: Place, release: Release, namespace: str) -> None:
    release.wait_ready()
    targets.create(place, namespace, "before")
    kept = targets.wait_backed_up(place, namespace, "before")
    first = name_of(release.leader())
    place.kubectl("delete", "pod", first, "-n", NAMESPACE, "--wait=false")
    targets.create(place, namespace, "meanwhile")
    targets.wait_backed_up(place, namespace, "meanwhile")
    second = name_of(release.leader(other_than=first))
    targets.create(place, namespace, "after")
    targets.wait_backed_up(place, namespace, "after")
    assert second in {name_of(pod) for pod in release.wait_ready(without=first)}
    again = place.get(targets.CONFIGURATIONS, name_of(kept), namespace=namespace)
    assert again["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]


@contextmanager
def work_to_do(place: Place, namespace: str, name: str) -> Iterator[None]:
    """Somebody changes the schedule of a target all the time, so that there is always something to write."""
    client = place.own.client()
    done = threading.Event()

    def change() -> None:
        minute = 0
        while not done.wait(_TICK):
            minute = (minute + 1) % 60
            client.annotate(
                "apps/v1/Deployment", name, {"stash.appscode.com/schedule": f"{minute} 3 * * *"}, namespace=namespace
            )

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def take_over(place: Place, release: Release, namespace: str, number: signal.Signals, *, patience: float) -> float:
    """Signal the leader in the midst of work; seconds until another pod has written. Nobody wrote beside it."""
    leader = name_of(release.leader())
    pods = {name_of(pod): pod for pod in release.wait_ready()}
    process = operator_process(pods[leader])
    with work_to_do(place, namespace, "busy"):
        mark = place.audit_log.mark()

        def written_by(others: bool) -> list[float]:
            found = writes_of_pods(place.audit_log, mark)
            ours = (write for write in found if write.namespace == namespace and "backup" in write.resource)
            return [write.at for write in ours if (write.pod != leader) == others]

        place.wait(lambda: written_by(False), 20, what="a write of the leader")
        assert written_by(True) == []
        at = time.time()
        os.kill(process, number)
        first = place.wait(lambda: written_by(True), patience, what="a write of the successor")[0]
        after = [moment for moment in written_by(False) if moment > first]
    # A killed one is back in the same pod, and may not lead while the other does.
    assert after == []
    # A container that ends is waited for longer each time; a new pod is not.
    place.kubectl("delete", "pod", leader, "-n", NAMESPACE, "--wait=false")
    release.wait_ready(without=leader)
    return first - at


def test_a_leader_that_is_told_to_end_hands_over(
    place: Place, release: Release, namespace: str, figures: Figures
) -> None:
    place.own.client()
    targets.create(place, namespace, "busy")
    targets.wait_backed_up(place, namespace, "busy")
    for _ in range(TRIALS):
        seconds = take_over(place, release, namespace, signal.SIGTERM, patience=30)
        figures.add("SIGTERM on the leader to the successor's first write", "s", seconds, goal=0.5)


def test_a_leader_that_is_killed_is_followed(place: Place, release: Release, namespace: str, figures: Figures) -> None:
    place.own.client()
    targets.create(place, namespace, "busy")
    targets.wait_backed_up(place, namespace, "busy")
    seconds = take_over(place, release, namespace, signal.SIGKILL, patience=60)
    figures.add("kill -9 of the leader to the successor's first write", "s", seconds, goal=20.0)


def volume(namespace: str, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"stash.appscode.com/backup-blueprint": targets.BLUEPRINT["metadata"]["name"]},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def test_a_crowd_of_targets_fits_into_the_limits(
    place: Place, release: Release, namespace: str, figures: Figures
) -> None:
    client = place.own.client()
    began = time.monotonic()
    for number in range(CROWD):
        client.create(volume(namespace, f"data-{number}"))

    def all_made() -> bool:
        made = client.list("stash.appscode.com/v1beta1/BackupConfiguration", namespace=namespace)
        assert len(made) == CROWD
        return True

    place.wait(all_made, 120, what="a BackupConfiguration for each volume")
    figures.add(f"{CROWD} volumes created and configured", "s", time.monotonic() - began)
    for role, pod in (("leader", release.leader()), ("standby", release.standby())):
        resident = resident_megabytes(operator_process(pod))
        figures.add(f"memory of the {role} with {CROWD} targets", "MiB", resident)
        assert resident < 512, "the limit of the chart"
