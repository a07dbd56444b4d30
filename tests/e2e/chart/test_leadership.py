"""Leaders go in every way that they can, and the work goes on."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.chart import targets
from tests.e2e.chart.crowd import Crowd
from tests.e2e.chart.effort import EFFORT
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import Place
from tests.e2e.chart.processes import operator_process
from tests.e2e.chart.release import Release, name_of
from tests.e2e.chart.work import TARGET, Witness, work_to_do
from tools.manifests.chart import NAMESPACE


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
    place.wait(lambda: place.find("pod", first, namespace=NAMESPACE) is None, 20, what="the old pod to be gone")


def take_over(place: Place, release: Release, namespace: str, number: signal.Signals, *, patience: float) -> float:
    """Signal the leader in the midst of work; seconds until another pod has written. Nobody wrote beside it."""
    leader = name_of(release.leader())
    pods = {name_of(pod): pod for pod in release.wait_ready()}
    process = operator_process(pods[leader])
    with work_to_do(place, namespace):
        seen = Witness(place, namespace, leader, place.audit_log.mark())
        place.wait(seen.works, 20, what="a write of the leader")
        assert seen.others_work() == []
        at = time.time()
        os.kill(process, number)
        first: float = place.wait(seen.others_work, patience, what="a write of the successor")[0]
    # A killed one is back in the same pod, and may not lead while the other does.
    assert seen.writes_after(first) == []
    # A container that ends is waited for longer each time; a new pod is not.
    place.kubectl("delete", "pod", leader, "-n", NAMESPACE, "--wait=false")
    release.wait_ready(without=leader)
    return first - at


def test_a_leader_that_is_told_to_end_hands_over(
    place: Place, release: Release, crowd: Crowd, namespace: str, figures: Figures
) -> None:
    targets.create(place, namespace, TARGET)
    targets.wait_backed_up(place, namespace, TARGET)
    for _ in range(EFFORT.trials):
        seconds = take_over(place, release, namespace, signal.SIGTERM, patience=30)
        title = f"SIGTERM on the leader to the successor's first write, {crowd.size} targets"
        figures.add(title, "s", seconds, goal=0.5)


def test_a_leader_that_is_killed_is_followed(
    place: Place, release: Release, crowd: Crowd, namespace: str, figures: Figures
) -> None:
    targets.create(place, namespace, TARGET)
    targets.wait_backed_up(place, namespace, TARGET)
    for _ in range(EFFORT.kills):
        seconds = take_over(place, release, namespace, signal.SIGKILL, patience=60)
        title = f"kill -9 of the leader to the successor's first write, {crowd.size} targets, default settings"
        figures.add(title, "s", seconds, goal=20.0)
