"""The operator's rights: what manifests/rbac must not contain, and what the server asks for where it is not obvious."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import grant, unique_name
from tools.controlplane import ApiClient, ApiFailure, ControlPlane, read_manifests, wait_for
from tools.demo import rights

OURS = {"repositories", "backupconfigurations", "backupblueprints/status", "events"}
READ = {"get", "list", "watch"}


def rules() -> Iterator[tuple[str, str, set[str]]]:
    """Group, resource and verbs of every rule."""
    for role in read_manifests(rights.FOLDER):
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield group, resource, set(rule["verbs"])


LEASE = {"get", "watch", "create", "update"}


def test_only_our_own_kinds_may_be_written() -> None:
    assert {resource for _, resource, _ in rules()} >= OURS | {"leases"}
    for group, resource, verbs in rules():
        if resource == "leases":
            assert verbs == LEASE
            continue
        allowed = READ | {"create", "patch", "delete"} if resource in OURS else READ
        assert verbs <= allowed, f"{group}/{resource}: {verbs - allowed}"
        assert "*" not in (group, resource)


def test_the_lease_is_one_by_name() -> None:
    """Also its creation: a role without the name would let the operator make any Lease there."""
    named = [
        rule.get("resourceNames")
        for role in read_manifests(rights.FOLDER)
        for rule in role["rules"]
        if "leases" in rule["resources"]
    ]
    assert named == [["autobackup"]]


def test_no_secret_no_pod_and_no_deletion_of_a_repository() -> None:
    granted = {resource: verbs for _, resource, verbs in rules()}
    assert not {each for each in granted if each.partition("/")[0] in ("secrets", "pods")}
    assert granted["namespaces"] <= READ
    assert "delete" not in granted["repositories"]


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize(
    ("verbs", "allowed"),
    [(["patch"], False), (["create"], False), (["create", "patch"], True)],
    ids=["patch", "create", "create-and-patch"],
)
def test_to_apply_a_new_object_takes_create_and_patch(
    control_plane: ControlPlane, api: ApiClient, namespace: str, verbs: list[str], allowed: bool
) -> None:
    # Not the operator's own account: on the shared server other tests give that one its rights.
    user = control_plane.users["alice"]
    rule = {"apiGroups": ["stash.appscode.com"], "resources": ["repositories"], "verbs": verbs}
    grant(api, user, [rule], namespace=namespace)
    repository: dict[str, Any] = {
        "apiVersion": "stash.appscode.com/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": unique_name("repository"), "namespace": namespace},
        "spec": {"backend": {"s3": {"endpoint": "s3.example.com", "bucket": "b"}, "storageSecretName": "s"}},
    }
    with control_plane.client("alice") as operator:
        wait_for(lambda: _may(operator, namespace, verbs[-1]), what="the server to know of the role")
        if allowed:
            assert operator.apply(repository, force=False)["metadata"]["uid"]
            return
        with pytest.raises(ApiFailure) as refused:
            operator.apply(repository, force=False)
    assert refused.value.status == 403


def _may(client: ApiClient, namespace: str, verb: str) -> bool:
    attributes = {"group": "stash.appscode.com", "resource": "repositories", "verb": verb, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    return bool(answer["status"]["allowed"])
