"""What a process that has just started may take for new, or for unwanted, because it has not looked yet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.autobackup import probes
from tests.autobackup.copying import CONTENT, SECRET, allow, blueprint_from, copied, make_source
from tests.autobackup.restarts import looked_at
from tests.autobackup.stage import ANNOTATION, CONFIGURATION, SECONDS, Stage
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

SCHEDULE = "stash.appscode.com/schedule"

pytestmark = pytest.mark.cluster


def test_a_restart_takes_no_copy_from_who_was_not_looked_at_yet(
    plane: ControlPlane, account: Path, scene: Stage
) -> None:
    """The target inherits its blueprint, and has a Repository but no BackupConfiguration when the process starts."""
    vault = unique_name("vault")
    create_namespace(scene.api, vault)
    allow(scene.api, "source", vault, ["bucket"])
    allow(scene.api, "copies", scene.namespace, ["storage"])
    make_source(scene.api, vault, "bucket", CONTENT)
    blueprint = blueprint_from(scene, vault, "bucket")
    scene.create("PersistentVolumeClaim", "data")
    scene.api.annotate("v1/Namespace", scene.namespace, {ANNOTATION: blueprint})
    with OperatorProcess(account):
        scene.configured("pvc-data")
        copy = copied(scene, scene.namespace)
    scene.api.delete(CONFIGURATION, "pvc-data", namespace=scene.namespace)
    mark = plane.audit_log.mark()
    with OperatorProcess(account, *probes.SERVE) as second:
        scene.configured("pvc-data")
        looked_at(second, 2)
        writes = [(e.verb, e.name) for e in plane.audit_log.writes(mark, user=OPERATOR) if e.resource == "secrets"]
        assert writes == []
        assert copied(scene, scene.namespace)["metadata"]["uid"] == copy["metadata"]["uid"]

        scene.api.annotate("v1/Namespace", scene.namespace, {ANNOTATION: None})
        scene.gone("pvc-data")
        wait_for(
            lambda: scene.api.find(SECRET, "storage", namespace=scene.namespace) is None,
            SECONDS,
            what="the copy to go with the last who wants it",
        )
    remove_namespace(scene.api, vault)


def test_what_was_told_before_a_restart_is_not_told_again(account: Path, scene: Stage) -> None:
    absent, present = unique_name("absent"), scene.blueprint()
    for number in range(3):
        scene.create("PersistentVolumeClaim", f"astray{number}", {ANNOTATION: absent})
        scene.create("PersistentVolumeClaim", f"wrong{number}", {ANNOTATION: present, SCHEDULE: "never"})

    def told() -> Counter[str]:
        return Counter(event["regarding"]["name"] for event in scene.events() if "PersistentVolumeClaim" in str(event))

    for round_ in range(3):
        with OperatorProcess(account, *probes.SERVE) as process:
            looked_at(process, 7)
            if not round_:
                wait_for(lambda: len(told()) == 6, SECONDS, what="each to be told", state=told)
            if round_ == 1:
                # What happens for the second time is told again, and what a start finds is told at all.
                scene.annotate("PersistentVolumeClaim", "astray0", blueprint=None)
                wait_for(lambda: probes.at_rest(process), SECONDS, what="that to be seen")
                scene.annotate("PersistentVolumeClaim", "astray0", blueprint=absent)
                wait_for(
                    lambda: scene.events("astray0")[0].get("series", {}).get("count") == 2,
                    SECONDS,
                    what="the same mistake to be told anew",
                    state=scene.events,
                )
            assert process.terminate() == 0
        if not round_:
            scene.create("PersistentVolumeClaim", "meanwhile", {ANNOTATION: absent})
    assert told() == Counter([*(f"{name}{n}" for name in ("astray", "wrong") for n in range(3)), "meanwhile"])
