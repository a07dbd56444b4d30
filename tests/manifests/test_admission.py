"""The admission policies on a real API server: what they refuse, with which words, and whom they leave alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconcilers.annotations import _BOOKKEEPING, _LONGEST_VALUE, PARAMS_PREFIX, PREFIX, VARIABLES_PREFIX
from reconcilers.registry import ANNOTATIONS
from tests.support.cluster import create_namespace, grant, unique_name
from tools.controlplane import ApiClient, ApiFailure, ControlPlane, apply_manifests, install_crds, remove_crd, wait_for
from tools.manifests import render
from tools.manifests.chart import NAMESPACE

Object = dict[str, Any]
BLUEPRINT = "stash.appscode.com/backup-blueprint"
CRD = "apiextensions.k8s.io/v1/CustomResourceDefinition"
CONFIRM = "autobackup.stash.appscode.com/confirm-deletion"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
APPS = [{"apiGroups": ["apps", ""], "resources": ["*"], "verbs": ["*"]}]


def policies(**values: Object) -> list[Object]:
    found = render({"admissionPolicies": values})
    return [each.content for each in found if each.kind.startswith("ValidatingAdmissionPolicy")]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane with the CRDs and all policies, each refusing."""
    with ControlPlane() as started:
        admin = started.client("admin")
        create_namespace(admin, NAMESPACE)
        install_crds(admin)
        apply_manifests(admin, policies(annotations={"mode": "Deny"}, blueprintUse={"enabled": True}))
        grant(admin, started.users["operator"], EVERYTHING)
        yield started


@pytest.fixture(scope="module")
def admin(plane: ControlPlane) -> ApiClient:
    return plane.client("admin")


@pytest.fixture(scope="module")
def active(admin: ApiClient, plane: ControlPlane) -> None:
    """A policy takes a moment to take effect after it was made."""
    create_namespace(admin, "probe")
    probes = (
        deployment("probe", {PREFIX + "scheduel": "x"}),
        deployment("probe", {BLUEPRINT: "a,b,c,d,e,f,g,h,i"}),
    )
    for probe in probes:
        refused(lambda probe=probe: admin.apply(probe, dry_run=True), "", wait=True)
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": "probe"}}
    refused(lambda: plane.client("operator").apply(config_map, dry_run=True), "does not write", wait=True)
    name = "backupsessions.stash.appscode.com"
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    refused(lambda: admin.request("DELETE", path, query={"dryRun": "All"}), "deletes every object", wait=True)


@pytest.fixture
def place(admin: ApiClient, plane: ControlPlane, active: None, request: pytest.FixtureRequest) -> str:
    """A namespace in which alice may name the blueprint `nightly`; bob may only do what owners of applications may."""
    name = unique_name(request.node.name)
    create_namespace(admin, name)
    use = {
        "apiGroups": ["stash.appscode.com"],
        "resources": ["backupblueprints"],
        "resourceNames": ["nightly"],
        "verbs": ["use"],
    }
    grant(admin, plane.users["alice"], [*APPS, use], namespace=name)
    grant(admin, plane.users["bob"], APPS, namespace=name)
    for user in ("alice", "bob"):
        wait_for(lambda user=user: _may_list(plane.client(user), name), what=f"{user} to have rights")
    return name


def _may_list(client: ApiClient, namespace: str) -> bool:
    try:
        client.list("apps/v1/Deployment", namespace=namespace)
    except ApiFailure:
        return False
    return True


def refused(attempt: Callable[[], object], said: str, *, wait: bool = False) -> None:
    """The policy refuses, in these words; `wait` for the server to have loaded it."""

    def look() -> str:
        try:
            attempt()
        except ApiFailure as failure:
            return str(failure)
        raise AssertionError("it was allowed")

    text = wait_for(look, 30, what="the policy to refuse") if wait else look()
    assert "ValidatingAdmissionPolicy" in text
    assert said in text


def deployment(namespace: str, annotations: Object | None = None, name: str = "app") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "example.com/app:1"}]},
            },
        },
    }


def claim(namespace: str, annotations: Object | None = None, name: str = "data") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def stateful(namespace: str, on_claims: Object) -> Object:
    body = deployment(namespace)
    template = {"metadata": {"name": "data", "annotations": on_claims}, "spec": claim(namespace)["spec"]}
    body["spec"] |= {"serviceName": "app", "volumeClaimTemplates": [template]}
    return {**body, "kind": "StatefulSet"}


# --- annotations


@pytest.mark.parametrize("make", [deployment, claim])
def test_a_typing_mistake_is_refused_by_name(plane: ControlPlane, place: str, make: Callable[..., Object]) -> None:
    bob = plane.client("bob")
    typo = {PREFIX + "scheduel": "0 2 * * *", "example.com/other": "x"}
    refused(lambda: bob.apply(make(place, typo)), "is called stash.appscode.com/scheduel;")
    assert bob.apply(make(place, {PREFIX + "schedule": "0 2 * * *", "example.com/other": "x"}))


