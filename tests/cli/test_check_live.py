"""`autobackup check` and `/readyz`: one thing after the other is wrong with an installation on a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobackup.rights import needed
from controller.serverversion import OLDEST
from tests.autobackup import probes
from tests.cli.conftest import ROOT, Command
from tests.support.cluster import create_namespace, grant
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Answer
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, install_crds, wait_for

pytestmark = pytest.mark.cluster

Object = dict[str, Any]
CRD = "apiextensions.k8s.io/v1/CustomResourceDefinition"
BLUEPRINT = "stash.appscode.com/v1beta1/BackupBlueprint"
LEASE = "coordination.k8s.io/v1/Lease"
ROLE = "rbac.authorization.k8s.io/v1/ClusterRole"
SYSTEM = "autobackup-system"
RBAC = ROOT / "manifests" / "rbac"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane with everything installed and nothing running; a test puts back what it breaks."""
    with ControlPlane() as started:
        api = started.client("admin")
        install_crds(api)
        create_namespace(api, SYSTEM)
        for role in roles():
            api.apply(role, manager="tests", force=True)
            name = role["metadata"]["name"]
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            api.create(
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": name},
                    "roleRef": reference,
                    "subjects": [{"kind": "ServiceAccount", "name": "autobackup", "namespace": SYSTEM}],
                }
            )
        yield started


@pytest.fixture(scope="module")
def admin(plane: ControlPlane) -> ApiClient:
    return plane.client("admin")


Check = Callable[..., tuple[int, dict[str, list[Object]]]]


@pytest.fixture
def check(plane: ControlPlane, command: Command) -> Check:
    """Run it, as the administrator unless told otherwise: exit code, and the findings by check."""

    def run(*arguments: object, kubeconfig: Path | None = None) -> tuple[int, dict[str, list[Object]]]:
        ended = command("check", "-o", "json", "--kubeconfig", kubeconfig or plane.kubeconfig("admin"), *arguments)
        assert ended.err == ""
        document = json.loads(ended.out)
        assert document["ok"] is (ended.code == 0)
        found: dict[str, list[Object]] = {}
        for finding in document["findings"]:
            assert set(finding) == {"check", "level", "message", "remedy"}
            found.setdefault(finding["check"], []).append(finding)
        return ended.code, found

    return run


def roles() -> list[Object]:
    """The shipped roles of the operator itself."""
    files = (*sorted(RBAC.glob("*.yaml")), *sorted((RBAC / "metrics").glob("*.yaml")))
    found = [yaml.safe_load(file.read_text()) for file in files]
    return [role for role in found if role["kind"] == "ClusterRole" and "nonResourceURLs" not in str(role)]


def test_the_rights_that_are_checked_are_those_that_the_shipped_roles_give() -> None:
    given = {
        (verb, group, resource)
        for role in roles()
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    checked = {
        (
            right.verb,
            right.resource.group,
            right.resource.plural + (f"/{right.subresource}" if right.subresource else ""),
        )
        for right in needed(namespaces=(), lease_namespace=SYSTEM, lease="autobackup")
    }
    assert checked == given


def test_all_is_well(check: Check) -> None:
    code, found = check()
    assert code == 0
    assert set(found) == {"server", "clock", "crds", "rights", "leader", "policies", "blueprints"}
    assert [finding["level"] for name in found for finding in found[name] if name != "leader"] == ["ok"] * 6
    # Nobody has ever led here: that is how it is before an operator runs, and with one that runs alone.
    assert found["leader"][0]["level"] == "warn"
    assert "Lease autobackup-system/autobackup" in found["leader"][0]["message"]


def test_the_table_has_the_way_out_and_no_colours_in_a_pipe(plane: ControlPlane, command: Command) -> None:
    ended = command("check", "--kubeconfig", plane.kubeconfig("admin"), "-n", "elsewhere")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0].startswith("ok    server     v1.")
    at = next(number for number, text in enumerate(lines) if text.startswith("fail  rights "))
    assert "system:serviceaccount:elsewhere:autobackup has none of the rights" in lines[at]
    assert lines[at + 1].strip().startswith("-> bind the roles in manifests/rbac")
    assert "\x1b" not in ended.out
    assert yaml.safe_load(command("check", "--kubeconfig", plane.kubeconfig("admin"), "-o", "yaml").out)["ok"] is True


