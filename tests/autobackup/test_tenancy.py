"""Who may use a blueprint, on a real API server: two tenants and two blueprints, labels that change, missing rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autobackup.__main__ import main
from reconcilers import marks
from tests.autobackup.stage import ANNOTATION, SECONDS, Object, Stage, grant_operator
from tests.support.cluster import create_namespace, grant, remove_namespace, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, apply_manifests, wait_for
from tools.controlplane.client import ApiFailure
from tools.manifests import render

NAMESPACE = "v1/Namespace"
BINDING = "rbac.authorization.k8s.io/v1/ClusterRoleBinding"
PVC = "PersistentVolumeClaim"
ANY = {"apiGroups": ["stash.appscode.com"]}


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


def test_a_namespace_that_names_a_blueprint(stage: Stage, api: ApiClient) -> None:
    blueprint = stage.blueprint()
    other = stage.blueprint(prefix="other/${TARGET_NAMESPACE}/${TARGET_NAME}")
    for name in ("one", "two"):
        stage.create(PVC, name)
    stage.create(PVC, "own", {ANNOTATION: other})
    stage.create(PVC, "out", {ANNOTATION: "-"})
    stage.configured("pvc-own")
    api.annotate(NAMESPACE, stage.namespace, {ANNOTATION: blueprint})
    stage.settled(blueprint, matched=2, configured=2)
    assert configured(stage) == {"pvc-one": blueprint, "pvc-two": blueprint, "pvc-own": other}
    # What is made afterwards is a target from the start.
    stage.create(PVC, "late")
    stage.configured("pvc-late")
    # One opts out, then the namespace does; what has an annotation of its own stays.
    stage.annotate(PVC, "one", blueprint="-")
    stage.gone("pvc-one")
    api.annotate(NAMESPACE, stage.namespace, {ANNOTATION: None})
    stage.gone("pvc-two")
    stage.gone("pvc-late")
    assert configured(stage) == {"pvc-own": other}
    assert {found["metadata"]["name"] for found in stage.repositories()} == {
        "pvc-one",
        "pvc-two",
        "pvc-own",
        "pvc-late",
    }


def test_a_claim_that_a_workload_covers(
    stage: Stage, api: ApiClient, control_plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {ANNOTATION: blueprint})
    stage.configured("deploy-shop")
    stage.create(PVC, "data")
    stage.create(PVC, "spare")
    api.annotate(NAMESPACE, stage.namespace, {ANNOTATION: blueprint})
    stage.configured("pvc-spare")
    stage.settled(blueprint, matched=2, configured=2)
    wait_for(
        lambda: configured(stage) == {"deploy-shop": blueprint, "pvc-spare": blueprint},
        SECONDS,
        what="the covered claim to be left to the workload",
        state=lambda: configured(stage),
    )
    flags = ("-n", stage.namespace, "--kubeconfig", str(control_plane.kubeconfig("admin")))
    assert main(["explain", "pvc/data", *flags]) == 0
    assert f"is backed up with Deployment {stage.namespace}/shop" in capsys.readouterr().err
    stage.annotate("Deployment", "shop", blueprint="-")
    assert main(["explain", "deploy/shop", *flags]) == 1
    assert "opts it out" in capsys.readouterr().err
    stage.configured("pvc-data")
    stage.gone("deploy-shop")
    api.annotate(NAMESPACE, stage.namespace, {ANNOTATION: None})
    stage.gone("pvc-data")


def test_a_restart_with_a_namespace_that_asks_writes_nothing(scene: Stage, plane: ControlPlane, account: Path) -> None:
    api = plane.client("admin")
    blueprint = scene.blueprint(targetKinds=["Deployment", PVC])
    scene.create("Deployment", "shop")
    for name in ("data", "a", "b"):
        scene.create(PVC, name)
    api.annotate(NAMESPACE, scene.namespace, {ANNOTATION: blueprint})
    with OperatorProcess(account):
        scene.configured("deploy-shop")
        scene.settled(blueprint, matched=3, configured=3)
        wait_for(lambda: "pvc-data" not in configured(scene), SECONDS, what="the covered claim to be left alone")
    before = [found["metadata"]["resourceVersion"] for found in (*scene.configurations(), *scene.repositories())]
    extra = scene.blueprint()
    with OperatorProcess(account):
        scene.create(PVC, "extra", {ANNOTATION: extra})
        scene.configured("pvc-extra")
        scene.settled(extra, configured=1)
        scene.settled(blueprint, matched=3, configured=3)
    after = {found["metadata"]["name"]: found for found in (*scene.configurations(), *scene.repositories())}
    versions = [
        found["metadata"]["resourceVersion"]
        for found in (*scene.configurations(), *scene.repositories())
        if found["metadata"]["name"] != "pvc-extra"
    ]
    assert versions == before, after
    api.annotate(NAMESPACE, scene.namespace, {ANNOTATION: None})


def configured(stage: Stage) -> dict[str, str]:
    """BackupConfigurations of the namespace, and the blueprint of each."""
    found = stage.configurations()
    return {each["metadata"]["name"]: each["metadata"]["annotations"][marks.BLUEPRINT] for each in found}


def test_a_namespace_that_was_made_anew_inherits_nothing_until_somebody_adopts(
    tenants: tuple[Stage, Stage], control_plane: ControlPlane, api: ApiClient
) -> None:
    """T4. The Repository is in another namespace, and outlives that of its target."""
    vault, stage = tenants
    blueprint = vault.blueprint(repoNamespace=vault.namespace)
    name = f"{stage.namespace}-pvc-data"
    stage.create(PVC, "data", {ANNOTATION: blueprint})
    repository, _ = configured_in(stage, vault, "pvc-data")
    remove_namespace(api, stage.namespace)
    create_namespace(api, stage.namespace)
    stage.create(PVC, "data", {ANNOTATION: blueprint})
    failure = wait_for(
        lambda: next(iter(vault.blueprint_status(blueprint).get("failures", ())), None),
        SECONDS,
        what="the target to be refused",
        state=lambda: vault.blueprint_status(blueprint),
    )
    assert failure is not None
    assert failure["reason"] == "NamespaceReused"
    assert stage.find_configuration("pvc-data") is None
    assert vault.find_repository(name) == repository

    # Consent is on the Repository: nothing that is written on the target helps.
    now = api.get(NAMESPACE, stage.namespace)["metadata"]["uid"]
    api.annotate("v1/PersistentVolumeClaim", "data", {marks.NAMESPACE_UID: now}, namespace=stage.namespace)
    flags = ("-n", stage.namespace, "--kubeconfig", str(control_plane.kubeconfig("admin")))
    assert stage.find_configuration("pvc-data") is None
    assert main(["adopt", "pvc/data", *flags]) == 0
    after, _ = configured_in(stage, vault, "pvc-data")
    assert after["metadata"]["uid"] == repository["metadata"]["uid"]
    assert after["metadata"]["annotations"][marks.NAMESPACE_UID] == now


def configured_in(stage: Stage, vault: Stage, name: str) -> tuple[Object, Object]:
    """Wait for a BackupConfiguration whose Repository is in another namespace."""
    found = wait_for(lambda: stage.find_configuration(name), SECONDS, what=f"BackupConfiguration {name}")
    assert found is not None
    repository = vault.find_repository(found["spec"]["repository"]["name"])
    assert repository is not None
    return repository, found


def test_two_tenants_and_two_blueprints_with_the_admission_policies(
    scene: Stage, plane: ControlPlane, account: Path
) -> None:
    """The API server asks who names a blueprint, the operator where: each alone would do."""
    admin = plane.client("admin")
    other = Stage(admin, unique_name("tenant-b"))
    create_namespace(admin, other.namespace)
    label(admin, scene.namespace, team="a")
    label(admin, other.namespace, team="b")
    for_a = scene.blueprint(allowedNamespaces=of_team("a"))
    for_b = scene.blueprint(allowedNamespaces=of_team("b"))
    people = {"alice": (scene, for_a, for_b), "bob": (other, for_b, for_a)}
    for user, (tenant, mine, _) in people.items():
        use = {**ANY, "resources": ["backupblueprints"], "resourceNames": [mine], "verbs": ["use"]}
        claims = {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["*"]}
        grant(admin, plane.users[user], [use, claims], namespace=tenant.namespace)
    found = [each.content for each in render({"admissionPolicies": {"blueprintUse": {"enabled": True}}})]
    policies = [each for each in found if each["metadata"]["name"] == "autobackup-blueprint-use"]
    try:
        apply_manifests(admin, policies)
        with OperatorProcess(account):
            for user, (tenant, mine, theirs) in people.items():
                as_user = Stage(plane.client(user), tenant.namespace)

                def refused(as_user: Stage = as_user, theirs: str = theirs) -> bool:
                    try:
                        as_user.create(PVC, "refused", {ANNOTATION: theirs})
                    except ApiFailure as failure:
                        return "may not name the BackupBlueprint" in str(failure)
                    as_user.delete(PVC, "refused")
                    return False

                wait_for(refused, SECONDS, what=f"{user} to be refused what is the other's")
                as_user.create(PVC, "mine", {ANNOTATION: mine})
                tenant.configured("pvc-mine")
                # Who may do anything, a deployment tool say, gets past the policy, and no further.
                tenant.create(PVC, "theirs", {ANNOTATION: theirs})
            assert {failure["namespace"] for failure in failures(scene, for_a)} == {other.namespace}
            assert {failure["namespace"] for failure in failures(scene, for_b)} == {scene.namespace}
            for tenant in (scene, other):
                assert list(configured(tenant)) == ["pvc-mine"]
    finally:
        for each in policies:
            admin.delete(f"{each['apiVersion']}/{each['kind']}", each["metadata"]["name"])
        remove_namespace(admin, other.namespace)


def failures(stage: Stage, blueprint: str) -> list[Object]:
    stage.settled(blueprint, matched=2, configured=1, failed=1)
    found: list[Object] = stage.blueprint_status(blueprint)["failures"]
    return found