def test_the_policy_and_the_operator_know_the_same_annotations(admin: ApiClient, place: str) -> None:
    free = (PARAMS_PREFIX, VARIABLES_PREFIX)
    known = {found.key: "x" for found in ANNOTATIONS if not found.key.startswith(free)}
    kept = {PREFIX + key: "x" for key in _BOOKKEEPING}
    several = {
        f"{PREFIX}{_BOOKKEEPING[0]}-deployment": "x",
        PARAMS_PREFIX + "args": "--all",
        VARIABLES_PREFIX + "tier": "gold",
        "my.stash.appscode.com/x": "",
    }
    annotations = known | kept | several | {BLUEPRINT: ""}
    assert admin.apply(deployment(place, annotations))["metadata"]["annotations"].keys() >= known.keys()


def test_the_policy_and_the_operator_know_the_same_limit(admin: ApiClient, place: str) -> None:
    assert admin.apply(claim(place, {PARAMS_PREFIX + "args": "ä" * _LONGEST_VALUE}))
    longer = claim(place, {PARAMS_PREFIX + "args": "x" * (_LONGEST_VALUE + 1)}, "other")
    refused(lambda: admin.apply(longer), f"longer than {_LONGEST_VALUE} characters")


def test_who_did_not_make_the_mistake_is_not_asked(plane: ControlPlane, place: str) -> None:
    """What was there before the policy stays, and may be scaled, labelled and mended."""
    controller = f"system:serviceaccount:kube-system:{'deployment-controller'}"
    admin, bob = plane.client("admin"), plane.client("bob")
    headers = {"Impersonate-User": controller, "Impersonate-Group": "system:serviceaccounts:kube-system"}
    before = deployment(place, {PREFIX + "old": "x", BLUEPRINT: "forbidden"})
    grant(admin, _Controller(controller), EVERYTHING)
    path = f"/apis/apps/v1/namespaces/{place}/deployments"
    wait_for(
        lambda: _done(lambda: admin.request("POST", path, body=before, headers=headers)), what="the copy to be made"
    )
    scaled = bob.patch("apps/v1/Deployment", "app", {"spec": {"replicas": 3}}, namespace=place)
    assert scaled["spec"]["replicas"] == 3
    assert bob.patch("apps/v1/Deployment", "app", {"metadata": {"labels": {"a": "b"}}}, namespace=place)
    refused(
        lambda: bob.annotate("apps/v1/Deployment", "app", {PREFIX + "old": "y"}, namespace=place),
        "stash.appscode.com/old",
    )
    assert bob.annotate("apps/v1/Deployment", "app", {PREFIX + "old": None, BLUEPRINT: None}, namespace=place)


class _Controller:
    """A subject for `grant`."""

    def __init__(self, name: str) -> None:
        self.name = name


def _done(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except ApiFailure as failure:
        if failure.status != 403:
            raise
        return False
    return True


# --- the verb `use`


def test_naming_a_blueprint_takes_the_verb_use(plane: ControlPlane, place: str) -> None:
    alice, bob = plane.client("alice"), plane.client("bob")
    named = {BLUEPRINT: "nightly"}
    refused(lambda: bob.apply(deployment(place, named)), "user bob may not name the BackupBlueprint nightly here")
    assert alice.apply(deployment(place, named))
    refused(
        lambda: alice.annotate("apps/v1/Deployment", "app", {BLUEPRINT: "nightly,weekly"}, namespace=place), "weekly"
    )
    assert bob.patch("apps/v1/Deployment", "app", {"spec": {"replicas": 2}}, namespace=place)
    assert bob.annotate("apps/v1/Deployment", "app", {BLUEPRINT: None}, namespace=place)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("weekly", "BackupBlueprint weekly"),
        ('["nightly", "weekly"]', "BackupBlueprint weekly"),
        (r'["n\u0069ghtly"]', "not the name of a BackupBlueprint"),
        ("nightly, , weekly ", "BackupBlueprint weekly"),
        (",".join(f"b{n}" for n in range(9)), "more than 8"),
        ("nightly," * 7 + "weekly", "BackupBlueprint weekly"),
    ],
)
def test_there_is_no_way_around_by_spelling(plane: ControlPlane, place: str, value: str, said: str) -> None:
    refused(lambda: plane.client("alice").apply(deployment(place, {BLUEPRINT: value})), said)


@pytest.mark.parametrize("value", ["nightly", '["nightly"]', " nightly , nightly ", ",".join(["nightly"] * 8)])
def test_every_spelling_of_what_is_allowed_is_allowed(plane: ControlPlane, place: str, value: str) -> None:
    assert plane.client("alice").apply(deployment(place, {BLUEPRINT: value}))


