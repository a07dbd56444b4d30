"""Leaders go in every way that they can, and the work goes on."""

from __future__ import annotations

from tests.e2e.chart import targets
from tests.e2e.chart.place import Place
from tests.e2e.chart.release import Release, name_of
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
