"""The chart on a real node: both replicas become ready, and what is annotated gets its objects from a pod."""

from __future__ import annotations

import pytest

from tests.e2e.chart import targets
from tests.e2e.chart.place import KubectlFailed, Place
from tests.e2e.chart.release import ACCOUNT, Release, is_ready, name_of
from tools.manifests.chart import NAMESPACE, RELEASE, run_helm


def test_two_replicas_are_ready_and_one_leads(place: Place, release: Release) -> None:
    pods = release.wait_ready()
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0, 0]
    assert name_of(release.leader()) in {name_of(pod) for pod in pods}
    assert name_of(release.standby()) != name_of(release.leader())


def test_the_namespace_admits_nothing_freer_than_the_pods_are(place: Place, release: Release) -> None:
    free = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "free", "namespace": NAMESPACE}}
    with pytest.raises(KubectlFailed, match="violates PodSecurity"):
        place.apply({**free, "spec": {"containers": [{"name": "free", "image": "none"}]}})


def test_an_annotated_deployment_gets_its_objects_from_the_pod(place: Place, release: Release, namespace: str) -> None:
    targets.create(place, namespace, "web")
    configuration = targets.wait_backed_up(place, namespace, "web")
    assert configuration["spec"]["schedule"] == targets.BLUEPRINT["spec"]["schedule"]
    assert configuration["spec"]["target"]["paths"] == ["/data"]
    repository = place.get(targets.REPOSITORIES, configuration["spec"]["repository"]["name"], namespace=namespace)
    assert repository["spec"]["backend"]["s3"]["prefix"] == f"{namespace}/deployment/web"
    for made in (configuration, repository):
        assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "autobackup"


def test_nobody_but_its_account_wrote_them(place: Place, release: Release, namespace: str) -> None:
    mark = place.audit_log.mark()
    targets.create(place, namespace, "web")
    targets.wait_backed_up(place, namespace, "web")
    writes = [event for event in place.audit_log.writes(mark, namespace=namespace) if "stash" in event.group]
    assert {event.user for event in writes} == {ACCOUNT}


def test_a_configuration_that_cannot_be_used_says_why_and_stops_nobody(place: Place, release: Release) -> None:
    running = {name_of(pod) for pod in release.wait_ready()}
    release.upgrade(more={"config": {"workerz": 3}})

    def told() -> str:
        """By the container that ended, as `kubectl describe pod` shows it."""
        added = (pod for pod in release.pods() if name_of(pod) not in running)
        statuses = [status for pod in added for status in pod["status"].get("containerStatuses", [])]
        states = [state for status in statuses for state in (status["state"], status["lastState"])]
        return "".join(state["terminated"].get("message", "") for state in states if "terminated" in state)

    assert "unknown key workerz; did you mean workers?" in place.wait(told, 60, what="a container that ended")
    assert running <= {name_of(pod) for pod in release.pods() if is_ready(pod)}
    release.upgrade()
    release.wait_rolled_out()
    assert {name_of(pod) for pod in release.wait_ready()} == running


def test_people_are_told_what_to_do_next(release: Release) -> None:
    notes = run_helm("get", "notes", RELEASE, "-n", NAMESPACE, "--kubeconfig", str(release.place.kubeconfig))
    assert "kubectl annotate" in notes