def test_claim_templates_are_no_way_around(plane: ControlPlane, place: str) -> None:
    body = stateful(place, {BLUEPRINT: "weekly"})
    refused(lambda: plane.client("alice").apply(body), "BackupBlueprint weekly")
    assert plane.client("alice").apply(stateful(place, {BLUEPRINT: "nightly"}))


def test_the_shipped_role_allows_every_blueprint(plane: ControlPlane, admin: ApiClient, place: str) -> None:
    (role,) = (each.content for each in render() if each.name == "autobackup-blueprint-user")
    grant(admin, plane.users["bob"], role["rules"], namespace=place)
    wait_for(
        lambda: _done(lambda: plane.client("bob").apply(deployment(place, {BLUEPRINT: "weekly"}))),
        what="bob to be allowed",
    )


# --- the operator


FOREIGN = {
    "ConfigMap": {"apiVersion": "v1", "data": {"a": "b"}},
    "RoleBinding": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    },
    "BackupBlueprint": {
        "apiVersion": "stash.appscode.com/v1beta1",
        "spec": {
            "backend": {"s3": {"endpoint": "s3.example.com", "bucket": "b"}, "storageSecretName": "s"},
            "schedule": "0 2 * * *",
            "retentionPolicy": {"name": "keep-5", "keepLast": 5, "prune": True},
        },
    },
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_the_operator_writes_nothing_but_its_own_kinds(
    plane: ControlPlane, admin: ApiClient, place: str, kind: str
) -> None:
    """Although somebody made it an administrator."""
    metadata = {"name": "foreign"} | ({} if kind == "BackupBlueprint" else {"namespace": place})
    body = {"kind": kind, "metadata": metadata, **FOREIGN[kind]}
    refused(lambda: plane.client("operator").create(body), "the operator does not write")
    assert admin.apply(body, dry_run=True)


def test_the_operator_stops_no_pods(plane: ControlPlane, admin: ApiClient, place: str) -> None:
    admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": place}})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "namespace": place},
        "spec": {"containers": [{"name": "main", "image": "example.com/app:1"}]},
    }
    admin.create(pod)
    path = f"/api/v1/namespaces/{place}/pods/x"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "x", "namespace": place}}
    operator = plane.client("operator")
    refused(lambda: operator.request("POST", path + "/eviction", body=eviction), "does not write pods/eviction")
    refused(lambda: operator.delete("v1/Pod", "x", namespace=place), "does not write pods")


def test_the_operator_takes_nothing_that_is_not_its_own(plane: ControlPlane, admin: ApiClient, place: str) -> None:
    operator = plane.client("operator")
    foreign, own = (
        repository(place, "foreign", {}),
        repository(place, "own", {"app.kubernetes.io/managed-by": "autobackup"}),
    )
    admin.create(foreign)
    refused(lambda: operator.apply({**own, "metadata": {**own["metadata"], "name": "foreign"}}), "its label")
    refused(lambda: operator.create(repository(place, "third", {})), "its label")
    assert operator.apply(own)
    refused(lambda: operator.delete("stash.appscode.com/v1alpha1/Repository", "own", namespace=place), "never deletes")


def test_the_operator_writes_no_secret_but_a_copy_of_its_own(plane: ControlPlane, admin: ApiClient, place: str) -> None:
    operator = plane.client("operator")

    def secret(name: str, **more: Any) -> Object:
        own = {"app.kubernetes.io/managed-by": "autobackup"}
        metadata = {"name": name, "namespace": place, "labels": more.pop("labels", own)}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"a": "b"}, **more}

    admin.create(secret("foreign", labels={}))
    refused(lambda: operator.create(secret("x", labels={})), "its label")
    refused(lambda: operator.apply(secret("foreign"), force=True), "its label")
    refused(lambda: operator.delete("v1/Secret", "foreign", namespace=place), "its label")
    token = {"kubernetes.io/service-account.name": "default"}
    fake = secret("token", type="kubernetes.io/service-account-token")
    fake["metadata"]["annotations"] = token
    refused(lambda: operator.create(fake), "only Secrets of type Opaque")
    assert operator.create(secret("own"))
    operator.delete("v1/Secret", "own", namespace=place)


def repository(namespace: str, name: str, labels: Object) -> Object:
    return {
        "apiVersion": "stash.appscode.com/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"backend": {"s3": {"endpoint": "s3.example.com", "bucket": "b"}, "storageSecretName": "s"}},
    }


# --- namespaces that name a blueprint, and what an earlier one left


