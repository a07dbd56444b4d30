"""What the operator proves itself by, and whom it believes, changes while it runs: tokens and certificates.

The operator runs as in a pod: the files are replaced under it, as a kubelet does, and nobody restarts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, RECOVERY, SECONDS, Stage, grant_operator
from tests.support.cluster import create_namespace, unique_name
from tests.support.operator import OperatorProcess
from tests.support.pod import Pod
from tools.controlplane import OPERATOR, ApiClient, ApiFailure, ControlPlane, install_crds, wait_for

NAMESPACE = "autobackup-system"
FLAGS = (*probes.SERVE, "--leader-election=never")
"""A leader would end when the server is away for ten seconds, and its successor would read everything anew."""

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def place() -> Iterator[ControlPlane]:
    """A control plane whose certificate may be changed, with the operator's account as a real one."""
    with ControlPlane() as plane:
        api = plane.client("admin")
        install_crds(api)
        grant_operator(plane)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "autobackup"}}
        account["metadata"] |= {"namespace": NAMESPACE}  # type: ignore[operator]
        api.create(account)
        yield plane


def stage_on(place: ControlPlane, test: str) -> Stage:
    name = unique_name(test)
    create_namespace(place.client("admin"), name)
    return Stage(place.client("admin"), name)


def token_for(api: ApiClient, secret: str) -> str:
    """A token of the operator's account that is good for as long as this Secret exists."""
    made = api.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "namespace": NAMESPACE}})
    bound = {"apiVersion": "v1", "kind": "Secret", "name": secret, "uid": made["metadata"]["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600, "boundObjectRef": bound},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/autobackup/token"
    token: str = api.request("POST", path, body=request)["status"]["token"]
    return token


def end_token(place: ControlPlane, secret: str, token: str) -> None:
    """From now on the token is refused."""
    api = place.client("admin")
    api.delete("v1/Secret", secret, namespace=NAMESPACE)

    def refused() -> bool:
        with ApiClient(place.url, token=token, ca=place.apiserver.ca_file) as client:
            try:
                client.request("GET", "/version")
            except ApiFailure as failure:
                return failure.status == 401
        return False

    # The server remembers for ten seconds whom it knew.
    wait_for(refused, 30, what="the token to be refused")


def test_token_is_rotated_and_later_expires(place: ControlPlane, tmp_path: Path) -> None:
    stage = stage_on(place, "token")
    first = token_for(stage.api, "first")
    pod = Pod(tmp_path, place.url, token=first, ca=place.apiserver.ca_file.read_bytes(), namespace=NAMESPACE)
    blueprint = stage.blueprint()
    mark = place.audit_log.mark()
    with OperatorProcess(pod, *FLAGS) as process:
        stage.create("Deployment", "before", {ANNOTATION: blueprint})
        stage.configured("deploy-before")
        # Renewed in time, as a kubelet does: nobody notices that the old one is refused soon afterwards.
        pod.rotate(token=token_for(stage.api, "second"))
        second = (pod.folder / "token").read_text()
        end_token(place, "first", first)
        stage.create("Deployment", "rotated", {ANNOTATION: blueprint})
        stage.configured("deploy-rotated")
        assert not probes.complaints(process)
        # Not renewed in time: every request is refused, and the watches of a server that restarts are as well.
        end_token(place, "second", second)
        place.restart()
        stage.create("Deployment", "refused", {ANNOTATION: blueprint})
        stage.blueprint(blueprint, schedule="7 7 * * *")
        wait_for(
            lambda: any("401" in str(entry) for entry in probes.complaints(process)),
            RECOVERY,
            what="the operator to say that it is refused",
            state=process.tail,
        )
        assert process.exit_code is None
        assert stage.find_configuration("deploy-refused") is None
        pod.rotate(token=token_for(stage.api, "third"))
        oracle.agrees(stage, RECOVERY)
        oracle.no_duplicates(stage)
        assert process.exit_code is None
        for token in (first, second):
            assert token not in process.log()
    written = place.audit_log.writes(mark, user=OPERATOR, namespace=stage.namespace, resource="repositories")
    assert sorted(event.name for event in written if event.status < 300) == [
        "deploy-before",
        "deploy-refused",
        "deploy-rotated",
    ]
    stage.clean()


def test_authority_behind_the_servers_certificate_is_replaced(place: ControlPlane, tmp_path: Path) -> None:
    """The server comes back with a certificate by an issuer that the operator does not know yet; then it is told."""
    stage = stage_on(place, "authority")
    token = place.users["operator"].token
    pod = Pod(tmp_path, place.url, token=token, ca=place.apiserver.ca_file.read_bytes(), namespace=NAMESPACE)
    blueprint = stage.blueprint()
    with OperatorProcess(pod, *FLAGS) as process:
        stage.create("Deployment", "before", {ANNOTATION: blueprint})
        stage.configured("deploy-before")
        place.stop()
        place.apiserver.renew_certificate()
        place.apiserver.start()
        stage = Stage(place.client("admin"), stage.namespace)
        stage.create("Deployment", "meanwhile", {ANNOTATION: blueprint})
        stage.blueprint(blueprint, schedule="7 7 * * *")
        wait_for(
            lambda: "certificate" in probes.probe(process, "/readyz")[1],
            RECOVERY,
            what="the operator to say that it does not believe the server",
            state=process.tail,
        )
        mark = place.audit_log.mark()
        assert place.audit_log.requests(mark, user=OPERATOR) == [], "nothing is sent to whom it does not believe"
        assert probes.probe(process, "/livez") == (200, "ok")
        pod.rotate(ca=place.apiserver.ca_file.read_bytes())
        oracle.agrees(stage, RECOVERY)
        oracle.no_duplicates(stage)
        wait_for(lambda: probes.probe(process, "/readyz")[0] == 200, SECONDS, what="readiness", state=process.tail)
        written = place.audit_log.writes(mark, user=OPERATOR, namespace=stage.namespace, resource="repositories")
        assert [event.name for event in written if event.status < 300] == ["deploy-meanwhile"]
    stage.clean()
