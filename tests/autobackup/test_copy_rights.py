"""The operator's account with the shipped roles, those for copies among them: what it may not do, tried one by one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.autobackup import probes
from tests.autobackup.copying import CONTENT, SECRET, allow, blueprint_from, copied, make_source
from tests.autobackup.stage import Stage
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ApiClient, ApiFailure, ControlPlane, wait_for

PASSWORD = "RESTIC_PASSWORD"
APPLY = "application/apply-patch+yaml"
ANNOTATION = "stash.appscode.com/backup-blueprint"


@pytest.fixture
def vault(plane: ControlPlane, account: Path, scene: Stage) -> Iterator[str]:
    """A source, the right to read it, and that to copies named `storage` in the scene's namespace."""
    name = unique_name("vault")
    create_namespace(scene.api, name)
    allow(scene.api, "source", name, ["bucket"])
    allow(scene.api, "copies", scene.namespace, ["storage"])
    make_source(scene.api, name, "bucket", CONTENT)
    yield name
    remove_namespace(scene.api, name)


def forbidden(own: str, vault: str) -> list[tuple[str, str, str]]:
    """Requests that must be refused: verb, path, content type of the body."""
    secrets, elsewhere = f"/api/v1/namespaces/{own}/secrets", "/api/v1/namespaces/kube-system/secrets"
    source = f"/api/v1/namespaces/{vault}/secrets"
    rbac, apps = "/apis/rbac.authorization.k8s.io/v1", f"/apis/apps/v1/namespaces/{own}"
    stash = "/apis/stash.appscode.com"
    admission = "/apis/admissionregistration.k8s.io/v1"
    json = "application/json"
    return [
        # all Secrets
        ("GET", "/api/v1/secrets", ""),
        ("GET", "/api/v1/secrets?watch=true", ""),
        ("GET", secrets, ""),
        ("GET", f"{secrets}?watch=true", ""),
        ("GET", f"{secrets}?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dautobackup", ""),
        ("GET", f"{secrets}?fieldSelector=metadata.name%3Dstorage", ""),
        ("GET", f"{secrets}?fieldSelector=type%3DOpaque", ""),
        ("GET", elsewhere, ""),
        ("GET", source, ""),
        ("DELETE", secrets, json),
        # other Secrets, beside the copies
        ("GET", f"{secrets}/other", ""),
        ("PATCH", f"{secrets}/other?fieldManager=x", APPLY),
        ("PATCH", f"{secrets}/new?fieldManager=x", APPLY),
        ("PUT", f"{secrets}/other", json),
        ("PUT", f"{secrets}/storage", json),
        ("POST", secrets, json),
        ("DELETE", f"{secrets}/other", json),
        # the source, and what is beside it
        ("PATCH", f"{source}/bucket?fieldManager=x", APPLY),
        ("PUT", f"{source}/bucket", json),
        ("DELETE", f"{source}/bucket", json),
        ("GET", f"{source}/storage", ""),
        ("PATCH", f"{source}/storage?fieldManager=x", APPLY),
        # the names of copies in other namespaces
        ("GET", f"{elsewhere}/storage", ""),
        ("PATCH", f"{elsewhere}/storage?fieldManager=x", APPLY),
        ("DELETE", f"{elsewhere}/storage", json),
        # ways around
        ("POST", f"/api/v1/namespaces/{own}/serviceaccounts/default/token", json),
        ("POST", "/api/v1/namespaces/autobackup-system/serviceaccounts/autobackup/token", json),
        ("POST", f"/api/v1/namespaces/{own}/pods", json),
        ("POST", f"/api/v1/namespaces/{own}/pods/any/exec", json),
        ("GET", f"/api/v1/namespaces/{own}/pods/any/log", ""),
        ("GET", f"/api/v1/namespaces/{own}/configmaps", ""),
        ("POST", f"/api/v1/namespaces/{own}/configmaps", json),
        ("GET", "/api/v1/nodes", ""),
        ("POST", "/api/v1/namespaces", json),
        ("DELETE", f"/api/v1/namespaces/{own}", json),
        ("POST", f"{rbac}/namespaces/{own}/roles", json),
        ("POST", f"{rbac}/namespaces/{own}/rolebindings", json),
        ("POST", f"{rbac}/clusterrolebindings", json),
        ("PATCH", f"{rbac}/namespaces/{own}/roles/copies-storage?fieldManager=x", APPLY),
        ("PATCH", f"{rbac}/clusterroles/autobackup-targets?fieldManager=x", APPLY),
        ("POST", "/apis/batch/v1/namespaces/default/jobs", json),
        ("POST", f"{apps}/deployments", json),
        ("PATCH", f"{apps}/deployments/any?fieldManager=x", APPLY),
        ("DELETE", f"{apps}/deployments/any", json),
        ("POST", f"{stash}/v1beta1/backupblueprints", json),
        ("PATCH", f"{stash}/v1beta1/backupblueprints/any?fieldManager=x", APPLY),
        ("DELETE", f"{stash}/v1alpha1/namespaces/{own}/repositories/any", json),
        ("DELETE", f"{admission}/validatingadmissionpolicies/autobackup-operator-fence", json),
        ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", json),
    ]


