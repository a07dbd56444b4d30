"""Kinds that come and go, namespaces that end, and the garbage collector beside us."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, BLUEPRINT, CONFIGURATION, SECONDS, Stage, grant_operator
from tests.support.cluster import create_namespace, unique_name
from tests.support.operator import OperatorProcess
from tools.controlplane import (
    GARBAGE_COLLECTION,
    OPERATOR,
    ApiFailure,
    ControlPlane,
    install_crds,
    remove_crd,
    wait_for,
)

APPBINDINGS = "appbindings.appcatalog.appscode.com"
LATE = 15.0
"""Within this many seconds a kind is noticed that was not there: the API server tells when its group comes."""

pytestmark = pytest.mark.cluster


def notices(process: OperatorProcess, what: str) -> int:
    return sum(entry["msg"] == what and entry["kind"] == "AppBinding" for entry in probes.entries(process))


def test_kind_comes_goes_and_comes_back(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Two operators share the waiting: one that started with the kind and saw it go, one that started without it."""
    api = plane.client("admin")
    later = Stage(api, unique_name("later"))
    create_namespace(api, later.namespace)
    blueprint = scene.blueprint()
    with OperatorProcess(account, *probes.SERVE) as old:
        for number in range(5):
            scene.create("AppBinding", f"db{number}", {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=6)
        before = {c["metadata"]["name"]: c["metadata"]["uid"] for c in scene.configurations()}
        mark = plane.audit_log.mark()
        line = probes.length(old)
        remove_crd(api, APPBINDINGS)
        wait_for(lambda: notices(old, "Kind is not served; waiting for it"), SECONDS, what="the operator to notice")
        # The server took the objects along; it was nobody's wish that their backups end.
        assert {c["metadata"]["name"]: c["metadata"]["uid"] for c in scene.configurations()} == before
        assert [e.name for e in plane.audit_log.writes(mark, user=OPERATOR) if e.verb == "delete"] == []
        assert not probes.complaints(old, since=line)
        # Everything else goes on.
        scene.create("PersistentVolumeClaim", "more", {ANNOTATION: blueprint})
        scene.configured("pvc-more")
        assert probes.probe(old, "/readyz")[0] == 200
        with OperatorProcess(account, *probes.SERVE, f"--namespaces={later.namespace}") as new:
            wait_for(lambda: probes.probe(new, "/readyz")[0] == 200, SECONDS, what="readiness without the kind")
            later.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
            later.configured("pvc-data")
            assert notices(new, "Kind is not served; waiting for it") == 1
            install_crds(api, only=[APPBINDINGS])
            for number in range(5):
                scene.create("AppBinding", f"db{number}", {ANNOTATION: blueprint})
            later.create("AppBinding", "db", {ANNOTATION: blueprint})
            began = time.monotonic()
            for process in (old, new):
                wait_for(lambda p=process: notices(p, "Kind is served"), LATE, what="the kind to be noticed")
            assert time.monotonic() - began < LATE
            oracle.agrees(scene, SECONDS)
            oracle.agrees(later, SECONDS)
            after = {c["metadata"]["name"]: c["metadata"]["uid"] for c in scene.configurations()}
            assert {name: after[name] for name in before} == before, "the same objects serve the new targets"
            for process in (old, new):
                assert not probes.complaints(process)
                assert len([e for e in probes.entries(process) if "appbindings" in str(e)]) < 40, "no log noise"


def test_kind_gets_a_field_and_loses_it_again(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """A newer release brings a field, somebody uses it, and the release is taken back: the operator lets it be."""
    api = plane.client("admin")
    definition = "apiextensions.k8s.io/v1/CustomResourceDefinition"
    name = "backupconfigurations.stash.appscode.com"
    before = api.get(definition, name)["spec"]["versions"]
    newer = copy.deepcopy(before)
    newer[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["fromTheFuture"] = {"type": "string"}
    blueprint = scene.blueprint()
    theirs = {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupConfiguration",
        "metadata": {"name": "pvc-data", "namespace": scene.namespace},
        "spec": {"fromTheFuture": "yes"},
    }

    def use_the_field() -> bool:
        try:
            return bool(api.apply(theirs, manager="newer")["spec"].get("fromTheFuture") == "yes")
        except ApiFailure as failure:
            if failure.status == 500:  # the schema by which the server merges is made a little later
                return False
            raise

    def spec() -> dict[str, Any]:
        found: dict[str, Any] = (scene.find_configuration("pvc-data") or {})["spec"]
        return found

    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=1)
        try:
            api.patch(definition, name, {"spec": {"versions": newer}})
            wait_for(use_the_field, SECONDS, what="the new field to be served")
            mark = plane.audit_log.mark()
            scene.blueprint(blueprint, schedule="7 7 * * *")
            wait_for(lambda: spec()["schedule"] == "7 7 * * *", SECONDS, what="the edit to arrive")
            assert spec()["fromTheFuture"] == "yes", "what others own stays"
        finally:
            api.patch(definition, name, {"spec": {"versions": before}})
        wait_for(lambda: "fromTheFuture" not in spec(), SECONDS, what="the field to be pruned")
        scene.blueprint(blueprint, schedule="8 8 * * *")
        wait_for(lambda: spec()["schedule"] == "8 8 * * *", SECONDS, what="the next edit to arrive")
        scene.settled(blueprint, configured=1)
        wait_for(lambda: probes.at_rest(process), SECONDS, what="the queue to be empty")
        written = plane.audit_log.writes(
            mark, user=OPERATOR, namespace=scene.namespace, resource="backupconfigurations"
        )
        assert len(written) == 2, "one write for each edit, and none about the field"
        # What is asked of the kind while the server changes it may be refused once.
        assert not [
            told for told in probes.complaints(process) if "storage is (re)initializing" not in told.get("err", "")
        ]


def test_own_kinds_are_installed_late() -> None:
    """The operator was rolled out before its CRDs: it waits, says for what, and begins when they are there."""
    with ControlPlane(audit=False) as bare:
        api = bare.client("admin")
        with OperatorProcess(grant_operator(bare), *probes.SERVE) as process:
            missing = ("backupblueprints", "repositories", "backupconfigurations", "manifests/crds")

            def says_what_is_missing() -> bool:
                status, text = probes.probe(process, "/readyz")
                return status == 500 and all(kind in text for kind in missing) and "deployments" not in text

            wait_for(
                says_what_is_missing,
                SECONDS,
                what="/readyz to say which kinds are missing, and no others",
                state=lambda: probes.probe(process, "/readyz"),
            )
            assert probes.probe(process, "/livez") == (200, "ok")
            assert len(probes.complaints(process)) <= 10
            install_crds(api)
            wait_for(lambda: probes.probe(process, "/readyz")[0] == 200, 2 * LATE, what="readiness", state=process.tail)
            stage = Stage(api, "default")
            blueprint = stage.blueprint()
            stage.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
            stage.configured("pvc-data")
            assert process.terminate() == 0


# --- beside the controllers of a real cluster


@pytest.fixture
def controllers(plane: ControlPlane) -> Iterator[None]:
    plane.start_controllers(GARBAGE_COLLECTION)
    yield
    plane.stop_controllers()


@pytest.mark.usefixtures("controllers")
def test_namespace_with_targets_is_deleted(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    doomed = Stage(scene.api, unique_name("doomed"))
    create_namespace(scene.api, doomed.namespace)
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("Deployment", "stays", {ANNOTATION: blueprint})
        for number in range(12):
            kind = ("Deployment", "StatefulSet", "AppBinding")[number % 3]
            doomed.create(kind, f"t{number}", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=13)
        line = probes.length(process)
        scene.api.delete("v1/Namespace", doomed.namespace)
        wait_for(
            lambda: scene.api.find("v1/Namespace", doomed.namespace) is None,
            60,
            what="the namespace to be gone",
            state=lambda: scene.api.find("v1/Namespace", doomed.namespace),
        )
        scene.settled(blueprint, matched=1, configured=1, failed=0)
        assert scene.api.list(CONFIGURATION, namespace=doomed.namespace) == []
        assert not probes.complaints(process, since=line)
        wait_for(lambda: probes.at_rest(process), SECONDS, what="the queue to be empty")
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
        assert probes.total(process, "workqueue_retries_total") == 0


@pytest.mark.usefixtures("controllers")
def test_garbage_collector_is_no_rival(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    with OperatorProcess(account, *probes.SERVE) as process:
        for number in range(10):
            scene.create("Deployment", f"t{number}", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=10)
        mark = plane.audit_log.mark()
        for number in range(10):
            scene.delete("Deployment", f"t{number}")
        wait_for(lambda: not scene.configurations(), SECONDS, what="the BackupConfigurations to be gone")
        scene.settled(blueprint, matched=0)
        # Whoever is faster deletes it, and nobody makes it anew. The Repositories stand for data and stay.
        made = [
            event
            for event in plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace)
            if event.verb == "patch" and event.resource in ("repositories", "backupconfigurations")
        ]
        assert made == []
        assert len(scene.repositories()) == 10
        # The same names again, at once: owners have new uids, and the collector must not mistake the new for the old.
        for number in range(10):
            scene.create("Deployment", f"t{number}", {ANNOTATION: blueprint})
        for number in range(0, 10, 2):
            scene.delete("Deployment", f"t{number}")
            scene.create("Deployment", f"t{number}", {ANNOTATION: blueprint})
        oracle.agrees(scene, 30)
        scene.settled(blueprint, matched=10, configured=10)
        assert not probes.complaints(process)
        assert len(scene.repositories()) == 10


def test_target_that_is_being_deleted_is_not_waited_for(account: Path, scene: Stage) -> None:
    """A volume that a pod uses stays for as long as the pod does; its blueprint is at rest meanwhile."""
    blueprint = scene.blueprint()
    with OperatorProcess(account):
        scene.create("PersistentVolumeClaim", "used", {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=2)
        scene.delete("PersistentVolumeClaim", "used")
        assert (
            "deletionTimestamp"
            in scene.api.get("v1/PersistentVolumeClaim", "used", namespace=scene.namespace)["metadata"]
        )
        scene.settled(blueprint, matched=1, configured=1)
        assert scene.condition(blueprint, "Reconciling")["status"] == "False"
        assert scene.find_configuration("pvc-used") is not None, "backups go on until it is gone"
        generation = scene.api.get(BLUEPRINT, blueprint)["metadata"]["generation"]
        assert scene.condition(blueprint, "Ready")["observedGeneration"] == generation
