"""`autobackup run` as a process on a real API server: what it applies is what `resolve` printed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autobackup import yamltext
from reconcilers.fields import desired_fingerprint, live_fingerprint
from tests.cli.conftest import EXAMPLES, ROOT, Command
from tests.support.operator import OperatorProcess
from tools.controlplane import ApiClient, wait_for

KINDS = {
    "Repository": "stash.appscode.com/v1alpha1/Repository",
    "BackupConfiguration": "stash.appscode.com/v1beta1/BackupConfiguration",
}
TARGETS = {
    "deployment": "apps/v1/Deployment",
    "statefulset": "apps/v1/StatefulSet",
    "daemonset": "apps/v1/DaemonSet",
    "pvc": "v1/PersistentVolumeClaim",
    "appbinding": "appcatalog.appscode.com/v1alpha1/AppBinding",
}


@pytest.fixture
def blueprints(api: ApiClient, crds: list[str]) -> Iterator[list[dict[str, Any]]]:
    """The blueprints of the examples, in the cluster."""
    files = sorted(EXAMPLES.glob("blueprint-*.yaml"))
    found = [document.value for file in files for document in yamltext.read(file.read_text())]
    for blueprint in found:
        api.apply(blueprint, manager="test", force=True)
    yield found
    for blueprint in found:
        api.delete("stash.appscode.com/v1beta1/BackupBlueprint", blueprint["metadata"]["name"])


def test_the_operator_applies_what_resolve_prints(
    *, api: ApiClient, blueprints: list[Any], kubeconfig: Path, namespace: str, tmp_path: Path, command: Command
) -> None:
    for name, kind in TARGETS.items():
        (document,) = yamltext.read((EXAMPLES / f"{name}.yaml").read_text())
        target = {**document.value, "metadata": {**document.value["metadata"], "namespace": namespace}}
        live = api.create(target)
        (tmp_path / f"{name}.json").write_text(json.dumps(api.get(kind, live["metadata"]["name"], namespace=namespace)))
    (tmp_path / "blueprints.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": blueprints}))
    # A Repository says in which life of its namespace it was made.
    (tmp_path / "namespace.json").write_text(json.dumps(api.get("v1/Namespace", namespace)))
    printed = command("resolve", "-q", "-f", tmp_path, "-o", "json")
    assert printed.code == 0, printed.err
    items = json.loads(printed.out)["items"]
    assert len(items) == 2 * len(TARGETS)

    def applied() -> bool:
        for item in items:
            live = api.find(KINDS[item["kind"]], item["metadata"]["name"], namespace=namespace)
            assert live, f"{item['kind']} {item['metadata']['name']} is not there yet"
            # Exactly what was printed is owned by the operator: not a field more or less, and the same values.
            assert live_fingerprint(live) == desired_fingerprint(item)
        return True

    flags = ("--namespaces", namespace, "--health-address=off", "--metrics-address=off")
    with OperatorProcess(kubeconfig, *flags) as operator:
        wait_for(applied, 30, what="the operator to apply what was printed")
        assert operator.terminate() == 0
    ended = command("resolve", "-f", tmp_path, "--diff", "--kubeconfig", kubeconfig)
    assert (ended.code, ended.out) == (0, "")
    assert f"no difference: {len(items)} objects" in ended.err


def test_an_address_in_use_is_told_and_not_called_a_bug(kubeconfig: Path, crds: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = ("--kubeconfig", kubeconfig, "--health-address", address, "--metrics-address", "off")
        command_line = [sys.executable, "-m", "autobackup", "run", *map(str, flags)]
        done = subprocess.run(command_line, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert told.startswith("error: ")
    assert address in told
    assert "bug" not in told