def test_who_may_not_look_is_told_what_was_not_seen(plane: ControlPlane, check: Check) -> None:
    code, found = check(kubeconfig=plane.kubeconfig("bob"))
    assert code == 0, "not to know is not a failure"
    assert found["server"][0]["level"] == "ok"
    assert "not looked at: you may not get CRDs" in found["crds"][0]["message"]
    rights = found["rights"][0]
    assert rights["level"] == "warn"
    assert "your own rights say nothing about the operator's" in rights["message"]
    for name in ("leader", "policies", "blueprints"):
        assert found[name][0]["level"] == "warn"
        assert "not looked at" in found[name][0]["message"]


def test_a_right_that_is_missing_is_named(admin: ApiClient, check: Check) -> None:
    name = "autobackup-blueprints"
    before = admin.get(ROLE, name)["rules"]
    without = [rule for rule in before if rule["resources"] != ["backupblueprints/status"]]
    assert len(without) < len(before)
    admin.patch(ROLE, name, {"rules": without})
    try:

        def seen() -> bool:
            code, found = check()
            assert code == 1
            told = [finding["message"] for finding in found["rights"] if finding["level"] == "fail"]
            assert told == [
                "system:serviceaccount:autobackup-system:autobackup may not patch backupblueprints/status"
            ], told
            return True

        wait_for(seen, 20, what="the missing right to be seen")
    finally:
        admin.patch(ROLE, name, {"rules": before})
    wait_for(lambda: check()[0] == 0, 20, what="the right to be back")


def test_rights_in_some_namespaces_only(admin: ApiClient, plane: ControlPlane, check: Check) -> None:
    create_namespace(admin, "shop")
    everywhere = check("--service-account", "shop/other", "--namespaces", "shop")
    assert everywhere[0] == 1
    cluster = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    name = grant(admin, plane.users["operator"], cluster, namespace="shop")
    subjects = [{"kind": "ServiceAccount", "name": "other", "namespace": "shop"}]
    admin.patch("rbac.authorization.k8s.io/v1/RoleBinding", name, {"subjects": subjects}, namespace="shop")

    def seen() -> bool:
        _, found = check("--service-account", "shop/other", "--namespaces", "shop")
        told = found["rights"][0]["message"]
        assert "list, watch backupblueprints.stash.appscode.com" in told
        assert "create, patch events.events.k8s.io in namespace default" in told
        assert "deployments.apps" not in told
        return True

    wait_for(seen, 20, what="only what is outside the namespace to be missing")


def test_a_crd_that_is_missing_or_somebody_elses(admin: ApiClient, check: Check) -> None:
    name = "backupblueprints.stash.appscode.com"
    ours = admin.get(CRD, name)
    (version,) = ours["spec"]["versions"]
    foreign = json.loads(json.dumps(version))
    del foreign["subresources"]
    admin.patch(CRD, name, [{"op": "replace", "path": "/spec/versions/0", "value": foreign}], patch_type="json")
    try:
        code, found = check()
        assert code == 1
        assert "BackupBlueprint has no status" in found["crds"][0]["message"]
        assert "kubectl apply --server-side -f manifests/crds" in found["crds"][0]["remedy"]
        foreign = json.loads(json.dumps(version))
        del foreign["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["matched"]
        admin.patch(CRD, name, [{"op": "replace", "path": "/spec/versions/0", "value": foreign}], patch_type="json")
        assert "lacks status.matched" in check()[1]["crds"][0]["message"]
    finally:
        admin.patch(CRD, name, [{"op": "replace", "path": "/spec/versions/0", "value": version}], patch_type="json")
    assert check()[1]["crds"][0]["level"] == "ok"


def test_the_leader(admin: ApiClient, check: Check) -> None:
    def lease(holder: str, *, ago: float = 0.0) -> Object:
        renewed = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="microseconds")
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed.replace("+00:00", "Z")}
        metadata = {"name": "autobackup", "namespace": SYSTEM}
        admin.apply(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec},
            manager="tests",
            force=True,
        )
        code, found = check()
        assert code == (found["leader"][0]["level"] == "fail")
        told: Object = found["leader"][0]
        return told

    try:
        fresh = lease("pod-a-1f2e")
        assert fresh["level"] == "ok"
        assert "pod-a-1f2e" in fresh["message"]
        stale = lease("pod-a-1f2e", ago=60)
        assert stale["level"] == "fail"
        assert "nobody leads: pod-a-1f2e renewed" in stale["message"]
        assert "kubectl -n autobackup-system get pods" in stale["remedy"]
        assert "was given back" in lease("")["message"]
    finally:
        admin.delete(LEASE, "autobackup", namespace=SYSTEM)


