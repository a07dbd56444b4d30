"""What is left without the operator: everything that people need, and nothing that holds them up."""

from __future__ import annotations

import time

from tests.e2e.chart import targets
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.release import SELECTOR, Release, name_of
from tools.manifests.chart import NAMESPACE, RELEASE

GONE = ("deployments", "configmaps", "services", "clusterroles", "clusterrolebindings", "roles", "rolebindings")
POLICIES = (
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "networkpolicies",
    "poddisruptionbudgets",
)


def test_without_the_operator_all_that_people_need_stays(
    place: Place, release: Release, namespace: str, figures: Figures
) -> None:
    for name in ("web", "api"):
        targets.create(place, namespace, name)
        targets.wait_backed_up(place, namespace, name)
    before = contents(place, namespace)
    assert len(before) == 6
    release.uninstall()
    place.wait(lambda: not release.pods(), 60, what="the pods to be gone")
    assert contents(place, namespace) == before
    crds = [crd for crd in place.list("crd") if crd["spec"]["group"].endswith("appscode.com")]
    assert len(crds) == 6
    assert place.find(targets.BLUEPRINTS, "e2e") is not None
    for kind in GONE:
        assert place.list(kind, labels=f"app.kubernetes.io/instance={RELEASE}") == [], kind
    assert place.list("pods", namespace=NAMESPACE, labels=SELECTOR) == []

    # With targets in it, and nobody there who could remove a finalizer.
    began = time.monotonic()
    place.kubectl("delete", "namespace", namespace, "--timeout=30s")
    figures.add("namespace with targets gone, operator gone", "s", time.monotonic() - began, goal=30.0)


def contents(place: Place, namespace: str) -> dict[str, Object]:
    """The user's objects and those made for them, as they are stored."""
    kinds = ("deployments", targets.CONFIGURATIONS, targets.REPOSITORIES)
    return {f"{kind}/{name_of(each)}": each for kind in kinds for each in place.list(kind, namespace=namespace)}
