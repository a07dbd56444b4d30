"""A replica as a process: as closed as it says, ready soon, and orderly when it ends."""

from __future__ import annotations

import json
import os
import urllib.request
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.chart import targets
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import KubectlFailed, Object, Place
from tests.e2e.chart.release import Release, name_of
from tools.manifests.chart import NAMESPACE


@pytest.fixture
def pod(release: Release) -> Object:
    return release.leader()


def run_inside(place: Place, pod: Object, *command: str) -> str:
    return place.kubectl("exec", "-n", NAMESPACE, name_of(pod), "--", *command)


def test_the_container_is_as_closed_as_it_says(place: Place, pod: Object) -> None:
    status = run_inside(place, pod, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    for folder in ("/", "/opt/autobackup", "/var/tmp", "/run", "/etc/autobackup"):
        with pytest.raises(KubectlFailed, match="Read-only file system"):
            run_inside(place, pod, "touch", f"{folder}/written")
    for program in ("pip", "pip3", "cc", "gcc"):
        with pytest.raises(KubectlFailed, match="not found"):
            run_inside(place, pod, program, "--version")
    with pytest.raises(KubectlFailed, match="No module named"):
        run_inside(place, pod, "python3", "-m", "pip", "--version")
    assert "autobackup" in run_inside(place, pod, "autobackup", "version")


def test_a_kubeconfig_could_be_read_in_it(place: Place, pod: Object) -> None:
    """Of what is imported for that, only bytecode is in the image."""
    program = (
        "from kubernetes import client, config; print(client.CoreV1Api.__name__, config.load_kube_config.__name__)"
    )
    assert run_inside(place, pod, "python3", "-c", program).split() == ["CoreV1Api", "load_kube_config"]


def test_probes_answer(place: Place, pod: Object) -> None:
    local = place.own.forward(pod["status"]["podIP"], 8081)
    for path in ("/livez", "/readyz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{local}{path}", timeout=10) as answer:
            assert answer.status == 200


def test_it_is_ready_soon_after_its_start(place: Place, release: Release, pod: Object, figures: Figures) -> None:
    """From the start of the process to complete caches. Two seconds on an idle machine; tests share theirs."""
    clock = "import time; print(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))"
    booted = float(run_inside(place, pod, "python3", "-c", clock))
    ticks = int(run_inside(place, pod, "cat", "/proc/1/stat").rpartition(") ")[2].split()[19])
    started = booted + ticks / os.sysconf("SC_CLK_TCK")
    complete = next(line["ts"] for line in release.logs(name_of(pod)) if line["msg"] == "Caches are complete")
    seconds = datetime.fromisoformat(complete).timestamp() - started
    figures.add("start of the process in its pod to complete caches", "s", seconds, goal=2.0)
    assert 0 < seconds < 10


def test_its_log_is_json_and_names_each_decision(place: Place, release: Release, pod: Object, namespace: str) -> None:
    targets.create(place, namespace, "web")
    targets.wait_backed_up(place, namespace, "web")
    assert any(namespace in json.dumps(line) for line in release.logs(name_of(pod)))


def test_it_ends_orderly_as_process_1(place: Place, release: Release) -> None:
    """SIGTERM to process 1 of a container does nothing unless it is handled: then the kubelet would have to kill."""
    name = name_of(release.standby())
    run_inside(place, {"metadata": {"name": name}}, "sh", "-c", "kill -TERM 1")

    def ended() -> Any:
        (status,) = place.get("pod", name, namespace=NAMESPACE)["status"]["containerStatuses"]
        return status["lastState"].get("terminated")

    assert place.wait(ended, 30, what="the container to end")["exitCode"] == 0
    release.wait_ready()