def test_a_policy_that_has_no_effect(admin: ApiClient, check: Check) -> None:
    policy = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    metadata = {"name": "autobackup-tested", "labels": {"app.kubernetes.io/name": "autobackup"}}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "true"}]}
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy"}
    admin.create({**body, "metadata": metadata, "spec": spec})
    try:
        code, found = check()
        assert code == 1
        assert "autobackup-tested is not bound" in found["policies"][0]["message"]
        binding = {"policyName": "autobackup-tested", "validationActions": ["Deny"]}
        admin.create({**body, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata, "spec": binding})
        assert check()[1]["policies"][0]["message"] == "1 installed and bound"
    finally:
        admin.delete(policy, "autobackup-tested")
        admin.delete(policy + "Binding", "autobackup-tested")


def test_what_is_left_of_a_blueprint_that_is_gone(admin: ApiClient, check: Check) -> None:
    left = {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupConfiguration",
        "metadata": {
            "name": "deploy-shop",
            "namespace": "default",
            "labels": {"app.kubernetes.io/managed-by": "autobackup"},
            "annotations": {
                "autobackup.stash.appscode.com/target": "Deployment/default/shop",
                "autobackup.stash.appscode.com/blueprint": "weekly",
            },
        },
        "spec": {
            "repository": {"name": "deploy-shop"},
            "retentionPolicy": {"name": "keep", "keepLast": 3, "prune": True},
        },
    }
    admin.create(left)
    try:
        code, found = check()
        [told] = [each for each in found["blueprints"] if each["level"] == "warn"]
        assert code == 0
        assert told["message"] == (
            "BackupBlueprint weekly does not exist, and what it made stays as it is: BackupConfigurations of 1 target, "
            "such as Deployment default/shop"
        )
        assert "autobackup explain" in told["remedy"]
    finally:
        admin.delete("stash.appscode.com/v1beta1/BackupConfiguration", "deploy-shop", namespace="default")


def test_blueprints_that_are_not_ready(admin: ApiClient, check: Check) -> None:
    spec = {
        "backend": {"s3": {"endpoint": "e", "bucket": "b", "prefix": "p"}, "storageSecretName": "storage"},
        "retentionPolicy": {"name": "keep", "keepLast": 3, "prune": True},
    }
    made = admin.create(
        {
            "apiVersion": "stash.appscode.com/v1beta1",
            "kind": "BackupBlueprint",
            "metadata": {"name": "nightly"},
            "spec": spec,
        }
    )

    def status(ready: str, kind: str = "Ready", **more: int) -> None:
        condition = {
            "type": kind,
            "status": ready,
            "reason": "Told",
            "message": "spec.backend: because",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": made["metadata"]["generation"],
        }
        document = {"status": {"conditions": [condition], "observedGeneration": 1, **more}}
        admin.patch(BLUEPRINT, "nightly", document, subresource="status")

    try:
        code, found = check()
        assert code == 0
        assert "no operator has looked at BackupBlueprint nightly" in found["blueprints"][0]["message"]
        status("False")
        code, found = check()
        assert code == 1
        assert found["blueprints"][0]["message"] == "BackupBlueprint nightly: spec.backend: because"
        status("True", matched=3, configured=1, failed=2, pending=0)
        code, found = check()
        assert code == 0
        assert "2 of its targets cannot be configured" in found["blueprints"][0]["message"]
        status("False", "StorageSecretSource")
        told = [finding["message"] for finding in check()[1]["blueprints"]]
        assert "BackupBlueprint nightly: spec.backend: because" in told, (
            "what the operator says is missing is passed on"
        )
        status("True", matched=3, configured=3, failed=0, pending=0)
        assert found["blueprints"][0]["level"] == "warn"
        assert check()[1]["blueprints"][0]["message"] == "1, all ready"
    finally:
        admin.delete(BLUEPRINT, "nightly")


