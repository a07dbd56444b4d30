"""`make demo` on a control plane of its own: the story is seen through, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.demo.performance import Performance, is_running, performed
from tools.controlplane import wait_for
from tools.demo.connection import KubeconfigClient, credentials_of

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

TARGETS = {
    "Deployment shop": "demo/deployment/shop",
    "StatefulSet queue": "demo/statefulset/queue",
    "DaemonSet collector": "demo/daemonset/collector",
    "PersistentVolumeClaim media": "demo/persistentvolumeclaim/media",
    "AppBinding orders": "demo/appbinding/orders",
}


def table(text: str) -> dict[str, list[str]]:
    """The rows of the final table by target: blueprint, prefix, schedule, state, milliseconds."""
    lines = text[text.rindex("TARGET  ") :].splitlines()[1 : 1 + len(TARGETS)]
    rows = [re.split(r" {2,}", line.strip()) for line in lines]
    return {target: cells for target, *cells in rows}


def folder_of(performance: Performance) -> Path:
    found = re.search(r"its state is in (\S+)", performance.text)
    assert found is not None
    return Path(found[1])


def test_every_step_is_observed_and_nothing_is_left() -> None:
    with performed() as performance:
        assert performance.wait() == 0, performance.text
    rows = table(performance.text)
    assert {target: cells[1] for target, cells in rows.items()} == TARGETS
    assert {(cells[0], cells[3]) for cells in rows.values()} == {("nightly", "Configured")}
    schedules = {target: cells[2] for target, cells in rows.items()}
    assert schedules.pop("PersistentVolumeClaim media") == "15 4 * * 0", "its own schedule outlives the edit"
    assert set(schedules.values()) == {"30 1 * * *"}
    assert all(0 < int(cells[4]) < 30_000 for cells in rows.values())
    assert "InvalidSchedule" in performance.text, "kubectl shows the Event"
    assert "keeps daily=3, and less than 7 of the blueprint" in performance.text
    assert "annotation stash.appscode.com/retention-policy" in performance.text, "explain says who decided it"
    assert "\x1b" not in performance.text, "no colours without a terminal"

    pid, log = performance.operator()
    assert not is_running(pid)
    assert not log.exists()
    assert not folder_of(performance).exists()


def test_kept_it_goes_on_until_it_is_stopped() -> None:
    with performed(KEEP="1") as performance:
        assert performance.wait() == 0, performance.text
    pid, log = performance.operator()
    keeper = int(performance.wait_for("   kill ").split()[1])
    folder = folder_of(performance)
    try:
        kubeconfig = performance.wait_for("export KUBECONFIG=").partition("=")[2]
        assert is_running(pid)
        with KubeconfigClient(credentials_of(kubeconfig)) as client:
            kind = "stash.appscode.com/v1beta1/BackupConfiguration"
            client.delete(kind, "deploy-shop", namespace="demo")
            wait_for(lambda: client.find(kind, "deploy-shop", namespace="demo"), what="the operator to be at work")
    finally:
        os.kill(keeper, signal.SIGTERM)
        wait_for(lambda: not is_running(keeper), 30.0, what="the kept demo to end")
    assert not is_running(pid)
    assert not log.exists()
    assert not folder.exists()
