"""Metrics and debug pages of a real operator, asked by real accounts of a real API server."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import selfsigned
from informers.clock import RealClock
from tests.cli.conftest import Command
from tests.support.cluster import create_namespace, grant, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, ControlPlane, install_crds, wait_for

ANNOTATION = "stash.appscode.com/backup-blueprint"
OPEN = ("--health-address=off", "--metrics-address=127.0.0.1:0", "--debug-endpoint")
SECURE = (*OPEN, "--metrics-secure")


def line(process: OperatorProcess, msg: str, **fields: object) -> dict[str, Any]:
    """The first line of the log with this message and these fields, as soon as it is there."""

    def found() -> Any:
        assert process.exit_code is None, process.tail()
        entries = [json.loads(text) for text in process.log().splitlines() if text.startswith("{") and text[-1] == "}"]
        return next((e for e in entries if e["msg"] == msg and fields.items() <= e.items()), None)

    entry: dict[str, Any] = wait_for(found, 30, what=f"{msg!r} in the log", state=process.tail)
    return entry


def address(process: OperatorProcess) -> str:
    url: str = line(process, "Serving", option="metricsAddress")["url"]
    return url


def ask(
    url: str, *, token: str = "", method: str = "GET", host: str = "", body: bytes | None = None
) -> tuple[int, str]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **({"Host": host} if host else {})}
    request = urllib.request.Request(url, method=method, headers=headers, data=body)
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def blueprint(name: str) -> dict[str, Any]:
    spec = {
        "backend": {
            "s3": {"endpoint": "s3.example.com", "bucket": "b", "prefix": "${TARGET_NAMESPACE}/${TARGET_NAME}"},
            "storageSecretName": "storage",
        },
        "schedule": "0 1 * * *",
        "retentionPolicy": {"name": "keep", "keepLast": 3, "prune": True},
    }
    return {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupBlueprint",
        "metadata": {"name": name},
        "spec": spec,
    }


def claim(namespace: str, name: str) -> dict[str, Any]:
    """A claim that names a blueprint."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace, "annotations": {ANNOTATION: name}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def may(verb: str, *paths: str) -> dict[str, Any]:
    return {"nonResourceURLs": list(paths), "verbs": [verb]}


@pytest.fixture(scope="module")
def secured(control_plane: ControlPlane, crds: list[str]) -> Iterator[OperatorProcess]:
    with OperatorProcess(control_plane.kubeconfig("admin"), *SECURE) as process:
        line(process, "Caches are complete")
        yield process


@pytest.fixture(scope="module")
def opened(control_plane: ControlPlane, crds: list[str]) -> Iterator[OperatorProcess]:
    """An operator without a guard, on a loopback address; do not stop it."""
    with OperatorProcess(control_plane.kubeconfig("admin"), *OPEN) as process:
        line(process, "Caches are complete")
        yield process


def test_metrics_are_for_whom_the_api_server_allows(
    secured: OperatorProcess, api: ApiClient, control_plane: ControlPlane
) -> None:
    url = address(secured)
    alice, bob = control_plane.users["alice"], control_plane.users["bob"]
    assert url.startswith("https://")
    assert ask(f"{url}/metrics")[0] == 401
    assert ask(f"{url}/metrics", token="nobody-has-this")[0] == 401
    status, told = ask(f"{url}/metrics", token=bob.token)
    assert status == 403
    assert f"{bob.name} may not get /metrics" in told
    grant(api, alice, [may("get", "/metrics")])

    def scraped() -> bool:
        # A refusal is remembered for ten seconds, and the API server reads new roles from a cache.
        status, page = ask(f"{url}/metrics", token=alice.token)
        assert status == 200, status
        return "workqueue_depth" in page

    assert wait_for(scraped, 30, what="alice to be allowed")
    assert ask(f"{url}/metrics", token=bob.token)[0] == 403
    assert ask(f"{url}/debug/queue", token=alice.token)[0] == 403, "metrics are one right, looking inside another"
    assert ask(f"{url}/debug/nothing", token=bob.token)[0] == 403
    admin = control_plane.users["admin"].token
    assert ask(f"{url}/debug/queue", token=admin)[0] == 200
    assert ask(f"{url}/debug/nothing", token=admin)[0] == 404
    for user in control_plane.users.values():
        assert user.token not in secured.log()