def refuses(client: ApiClient, verb: str, path: str, content_type: str) -> bool:
    where, _, _ = path.partition("?")
    metadata = {"name": where.rsplit("/", 1)[1] if verb in ("PATCH", "PUT") else "x"}
    body: dict[str, Any] | None = None
    if content_type == APPLY:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}}
    elif content_type:
        body = {"apiVersion": "v1", "kind": "Any", "metadata": metadata}
    try:
        client.request(verb, path, body=body, **({"content_type": content_type} if content_type == APPLY else {}))
    except ApiFailure as failure:
        return failure.status == 403
    return False


def test_forty_things_that_the_operator_may_not_do(plane: ControlPlane, scene: Stage, vault: str) -> None:
    tried = forbidden(scene.namespace, vault)
    assert len(set(tried)) >= 40
    make_source(scene.api, scene.namespace, "other", CONTENT, labels={})
    client = plane.client("operator")
    # The rights are there: what is refused is refused for what it is.
    wait_for(lambda: client.get(SECRET, "bucket", namespace=vault), what="the rights to be in force")
    allowed = [f"{verb} {path}" for verb, path, content in tried if not refuses(client, verb, path, content)]
    assert allowed == []


def test_every_right_to_secrets_is_used_and_nothing_beyond_is_asked_for(
    plane: ControlPlane, account: Path, scene: Stage, vault: str
) -> None:
    mark = plane.audit_log.mark()
    with OperatorProcess(account) as operator:
        blueprint = blueprint_from(scene, vault, "bucket")
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.configured("pvc-data")
        copied(scene, scene.namespace)
        scene.annotate("PersistentVolumeClaim", "data", blueprint=None)
        wait_for(lambda: not scene.api.find(SECRET, "storage", namespace=scene.namespace), 20, what="the copy to go")
        assert operator.exit_code is None, operator.tail()
    asked = [event for event in plane.audit_log.requests(mark, user=OPERATOR) if event.resource == "secrets"]
    assert {(event.verb, event.namespace, event.name) for event in asked} == {
        ("get", vault, "bucket"),
        ("watch", vault, "bucket"),
        ("get", scene.namespace, "storage"),
        ("patch", scene.namespace, "storage"),
        ("delete", scene.namespace, "storage"),
    }
    assert not [event.uri for event in asked if event.is_denied]


def test_content_is_told_nowhere(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Copies are made, cannot be made, and fail: not a value of them in log, metrics, Events, statuses or objects."""
    canary = "canary-9cZ27wk"
    vault, closed = unique_name("vault"), unique_name("closed")
    for namespace in (vault, closed):
        create_namespace(scene.api, namespace)
    allow(scene.api, "source", vault, ["bucket"])
    allow(scene.api, "copies", scene.namespace, ["storage"])
    content = dict.fromkeys(CONTENT, canary) | {PASSWORD: f"{canary}-master"}
    make_source(scene.api, vault, "bucket", content, annotations={"note": canary})
    elsewhere = Stage(scene.api, closed)
    with OperatorProcess(account, *probes.SERVE) as process:
        blueprint = blueprint_from(scene, vault, "bucket")
        for stage in (scene, elsewhere):
            stage.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.configured("pvc-data")
        copy = copied(scene, scene.namespace)
        scene.api.annotate(SECRET, "bucket", {"again": "1"}, namespace=vault)
        wait_for(lambda: scene.api.get(SECRET, "storage", namespace=scene.namespace) != copy, what="the copy to follow")
        elsewhere.event("data", "StorageSecretForbidden")
        page = probes.fetch(probes.url(process, "metricsAddress") + "/metrics")[1]
        told = {"log": process.log(), "metrics": page, "status": json.dumps(scene.blueprint_status(blueprint))}
        told["events"] = json.dumps([*scene.events(), *elsewhere.events()])
        told["objects"] = json.dumps([*scene.repositories(), *scene.configurations(), *elsewhere.repositories()])
        told["marks"] = json.dumps(scene.api.get(SECRET, "storage", namespace=scene.namespace)["metadata"])
    for namespace in (vault, closed):
        remove_namespace(scene.api, namespace)
    assert 'autobackup_secret_copies{state="Found"} 1.0' in told["metrics"]
    encoded = base64.b64encode(canary.encode()).decode()
    hidden = (canary, encoded.rstrip("="), encoded[:16])
    assert [where for where, text in told.items() if any(each in text for each in hidden)] == []


def test_a_new_process_writes_nothing_and_reads_no_content(
    plane: ControlPlane, account: Path, scene: Stage, vault: str
) -> None:
    with OperatorProcess(account):
        blueprint = blueprint_from(scene, vault, "bucket")
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.configured("pvc-data")
        before = copied(scene, scene.namespace)
        scene.settled(blueprint, configured=1)
        wait_for(
            lambda: scene.condition(blueprint, "StorageSecretsFound").get("status") == "True",
            what="the status to be as it stays",
        )
    mark = plane.audit_log.mark()
    with OperatorProcess(account):
        wait_for(
            lambda: [
                event
                for event in plane.audit_log.requests(mark, user=OPERATOR, resource="secrets")
                if event.name == "storage"
            ],
            what="the new process to look at the copy",
        )
        scene.create("PersistentVolumeClaim", "later", {ANNOTATION: blueprint})
        scene.configured("pvc-later")
    asked = plane.audit_log.requests(mark, user=OPERATOR, resource="secrets")
    assert {event.verb for event in asked} == {"get", "watch"}
    assert scene.api.get(SECRET, "storage", namespace=scene.namespace) == before
