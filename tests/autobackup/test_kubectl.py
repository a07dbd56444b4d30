"""Auto backup as a person with kubectl meets it, while the operator is at work."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.autobackup.stage import ANNOTATION, SECONDS, Stage
from tools.controlplane import ControlPlane, wait_for

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(control_plane: ControlPlane, kubeconfig: Path, stage: Stage) -> Kubectl:
    program = control_plane.program("kubectl")

    def run(*arguments: str, text: str = "") -> str:
        done = subprocess.run(
            [program, f"--kubeconfig={kubeconfig}", f"--namespace={stage.namespace}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def rows(text: str) -> list[dict[str, str]]:
    """What `kubectl get` printed, by column."""
    header, *lines = text.splitlines()
    starts = [name.start() for name in re.finditer(r"\S+", header)]
    spans = list(zip(starts, [*starts[1:], None], strict=True))
    return [{header[a:b].strip(): line[a:b].strip() for a, b in spans} for line in lines]


def events_of(description: str) -> list[tuple[str, str, str]]:
    """Type, reason and message of each Event at the end of what `kubectl describe` printed."""
    _, _, section = description.partition("\nEvents:")
    lines = section.splitlines()[3:]
    fields = [re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in lines]
    return [(f[0], f[1], f[4]) for f in fields if len(f) == 5]


def test_the_whole_story(stage: Stage, kubectl: Kubectl) -> None:
    """Apply, annotate, wait, look: nothing but kubectl."""
    blueprint = stage.blueprint()
    kubectl("wait", "--for=condition=Ready", f"bb/{blueprint}", "--timeout=20s")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl("apply", "-f", "-", text=yaml.safe_dump(claim))
    kubectl("annotate", "pvc/data", f"{ANNOTATION}={blueprint}")
    kubectl("wait", "--for=create", "backupconfiguration/pvc-data", "--timeout=20s")
    kubectl("wait", "--for=jsonpath={.status.configured}=1", f"bb/{blueprint}", "--timeout=20s")
    kubectl("wait", "--for=condition=TargetsConfigured", f"bb/{blueprint}", "--timeout=20s")

    (shown,) = rows(kubectl("get", "bb", blueprint))
    assert {name: shown[name] for name in ("NAME", "SCHEDULE", "MATCHED", "CONFIGURED", "FAILED")} == {
        "NAME": blueprint,
        "SCHEDULE": "0 2 * * *",
        "MATCHED": "1",
        "CONFIGURED": "1",
        "FAILED": "0",
    }
    (shown,) = rows(kubectl("get", "bc"))
    assert (shown["NAME"], shown["SCHEDULE"]) == ("pvc-data", "0 2 * * *")
    assert "pvc-data" in kubectl("get", "repo")
    both = kubectl("get", "stash", "-o", "name").split()
    assert {name.rpartition("/")[2] for name in both} >= {"pvc-data", blueprint}
    found = kubectl("get", "bc,repo", "-l", "app.kubernetes.io/managed-by=autobackup", "-o", "name").split()
    assert len(found) == 2

    kubectl("annotate", "pvc/data", f"{ANNOTATION}-")
    kubectl("wait", "--for=delete", "backupconfiguration/pvc-data", "--timeout=20s")
    assert "pvc-data" in kubectl("get", "repo"), "data stay"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("bb.status.conditions", "observedGeneration"),
        ("bb.spec.backend", "s3"),
        ("bc.spec.target.ref", "kind"),
        ("repo.spec.backend.storageSecretName", "Secret"),
    ],
)
def test_explain_knows_every_field(kubectl: Kubectl, field: str, said: str) -> None:
    assert said in kubectl("explain", field)


def test_wait_after_an_edit_waits_for_the_edit(stage: Stage, kubectl: Kubectl) -> None:
    """`kubectl wait` looks at observedGeneration of the condition: a Ready of before the edit must not count."""
    blueprint = stage.blueprint()
    for number in range(10):
        stage.create("PersistentVolumeClaim", f"t{number}", {ANNOTATION: blueprint})
    stage.settled(blueprint, configured=10)
    for minute in range(5):
        kubectl("patch", "bb", blueprint, "--type=merge", "-p", f'{{"spec":{{"schedule":"{minute} 6 * * *"}}}}')
        kubectl("wait", "--for=condition=Ready", f"bb/{blueprint}", "--timeout=20s")
        kubectl("wait", "--for=condition=TargetsConfigured", f"bb/{blueprint}", "--timeout=20s")
        schedules = kubectl("get", "bc", "-o", "jsonpath={.items[*].spec.schedule}")
        assert schedules == " ".join([f"{minute} 6 * * *"] * 10)
    # And a bad edit is waited for as well.
    kubectl("patch", "bb", blueprint, "--type=merge", "-p", '{"spec":{"schedule":"0 0 30 2 *"}}')
    kubectl("wait", "--for=condition=Ready=False", f"bb/{blueprint}", "--timeout=20s")
    kubectl("wait", "--for=condition=Stalled", f"bb/{blueprint}", "--timeout=20s")
    assert "spec.schedule" in kubectl(
        "get", "bb", blueprint, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'
    )


def test_describe_shows_what_happened(stage: Stage, kubectl: Kubectl) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {ANNOTATION: blueprint})
    stage.configured("deploy-shop")
    stage.event("shop", "BackupConfigurationCreated")
    told = events_of(kubectl("describe", "deployment", "shop"))
    assert ("Normal", "RepositoryCreated") in {event[:2] for event in told}
    assert ("Normal", "BackupConfigurationCreated") in {event[:2] for event in told}
    assert all(f"{stage.namespace}/deploy-shop" in message for _, reason, message in told if reason.endswith("Created"))

    stage.annotate("Deployment", "shop", schedule="61 * * * *")
    stage.event("shop", "InvalidSchedule")
    told = events_of(kubectl("describe", "deployment", "shop"))
    (message,) = [text for kind, reason, text in told if (kind, reason) == ("Warning", "InvalidSchedule")]
    assert "stash.appscode.com/schedule" in message
    # The blueprint's page says the same: how many, who, and why.
    stage.failed(blueprint, "shop")
    page = kubectl("describe", "bb", blueprint)
    assert re.search(r"^\s+Failed:\s+1$", page, re.MULTILINE)
    assert "InvalidSchedule" in page
    assert "shop" in page


def test_describe_blueprint_shows_its_events(stage: Stage, kubectl: Kubectl) -> None:
    blueprint = stage.blueprint(schedule="61 2 * * *")
    wait_for(
        lambda: [event for event in events_of(kubectl("describe", "bb", blueprint)) if event[0] == "Warning"],
        SECONDS,
        what="describe to show the Event about the bad schedule",
        state=lambda: kubectl("describe", "bb", blueprint),
        poll=0.5,
    )
    (event,) = [each for each in events_of(kubectl("describe", "bb", blueprint)) if each[0] == "Warning"]
    assert "spec.schedule" in event[2]
    stage.blueprint(blueprint)
    kubectl("wait", "--for=condition=Ready", f"bb/{blueprint}", "--timeout=20s")


def test_events_of_a_target(stage: Stage, kubectl: Kubectl) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
    stage.event("data", "BackupConfigurationCreated")
    listed = kubectl("events", "--for=persistentvolumeclaim/data")
    assert "RepositoryCreated" in listed
    table = rows(kubectl("get", "events", "--field-selector=involvedObject.name=data"))
    assert {row["REASON"] for row in table} >= {"RepositoryCreated", "BackupConfigurationCreated"}
    assert {row["OBJECT"] for row in table} == {"persistentvolumeclaim/data"}
    assert {row["TYPE"] for row in table} == {"Normal"}