def test_plain_http_gets_nothing_from_a_secured_address(secured: OperatorProcess) -> None:
    with pytest.raises((urllib.error.URLError, ConnectionError, OSError)):
        urllib.request.urlopen(address(secured).replace("https:", "http:") + "/metrics", timeout=10)


def test_the_way_into_a_secured_address_is_told(secured: OperatorProcess, command: Command) -> None:
    url = address(secured)
    plain = command("debug", "queue", "--url", url.replace("https:", "http:"))
    assert (plain.code, "with metrics.secure, as in the chart, it is --url https://" in plain.err) == (3, True)
    unknown = command("debug", "queue", "--url", url)
    assert (unknown.code, "--insecure-skip-tls-verify" in unknown.err) == (3, True)


def test_an_operator_that_may_not_ask_refuses_and_says_what_is_missing(control_plane: ControlPlane) -> None:
    """The account has no right at all, so its caches never fill; that is no reason to let anybody in."""
    with OperatorProcess(control_plane.kubeconfig("operator"), *SECURE) as process:
        url = address(process)
        assert ask(f"{url}/metrics", token=control_plane.users["admin"].token)[0] == 500
        assert ask(f"{url}/metrics")[0] == 401
        told = line(process, "Could not find out whether a request is allowed; refused it")
        assert "tokenreviews" in told["err"]
        assert "autobackup-metrics-access" in told["fix"]


def test_certificate_files_and_what_is_wrong_with_them(
    control_plane: ControlPlane, tmp_path: Path, command: Command
) -> None:
    pem = selfsigned.make(RealClock(), names=("localhost", "127.0.0.1"))
    both = tmp_path / "tls.pem"
    both.write_text(pem)
    kubeconfig = control_plane.kubeconfig("admin")
    token = tmp_path / "token"
    token.write_text(control_plane.users["admin"].token + "\n")
    files = (f"--metrics-cert-file={both}", f"--metrics-key-file={both}")
    with OperatorProcess(kubeconfig, *SECURE, *files) as process:
        url = address(process)
        trusting = ("--url", url, "--certificate-authority", both)
        assert command("debug", "loglevel", *trusting, "--token-file", token).out == "debug\n"
        # The token of a kubeconfig is as good.
        assert command("debug", "loglevel", *trusting, "--kubeconfig", kubeconfig).out == "debug\n"
        refused = command("debug", "loglevel", *trusting, "--kubeconfig", control_plane.kubeconfig("bob"))
        assert refused.code == 1
        assert "may not get /debug/loglevel" in refused.err
        unknown = command("debug", "loglevel", "--url", url, "--token-file", token)
        assert unknown.code == 3
        assert "certificate" in unknown.err
        assert command("debug", "loglevel", "--url", url, "--token-file", token, "--insecure-skip-tls-verify").code == 0
        (tmp_path / "empty").write_text("")
        nobody = command("debug", "loglevel", *trusting, "--token-file", tmp_path / "empty")
        assert nobody.code == 1
        assert "kubectl create token" in nobody.err
    ended = command("run", "--kubeconfig", kubeconfig, *SECURE, *(f"{flag}.gone" for flag in files))
    assert ended.code == 1
    assert "tls.pem.gone" in ended.err
    assert "metrics.certFile" in ended.err


def test_pages_without_a_guard_are_for_this_machine_only(
    opened: OperatorProcess, control_plane: ControlPlane, command: Command
) -> None:
    url = address(opened)
    assert ask(f"{url}/debug/queue")[0] == 200
    assert ask(f"{url}/debug/queue", host=url.removeprefix("http://").replace("127.0.0.1", "localhost"))[0] == 200
    for host in ("rebound.example.com", "10.0.0.1:8080"):
        assert ask(f"{url}/debug/queue", host=host)[0] == 403
        assert ask(f"{url}/metrics", host=host)[0] == 200
    for wrong in ("0.0.0.0:0", ":0", "off"):
        ended = command(
            "run", "--kubeconfig", control_plane.kubeconfig("admin"), "--debug-endpoint", "--metrics-address", wrong
        )
        assert ended.code == 2
        assert "debugEndpoint.enabled" in ended.err


