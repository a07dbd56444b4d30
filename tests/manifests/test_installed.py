"""The default overlay on a real API server: accepted as it stands, and enough for the operator to work with."""

from __future__ import annotations

import copy
import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.autobackup import probes
from tests.autobackup.stage import Stage
from tests.manifests.conftest import OPERATOR
from tests.manifests.promql import family, metrics
from tests.manifests.test_alerts import expressions
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ApiFailure, ControlPlane, User, wait_for
from tools.manifests import render
from tools.manifests.chart import NAMESPACE

Object = dict[str, Any]


def pod_of(objects: list[Object]) -> Object:
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    template = copy.deepcopy(deployment["spec"]["template"])
    template["metadata"] |= {"name": "replica", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", **template}


def test_every_field_is_known_to_the_server(admin: ApiClient, objects: list[Object]) -> None:
    for each in objects:
        kept = admin.apply(each, dry_run=True, force=True, manager="again")
        assert kept["metadata"]["name"] == each["metadata"]["name"]


def test_the_pod_is_admitted_where_only_restricted_pods_are(admin: ApiClient, objects: list[Object]) -> None:
    assert admin.apply(pod_of(objects), dry_run=True)["spec"]["serviceAccountName"] == "autobackup"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pod: pod["spec"]["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
        lambda pod: pod["spec"]["containers"][0]["securityContext"].pop("capabilities"),
        lambda pod: pod["spec"].update(hostNetwork=True),
    ],
)
def test_another_pod_is_not(admin: ApiClient, objects: list[Object], spoil: Any) -> None:
    pod = pod_of(objects)
    spoil(pod)
    with pytest.raises(ApiFailure, match="violates PodSecurity"):
        admin.apply(pod, dry_run=True)


@pytest.mark.parametrize("values", [{"namespaces": ["default"]}, {"metrics": {"secure": False}}])
def test_other_values_are_accepted_as_well(admin: ApiClient, values: Object) -> None:
    for each in render({**values, "crds": {"enabled": False}}):
        assert admin.apply(each.content, dry_run=True, force=True, manager="again")


def test_the_policies_have_no_mistakes_that_the_server_can_find(admin: ApiClient, plane: ControlPlane) -> None:
    """The expressions are valid for the kinds that they match."""
    kind = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
    plane.start_controllers(("validatingadmissionpolicy-status-controller",))
    try:
        policies = admin.list(kind)
        assert policies
        for policy in policies:
            name = policy["metadata"]["name"]
            checked = wait_for(
                lambda name=name: _status_when(admin.get(kind, name), "typeChecking"),
                20,
                what=f"{name} to be checked",
            )
            assert checked["typeChecking"].get("expressionWarnings", []) == []
    finally:
        plane.stop_controllers()


def test_the_rights_are_enough_and_the_policies_let_the_operator_work(
    plane: ControlPlane, admin: ApiClient, config_file: Path, stage: Stage
) -> None:
    reader = plane.users["alice"]
    admin.apply(bound("autobackup-metrics-reader", reader), manager="tests")
    mark = plane.audit_log.mark()
    with OperatorProcess(plane.kubeconfig("operator"), f"--config={config_file}", *probes.SERVE) as process:
        probes.started(process)
        blueprint = stage.blueprint()
        stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
        stage.configured("deploy-shop")
        stage.create("PersistentVolumeClaim", "bad", {"stash.appscode.com/backup-blueprint": f"{blueprint}-is-absent"})
        stage.event("bad", "BlueprintNotFound")
        stage.annotate("Deployment", "shop", blueprint=None)
        stage.gone("deploy-shop")
        address = probes.url(process, "metricsAddress") + "/metrics"
        assert address.startswith("https://")
        served = set(re.findall(r"^# TYPE (\S+)", scrape(address, reader), re.MULTILINE))
        asked = {family(name) for _, expression in expressions() for name in metrics(expression)}
        assert asked - served == {"up"}
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            scrape(address, plane.users["bob"])
        refused.value.close()
        assert process.terminate() == 0, process.tail()
    events = plane.audit_log.requests(mark, user=OPERATOR)
    assert [each for each in events if each.is_denied] == []
    lease = admin.get("coordination.k8s.io/v1/Lease", "autobackup", namespace=NAMESPACE)
    assert not lease["spec"].get("holderIdentity")


def _status_when(found: Object, field: str) -> Object | None:
    status: Object = found.get("status", {})
    return status if field in status else None


def bound(role: str, user: User) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{role}-{user.name}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user.name}],
    }


def scrape(address: str, user: User) -> str:
    unverified = ssl._create_unverified_context()
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {user.token}"})
    with urllib.request.urlopen(request, timeout=10, context=unverified) as answer:
        text: str = answer.read().decode()
        return text