def test_who_names_a_blueprint_for_a_namespace_needs_the_verb_there(
    plane: ControlPlane, admin: ApiClient, place: str
) -> None:
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch"]}]
    for user in ("alice", "bob"):
        grant(admin, plane.users[user], rules)
        wait_for(lambda user=user: _done(lambda: plane.client(user).get("v1/Namespace", place)), what="the right")
    refused(
        lambda: plane.client("bob").annotate("v1/Namespace", place, {BLUEPRINT: "nightly"}), "user bob may not name"
    )
    alice = plane.client("alice")
    refused(lambda: alice.annotate("v1/Namespace", place, {BLUEPRINT: "weekly"}), "user alice may not name")
    assert alice.annotate("v1/Namespace", place, {BLUEPRINT: "nightly"})
    assert plane.client("bob").annotate("v1/Namespace", place, {BLUEPRINT: None})
    assert plane.client("bob").apply(claim(place, {BLUEPRINT: "-"})), "to opt out takes no right"


def test_who_adopts_a_repository_needs_the_verb(plane: ControlPlane, admin: ApiClient, place: str) -> None:
    kind, uid = "stash.appscode.com/v1alpha1/Repository", "autobackup.stash.appscode.com/namespace-uid"
    backend = {"s3": {"endpoint": "s3.example.com", "bucket": "b"}, "storageSecretName": "s"}
    body = {"apiVersion": "stash.appscode.com/v1alpha1", "kind": "Repository", "spec": {"backend": backend}}
    admin.create({**body, "metadata": {"name": "old", "namespace": place, "annotations": {uid: "then"}}})
    (role,) = (each.content for each in render() if each.name == "autobackup-adopter")
    grant(admin, plane.users["alice"], role["rules"], namespace=place)
    without = [{**rule, "verbs": ["get", "list", "patch"]} for rule in role["rules"]]
    grant(admin, plane.users["bob"], without, namespace=place)
    for user in ("alice", "bob"):
        found = lambda user=user: plane.client(user).get(kind, "old", namespace=place)  # noqa: E731
        wait_for(lambda found=found: _done(found), what=f"{user} to have rights")
    bob = plane.client("bob")
    assert bob.annotate(kind, "old", {"example.com/other": "x"}, namespace=place)
    for value in ("now", None):
        refused(
            lambda value=value: bob.annotate(kind, "old", {uid: value}, namespace=place),
            'which namespace the Repository old belongs to: that takes the verb "adopt"',
            wait=True,
        )
    assert plane.client("alice").annotate(kind, "old", {uid: "now"}, namespace=place)


# --- modes, and CRDs that go


@pytest.mark.parametrize(
    ("mode", "actions"), [("Deny", ["Deny", "Audit"]), ("Warn", ["Warn", "Audit"]), ("Audit", ["Audit"])]
)
def test_a_mode_is_what_the_binding_does(mode: str, actions: list[str]) -> None:
    (binding,) = (
        each
        for each in policies(annotations={"mode": mode})
        if each["kind"].endswith("Binding") and each["metadata"]["name"] == "autobackup-annotations"
    )
    assert binding["spec"]["validationActions"] == actions


def test_by_default_a_typing_mistake_is_only_told_and_everybody_may_name_blueprints() -> None:
    names = {each["metadata"]["name"]: each for each in policies() if each["kind"].endswith("Binding")}
    assert "Deny" not in names["autobackup-annotations"]["spec"]["validationActions"]
    assert "autobackup-blueprint-use" not in names


def test_no_policy_depends_on_a_kind_that_may_be_gone() -> None:
    found = [each for each in policies(blueprintUse={"enabled": True}) if not each["kind"].endswith("Binding")]
    assert len(found) == 5
    for each in found:
        assert "paramKind" not in each["spec"]
        assert each["spec"]["failurePolicy"] == "Fail"


def test_crds_go_only_when_confirmed_and_do_not_take_the_cluster_with_them(
    plane: ControlPlane, admin: ApiClient, place: str
) -> None:
    """Last here: afterwards there are no CRDs."""
    names = [each["metadata"]["name"] for each in admin.list(CRD)]
    ours = [name for name in names if name.endswith(".stash.appscode.com")]
    assert len(ours) == 5
    for name in (ours[0], "appbindings.appcatalog.appscode.com"):
        refused(
            lambda name=name: admin.delete(CRD, name), f"kubectl annotate crd {name} {CONFIRM}=and-lose-all-objects"
        )
    refused(
        lambda: admin.request("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
        "deletes every object",
    )
    for name in names:
        if admin.find(CRD, name) is not None:
            admin.annotate(CRD, name, {CONFIRM: "and-lose-all-objects"})
            remove_crd(admin, name)
    bob = plane.client("bob")
    assert bob.apply(deployment(place, {"example.com/other": "x"}))
    assert bob.apply(claim(place))
    refused(lambda: bob.apply(deployment(place, {BLUEPRINT: "nightly"}, "other")), "user bob may not name")