def test_pages_are_off_unless_they_are_wanted(control_plane: ControlPlane, crds: list[str], command: Command) -> None:
    with OperatorProcess(control_plane.kubeconfig("admin"), *OPEN[:2]) as process:
        url = address(process)
        assert ask(f"{url}/debug/queue")[0] == 404
        ended = command("debug", "queue", "--url", url)
        assert (ended.code, ended.out) == (1, "")
        assert "--debug-endpoint" in ended.err


def test_informers_as_json_and_as_a_table(opened: OperatorProcess, command: Command) -> None:
    url = address(opened)
    ended = command("debug", "informers", "--url", url, "-o", "json")
    assert ended.code == 0, ended.err
    found = {each["kind"]: each for each in json.loads(ended.out)["informers"]}
    assert {"BackupBlueprint", "Repository", "BackupConfiguration", "Deployment", "PersistentVolumeClaim"} <= set(found)
    deployments = found["Deployment"]
    assert set(deployments) == {
        *("resource", "kind", "name", "namespaces", "synced", "available", "state", "rows", "resourceVersion"),
        *("secondsSinceEvent", "secondsSinceBookmark", "relists", "undecodable", "lastError"),
    }
    assert deployments["synced"] is True
    assert int(deployments["resourceVersion"]) > 0
    assert deployments["secondsSinceEvent"] >= 0
    assert found["DeploymentConfig"]["available"] is False
    assert (
        yaml.safe_load(command("debug", "informers", "--url", url, "-o", "yaml").out)["informers"][0]["synced"] is True
    )
    table = command("debug", "informers", "--url", url).out.splitlines()
    assert table[0].split()[:3] == ["RESOURCE", "STATE", "ROWS"]
    assert any(row.startswith("deployments.apps/v1 ") and " watch " in row for row in table)
    assert any("deploymentconfigs" in row and "not served" in row for row in table)


def test_a_plan_is_shown_and_not_carried_out(
    opened: OperatorProcess, api: ApiClient, namespace: str, control_plane: ControlPlane, command: Command
) -> None:
    url = address(opened)
    name = unique_name("bp")
    api.create(claim(namespace, name))

    def plan(*words: str) -> dict[str, Any]:
        ended = command("debug", "plan", *words, "--url", url, "-o", "json")
        assert ended.code == 0, ended.err
        found: dict[str, Any] = json.loads(ended.out)
        return found

    target = ("PersistentVolumeClaim", f"{namespace}/data")

    def looked_at() -> bool:
        return bool(plan(*target)["recorded"])

    wait_for(looked_at, 20, what="the operator to have looked at the claim")
    waiting = plan(*target)
    assert waiting["inCache"] is True
    assert waiting["outcomes"][0]["reason"] == "BlueprintNotFound"
    assert waiting["steps"] == []
    assert waiting["queued"]["state"] == "delayed", "it is looked at again some day"
    queue = json.loads(command("debug", "queue", "--url", url, "-o", "json").out)
    assert queue["total"] == sum(queue["states"].values())
    assert ("data", namespace) in {(item["name"], item["namespace"]) for item in queue["items"]}
    assert "not configured" in command("debug", "queue", "--url", url).out
    limited = json.loads(ask(f"{url}/debug/queue?limit=0")[1])
    assert (limited["items"], limited["total"]) == ([], queue["total"])

    api.create(blueprint(name))
    try:

        def configured() -> bool:
            found = plan(*target)
            return found["outcomes"][0]["state"] == "configured" and not found["steps"]

        wait_for(configured, 20, what="the claim to be configured, with nothing left to do")
        done = plan(*target)
        assert done["recorded"][0]["repository"]["namespace"] == namespace
        assert plan("pvc", target[1])["key"] == done["key"], "a kind is named as kubectl names it"
        shown = command("debug", "plan", *target, "--url", url).out
        assert f"configured with {name}" in shown
        assert "none, all is as it should be" in shown
        of_blueprint = plan("BackupBlueprint", name)
        assert of_blueprint["key"] == {"kind": "BackupBlueprint", "namespace": "", "name": name}

        gone = api.list("stash.appscode.com/v1beta1/BackupConfiguration", namespace=namespace)[0]["metadata"]
        assert gone["name"] == done["recorded"][0]["configuration"]["name"]
        nothing = plan("Deployment", f"{namespace}/nobody")
        assert (nothing["inCache"], nothing["steps"], nothing["outcomes"]) == (False, [], [])
    finally:
        api.delete("stash.appscode.com/v1beta1/BackupBlueprint", name)


