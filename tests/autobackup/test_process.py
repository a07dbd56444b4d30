"""The operator as a process: how it starts, what it tells about itself, how it ends, what it never tells."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.autobackup import probes
from tests.autobackup.stage import ANNOTATION, EVENT, RECOVERY, SECONDS, Stage
from tests.support.cluster import grant
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Silent
from tests.support.operator import OperatorProcess
from tools.controlplane import ControlPlane, wait_for, wait_served

ROOT = Path(__file__).resolve().parents[2]
GRACE = 10.0
"""Within this many seconds of SIGTERM the process has to be gone, whatever the API server does."""
SHORT_GRACE = ("--health-address=off", "--metrics-address=off", "--shutdown-grace-seconds=2")

pytestmark = pytest.mark.cluster


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`autobackup run` to its end."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AUTOBACKUP_", "KUBE"))}
    return subprocess.run(
        [sys.executable, "-m", "autobackup", "run", *map(str, arguments)],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ended_in_time(process: OperatorProcess) -> None:
    before = time.monotonic()
    assert process.terminate() == 0, process.tail()
    assert time.monotonic() - before < GRACE
    assert probes.entries(process)[-1]["msg"] == "Stopped", process.tail()


# --- what it tells about itself


def documented_metrics() -> dict[str, str]:
    """Names and types in the reference page."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    return dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.MULTILINE))


def test_probes_and_metrics(account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    with OperatorProcess(account, *probes.SERVE) as process:
        wait_for(lambda: probes.probe(process, "/readyz") == (200, "ok"), SECONDS, what="readiness")
        assert probes.probe(process, "/livez") == (200, "ok")
        assert "[+]caches ok" in probes.probe(process, "/readyz?verbose")[1]
        for number in range(6):
            scene.create("PersistentVolumeClaim", f"t{number}", {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "bad", {ANNOTATION: blueprint, "stash.appscode.com/schedule": "never"})
        scene.settled(blueprint, configured=6, failed=1)

        wait_for(lambda: probes.at_rest(process), SECONDS, what="the queue to be empty")
        claim = {"kind": "PersistentVolumeClaim"}
        assert probes.total(process, "autobackup_targets", state="configured", **claim) == 6
        assert probes.total(process, "autobackup_targets", state="failed", **claim) == 1
        for kind in ("Repository", "BackupConfiguration"):
            assert probes.total(process, "autobackup_apply_total", kind=kind, result="applied") == 6
        assert probes.total(process, "autobackup_informer_synced") >= 9
        assert probes.total(process, "autobackup_informer_objects", resource="persistentvolumeclaims") == 7
        assert probes.total(process, "rest_client_requests_total", method="PATCH", code="201") == 12
        assert probes.total(process, "workqueue_retries_total", name="autobackup") == 0
        address = probes.url(process, "metricsAddress")
        page = probes.fetch(address + "/metrics")[1]
        shown = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))
        documented = documented_metrics()
        assert len(documented) > 20
        assert {name: shown.get(name) for name in documented} == documented
        # Probes and metrics are for looking.
        assert probes.fetch(address + "/metrics", method="POST")[0] == 405
        assert probes.fetch(address + "/")[0] == 404
        ended_in_time(process)


# --- how it is configured


def test_print_config_shows_what_would_be_in_force(tmp_path: Path) -> None:
    file = tmp_path / "autobackup.yaml"
    file.write_text("workers: 3\nmaxInFlightWrites: 5\nlogLevel: warning\n")
    done = run("--config", file, "--print-config", "--log-level=error", AUTOBACKUP_WORKERS="4")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^workers: 4 +# environment, AUTOBACKUP_WORKERS$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^maxInFlightWrites: 5 +# file ", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^logLevel: error +# flag --log-level$", done.stdout, re.MULTILINE), done.stdout


