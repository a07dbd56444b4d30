"""Who may use a blueprint, on a real API server: two tenants and two blueprints, labels that change, missing rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcilers import marks
from tests.autobackup.stage import ANNOTATION, SECONDS, Stage, grant_operator
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, wait_for
from tools.controlplane.client import ApiFailure

NAMESPACE = "v1/Namespace"
BINDING = "rbac.authorization.k8s.io/v1/ClusterRoleBinding"
PVC = "PersistentVolumeClaim"


@pytest.fixture
def tenants(stage: Stage, api: ApiClient) -> Iterator[tuple[Stage, Stage]]:
    """Two namespaces, of team a and of team b."""
    other = unique_name("tenant-b")
    create_namespace(api, other)
    label(api, stage.namespace, team="a")
    label(api, other, team="b")
    yield stage, Stage(api, other)
    remove_namespace(api, other)


def label(api: ApiClient, namespace: str, **labels: str | None) -> None:
    api.patch(NAMESPACE, namespace, {"metadata": {"labels": labels}})


def of_team(team: str) -> dict[str, object]:
    return {"selector": {"matchLabels": {"team": team}}}


def paused(stage: Stage, name: str) -> bool:
    found = stage.find_configuration(name)
    return found is not None and found["spec"].get("paused") is True


def until_paused(stage: Stage, name: str, *, wanted: bool = True) -> None:
    wait_for(
        lambda: paused(stage, name) is wanted and stage.find_configuration(name) is not None,
        SECONDS,
        what=f"BackupConfiguration {name} to {'be suspended' if wanted else 'go on'}",
        state=lambda: stage.find_configuration(name),
    )


def test_two_tenants_and_two_blueprints(tenants: tuple[Stage, Stage]) -> None:
    a, b = tenants
    for_a, for_b = a.blueprint(allowedNamespaces=of_team("a")), a.blueprint(allowedNamespaces={"names": [b.namespace]})
    for tenant in tenants:
        tenant.create(PVC, "mine-a", {ANNOTATION: for_a})
        tenant.create(PVC, "mine-b", {ANNOTATION: for_b})
    a.settled(for_a, matched=2, configured=1, failed=1)
    a.settled(for_b, matched=2, configured=1, failed=1)
    assert [found["metadata"]["name"] for found in a.configurations()] == ["pvc-mine-a"]
    assert [found["metadata"]["name"] for found in b.configurations()] == ["pvc-mine-b"]
    assert [found["metadata"]["name"] for found in a.repositories()] == ["pvc-mine-a"]
    assert b.event("mine-a", "NamespaceNotAllowed")["type"] == "Warning"
    (failure,) = a.blueprint_status(for_a)["failures"]
    assert (failure["namespace"], failure["reason"]) == (b.namespace, "NamespaceNotAllowed")


def test_a_namespace_that_is_relabelled_is_suspended_and_goes_on(tenants: tuple[Stage, Stage], api: ApiClient) -> None:
    stage, _ = tenants
    blueprint = stage.blueprint(allowedNamespaces=of_team("a"))
    stage.create(PVC, "data", {ANNOTATION: blueprint})
    before, configuration = stage.configured("pvc-data")
    label(api, stage.namespace, team="c")
    until_paused(stage, "pvc-data")
    suspended = stage.find_configuration("pvc-data")
    assert suspended is not None
    assert suspended["metadata"]["annotations"][marks.SUSPENDED] == "NamespaceNotAllowed"
    stage.event("data", "BackupConfigurationSuspended")
    stage.settled(blueprint, failed=1)
    label(api, stage.namespace, team="a")
    until_paused(stage, "pvc-data", wanted=False)
    stage.event("data", "BackupConfigurationResumed")
    repository, resumed = stage.configured("pvc-data")
    assert repository["metadata"]["uid"] == before["metadata"]["uid"]
    assert resumed["metadata"]["uid"] == configuration["metadata"]["uid"]
    assert resumed["spec"] == configuration["spec"]
    assert marks.SUSPENDED not in resumed["metadata"]["annotations"]


def test_a_blueprint_that_is_closed_and_opened(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {ANNOTATION: blueprint})
    stage.configured("deploy-shop")
    stage.blueprint(blueprint, allowedNamespaces={})
    until_paused(stage, "deploy-shop")
    stage.blueprint(blueprint, allowedNamespaces={"names": [stage.namespace]})
    until_paused(stage, "deploy-shop", wanted=False)


@pytest.mark.parametrize(
    "policy",
    [
        {"names": ["No_Name"]},
        {"selector": {"matchExpressions": [{"key": "team", "operator": "Like", "values": ["x"]}]}},
        {"selector": {"matchExpressions": [{"key": "team", "operator": "In"}]}},
    ],
)
def test_a_policy_that_means_nothing_is_refused_by_the_server(stage: Stage, policy: dict[str, object]) -> None:
    with pytest.raises(ApiFailure, match="allowedNamespaces"):
        stage.blueprint(allowedNamespaces=policy)


def test_an_operator_that_requires_a_policy(scene: Stage, account: Path) -> None:
    open_to_all = scene.blueprint()
    open_to_one = scene.blueprint(allowedNamespaces={"names": [scene.namespace]})
    scene.create(PVC, "one", {ANNOTATION: open_to_one})
    scene.create(PVC, "all", {ANNOTATION: open_to_all})
    flags = ("--health-address=off", "--metrics-address=off", "--require-allowed-namespaces")
    with OperatorProcess(account, *flags):
        scene.configured("pvc-one")
        assert scene.failed(open_to_all, "all")["reason"] == "NamespaceNotAllowed"
        assert scene.find_configuration("pvc-all") is None


def test_who_may_not_read_namespaces_serves_those_that_are_named(scene: Stage, plane: ControlPlane) -> None:
    """An operator for some namespaces without the one right that reaches beyond them."""
    account = grant_operator(plane)
    admin = plane.client("admin")
    admin.delete(BINDING, "autobackup-namespaces")
    by_name = scene.blueprint(allowedNamespaces={"names": [scene.namespace]})
    by_label = scene.blueprint(allowedNamespaces={"selector": {}})
    open_to_all = scene.blueprint()
    for name, blueprint in (("name", by_name), ("label", by_label), ("all", open_to_all)):
        scene.create(PVC, name, {ANNOTATION: blueprint})
    flags = ("--health-address=off", "--metrics-address=off", f"--namespaces={scene.namespace}")
    try:
        with OperatorProcess(account, *flags):
            failure = wait_for(
                lambda: next(iter(scene.blueprint_status(by_label).get("failures", ())), None),
                3 * SECONDS,
                what="the blueprint that asks for labels to be denied",
            )
            assert failure is not None
            assert failure["reason"] == "NamespaceUnknown"
            assert "autobackup-namespaces" in failure["message"]
            scene.configured("pvc-name")
            scene.configured("pvc-all")
            grant_operator(plane)
            wait_for(
                lambda: scene.find_configuration("pvc-label"),
                4 * SECONDS,
                what="the target to be configured once Namespaces may be read",
            )
    finally:
        grant_operator(plane)