@pytest.mark.cluster
def test_what_would_be_written_is_in_the_plan(command: Command) -> None:
    """An operator whose account may look and not write, and no other one: its plan stays a plan."""
    with ControlPlane() as plane:
        api = plane.client("admin")
        install_crds(api)
        create_namespace(api, "shop")
        grant(api, plane.users["alice"], [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}])
        api.create(blueprint("nightly"))
        api.create(claim("shop", "nightly"))
        with OperatorProcess(plane.kubeconfig("alice"), *OPEN) as process:
            line(process, "Caches are complete")
            words = ("debug", "plan", "PersistentVolumeClaim", "shop/data", "--url", address(process))
            found = json.loads(command(*words, "-o", "json").out)
            assert [(step["step"], step["resource"]["kind"]) for step in found["steps"]] == [
                ("Apply", "Repository"),
                ("Apply", "BackupConfiguration"),
            ]
            repository, configuration = found["steps"]
            assert repository["body"]["spec"]["backend"]["s3"]["prefix"] == "shop/data"
            assert repository["force"] is False
            assert configuration["body"]["spec"]["repository"]["name"] == repository["key"]["name"]
            assert "Apply Repository shop/pvc-data" in command(*words).out
        assert api.list("stash.appscode.com/v1alpha1/Repository", namespace="shop") == []


def test_the_log_level_changes_while_it_runs(opened: OperatorProcess, command: Command) -> None:
    url = address(opened)
    assert command("debug", "loglevel", "--url", url).out == "debug\n"
    assert command("debug", "loglevel", "error", "--url", url).out == "error\n"
    assert json.loads(command("debug", "loglevel", "--url", url, "-o", "json").out) == {"level": "error"}
    refused = command("debug", "loglevel", "loud", "--url", url)
    assert refused.code == 2
    assert "debug, info, warning, error" in refused.err
    for body in (b"", b"[]", b'"debug"', b'{"level": 7}', b"{"):
        assert ask(f"{url}/debug/loglevel", method="PUT", body=body)[0] == 400
    assert command("debug", "loglevel", "debug", "--url", url).out == "debug\n"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("plan", "kind"),
        ("plan?kind=Pod&namespace=a&name=b", "PersistentVolumeClaim"),
        ("plan?kind=Deployment&name=b", "namespace"),
        ("plan?kind=Deployment&namespace=a", "name"),
        ("plan?kind=BackupBlueprint&namespace=a&name=b", "none"),
        ("queue?limit=-1", "limit"),
        ("queue?limit=many", "limit"),
        ("queue?limit=99999999999999999999", "limit"),
    ],
)
def test_a_question_that_makes_no_sense_is_told(opened: OperatorProcess, query: str, told: str) -> None:
    status, text = ask(f"{address(opened)}/debug/{query}")
    assert status == 400
    assert told in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("plan",), 2, "NAMESPACE/NAME"),
        (("plan", "Deployment"), 2, "NAMESPACE/NAME"),
        (("informers", "all"), 2, "all"),
        (("loglevel", "a", "b"), 2, "one level"),
        (("queue", "--url", "http://10.1.2.3:8080"), 2, "https"),
        (("queue", "--url", "nonsense"), 2, "nonsense"),
        (("queue", "--url", "http://127.0.0.1:1"), 3, "port-forward"),
        (("queue", "--url", "https://127.0.0.1:1", "--token-file", "/nonexistent"), 2, "/nonexistent"),
        (("queue", "--url", "https://127.0.0.1:1", "--kubeconfig", "/nonexistent"), 3, "/nonexistent"),
    ],
)
def test_the_command_line_and_the_address(
    *,
    command: Command,
    arguments: tuple[str, ...],
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    ended = command("debug", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