def test_configuration_that_cannot_be_used_names_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "autobackup.yaml"
    file.write_text("wrokers: 3\nlogLevel: loud\n")
    done = run("--config", file, "--shutdown-grace-seconds=-1", AUTOBACKUP_NAMESPACE="a,b")
    assert (done.returncode, done.stdout) == (2, "")
    for part in ("wrokers", "did you mean workers?", "'loud'", "--shutdown-grace-seconds", "AUTOBACKUP_NAMESPACE"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    done = run("--kubeconfig", missing, "--health-address=off", "--metrics-address=off")
    assert done.returncode == 3
    assert str(missing) in done.stderr
    assert "Traceback" not in done.stderr


# --- how it starts and ends when the API server does not play along


def test_server_that_is_down_at_the_start(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
    plane.stop()
    try:
        with OperatorProcess(account, *probes.SERVE) as process:
            # Alive, so that nothing kills it in a loop; not ready, and it says of whom it waits for what.
            wait_for(
                lambda: "backupblueprints" in (seen := probes.probe(process, "/readyz"))[1] and seen[0] == 500,
                SECONDS,
                what="/readyz to say what is missing",
                state=lambda: probes.probe(process, "/readyz"),
            )
            said = probes.probe(process, "/readyz")[1]
            assert f"127.0.0.1:{plane.apiserver.port}" in said, "it names the server that does not answer"
            assert probes.probe(process, "/livez") == (200, "ok")
            plane.apiserver.start()
            wait_for(lambda: probes.probe(process, "/readyz")[0] == 200, RECOVERY, what="readiness", state=process.tail)
            scene.configured("pvc-data")
            ended_in_time(process)
    finally:
        if not plane.apiserver.process.running:
            plane.apiserver.start()


def test_stop_before_the_caches_are_complete(account: Path, plane: ControlPlane, proxy: FaultProxy) -> None:
    held = proxy.rule(Silent(), times=None)
    with OperatorProcess(plane.kubeconfig("operator", server=proxy.url)) as process:
        proxy.wait_for_hits(held)
        ended_in_time(process)


def test_stop_while_the_network_is_dead(plane: ControlPlane, proxy: FaultProxy, scene: Stage) -> None:
    blueprint = scene.blueprint()
    with OperatorProcess(plane.kubeconfig("operator", server=proxy.url), *SHORT_GRACE) as process:
        probes.started(process)
        for number in range(30):
            scene.create("PersistentVolumeClaim", f"t{number}", {ANNOTATION: blueprint})
        # Writes are under way; from now on none is answered.
        wait_for(scene.configurations, SECONDS, what="the first BackupConfiguration")
        proxy.pause()
        ended_in_time(process)
        proxy.resume()


def test_stop_while_etcd_hangs(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    with OperatorProcess(account, *SHORT_GRACE) as process:
        probes.started(process)
        for number in range(30):
            scene.create("PersistentVolumeClaim", f"t{number}", {ANNOTATION: blueprint})
        wait_for(scene.configurations, SECONDS, what="the first BackupConfiguration")
        plane.stall_etcd()
        try:
            ended_in_time(process)
        finally:
            plane.resume_etcd()
    # Whatever was left half done, the next process completes.
    wait_for(scene.configurations, 60, what="etcd to be back")
    with OperatorProcess(account):
        scene.settled(blueprint, matched=30, configured=30)


def test_second_signal_and_ctrl_c_end_it_as_well(account: Path) -> None:
    with OperatorProcess(account) as process:
        probes.started(process)
        os.kill(process.pid, 2)
        wait_for(lambda: process.exit_code is not None, GRACE, what="the process to end", state=process.tail)
        assert process.exit_code == 0
        assert probes.entries(process)[-1]["msg"] == "Stopped"


# --- what it never tells


def test_secrets_are_nowhere(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Not in the log at its most talkative, not in metrics, events, status, or what it makes."""
    canary = "canary-4fD81xq"
    scene.api.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "storage", "namespace": scene.namespace, "annotations": {"note": canary}},
            "stringData": dict.fromkeys(("RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), canary),
        }
    )
    one_secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["storage"], "verbs": ["get"]}
    grant(scene.api, plane.users["operator"], [one_secret], namespace=scene.namespace)
    token = plane.users["operator"].token
    blueprint = scene.blueprint()
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("AppBinding", "db", {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "bad", {ANNOTATION: blueprint, "stash.appscode.com/schedule": "never"})
        scene.configured("app-db")
        scene.settled(blueprint, configured=1, failed=1)
        wait_for(
            lambda: scene.condition(blueprint, "StorageSecretsFound").get("status") == "True",
            45,
            what="the operator to have looked at the Secret",
        )
        # Failing requests are where tokens slip out.
        plane.kill9()
        plane.apiserver.start()
        for kind in ("backupblueprints", "backupconfigurations", "repositories"):
            wait_served(scene.api, f"{kind}.stash.appscode.com")
        wait_for(lambda: "Watching failed" in process.log(), SECONDS, what="requests to fail")
        page = probes.fetch(probes.url(process, "metricsAddress") + "/metrics")[1]
        told = [process.log(), page, json.dumps(scene.blueprint_status(blueprint))]
        told += [json.dumps(scene.api.list(EVENT, namespace=scene.namespace))]
        told += [json.dumps(scene.repositories()), json.dumps(scene.configurations())]
        process.terminate()
    for secret in (canary, token):
        for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")):
            for text in told:
                assert form not in text


def test_token_that_is_refused_is_not_told(plane: ControlPlane, tmp_path: Path) -> None:
    token = "canary-9kQ2zzW"
    file = tmp_path / "kubeconfig"
    document = json.loads(plane.kubeconfig("operator").read_text())
    document["users"][0]["user"]["token"] = token
    file.write_text(json.dumps(document))
    with OperatorProcess(file, *probes.SERVE) as process:
        wait_for(
            lambda: "401" in probes.probe(process, "/readyz")[1],
            SECONDS,
            what="/readyz to say that nobody knows the token",
            state=lambda: probes.probe(process, "/readyz"),
        )
        assert token not in process.log() + probes.probe(process, "/readyz")[1]
        ended_in_time(process)


def test_port_that_is_taken(account: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("--kubeconfig", account, f"--health-address={address}", "--metrics-address=off")
    assert done.returncode not in (0, 2)
    assert address in done.stderr + done.stdout