def test_an_old_server_and_a_wrong_clock(plane: ControlPlane, check: Check) -> None:
    old = json.dumps({"major": "1", "minor": "28+", "gitVersion": "v1.28.9-gke.1"}).encode()
    headers = {"Content-Type": "application/json", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    with FaultProxy(plane.apiserver) as proxy:
        proxy.rule(Answer(200, old, headers), path="/version", times=None)
        code, found = check(kubeconfig=plane.kubeconfig("admin", server=proxy.url))
    assert code == 1
    assert "v1.28.9-gke.1, which is not supported: 1.30 is the oldest" in found["server"][0]["message"]
    assert found["clock"][0]["level"] == "fail"
    assert "ahead of the API server's" in found["clock"][0]["message"]
    assert OLDEST == (1, 30)


def test_a_server_that_is_not_there(command: Command, tmp_path: Path, plane: ControlPlane) -> None:
    ended = command("check", "--kubeconfig", plane.kubeconfig("admin", server="https://127.0.0.1:1"))
    assert (ended.code, ended.out) == (3, "")
    assert "127.0.0.1:1" in ended.err
    assert "is this the cluster that you mean (--context, --kubeconfig), and does it run?" in ended.err
    ended = command("check", "--kubeconfig", tmp_path / "nothing")
    assert (ended.code, ended.out) == (3, "")
    assert command("check", "--service-account", "nobody", "--kubeconfig", plane.kubeconfig("admin")).code == 2


# --- the same faults as the operator itself tells them


def becomes(process: OperatorProcess, *texts: str, status: int = 500) -> None:
    def so() -> bool:
        found, told = probes.probe(process, "/readyz?verbose")
        assert found == status, told
        for text in texts:
            assert text in told, told
        return True

    wait_for(so, 60, what=f"/readyz to answer {status} with {texts}", state=process.tail)


HEALTH = ("--health-address=127.0.0.1:0", "--metrics-address=off")


@pytest.mark.slow
def test_readiness_names_missing_crds_and_rights_and_an_old_server() -> None:
    with ControlPlane() as bare:
        with OperatorProcess(bare.kubeconfig("admin"), *HEALTH) as process:
            becomes(
                process,
                "[-]caches failed: backupblueprints, repositories, backupconfigurations: not served by the API server; "
                "install the CRDs: kubectl apply --server-side -f manifests/crds\n",
                "[+]server-version ok",
            )
        with OperatorProcess(bare.kubeconfig("alice"), *HEALTH) as process:
            becomes(process, "deployments, ", "403, this account may not list and watch it; grant it the rights")
            assert 'User \\"alice\\" cannot watch resource' in process.log()
        install_crds(bare.client("admin"))
        old = json.dumps({"major": "1", "minor": "29", "gitVersion": "v1.29.1"}).encode()
        with FaultProxy(bare.apiserver) as proxy:
            rule = proxy.rule(Answer(200, old), path="/version", times=None)
            with OperatorProcess(bare.kubeconfig("admin", server=proxy.url), *HEALTH) as process:
                proxy.wait_for_hits(rule)
                told = "[-]server-version failed: the API server is v1.29.1, which is not supported"
                becomes(process, told, "[+]caches ok")
                assert "Unsupported API server" in process.log()
