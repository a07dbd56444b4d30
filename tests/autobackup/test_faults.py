"""The API server and the way to it break in every manner; afterwards all is as the annotations ask for.

Two oracles: the end state, worked out from the live targets (`oracle`), and the API server's audit log, which says how
often anybody wrote what.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, CONFIGURATION, RECOVERY, SECONDS, Stage
from tests.autobackup.traffic import Traffic
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Answer, CutAfter, Delay, DropAfter, DropBefore, Fault
from tests.support.operator import OperatorProcess
from tools.controlplane import ControlPlane, wait_for

USER = "system:serviceaccount:autobackup-system:autobackup"
OFF = ("--health-address=off", "--metrics-address=off")
STASH = "/apis/stash.appscode.com/"
WATCHED = (
    "/backupblueprints",
    "/repositories",
    "/backupconfigurations",
    "/deployments",
    "/statefulsets",
    "/persistentvolumeclaims",
    "/appbindings",
)

pytestmark = pytest.mark.cluster


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(plane.apiserver) as running:
        yield running


@pytest.fixture
def by_proxy(plane: ControlPlane, account: Path, proxy: FaultProxy) -> Path:
    """A kubeconfig whose way to the API server leads through the proxy."""
    assert account.exists()
    return plane.kubeconfig("operator", server=proxy.url)


def relists(process: OperatorProcess) -> list[str]:
    """Why collections were read again as a whole."""
    return [e["reason"] for e in probes.entries(process) if e["msg"] == "Reading a whole collection again"]


def no_duplicates(stage: Stage) -> None:
    """Nobody's data are in two places, and no place holds the data of two."""
    locations = oracle.locations(stage)
    assert len(set(locations)) == len(locations)
    asked = Counter(c["metadata"]["annotations"][oracle.TARGET] for c in stage.configurations())
    assert set(asked.values()) <= {1}


# --- the server goes away


@pytest.mark.parametrize("way", ["terminated", "killed"])
def test_server_restarts_while_events_flow(plane: ControlPlane, account: Path, scene: Stage, way: str) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(account) as process, Traffic(scene, blueprint, seed=len(way)) as people:
        probes.started(process)
        people.more(50)
        if way == "killed":
            plane.kill9()
        else:
            plane.stop()
        restarted = plane.audit_log.mark()
        plane.apiserver.start()
        people.more(50)
        people.stop()
        oracle.agrees(scene, RECOVERY)
        no_duplicates(scene)
        oracle.bounded(plane.audit_log.writes(mark, user=USER, namespace=scene.namespace), people, repeats=2)
        assert process.exit_code is None
        # Each watch went on from where it was; where the new server's memory did not reach back, it said so.
        first: dict[str, str] = {}
        for event in plane.audit_log.requests(restarted, user=USER, verbs={"list", "watch"}):
            assert event.verb == "watch"
            if event.status == 200:
                first.setdefault(event.resource, event.uri)
        assert len(first) == 10
        assert not [uri for uri in first.values() if "sendInitialEvents" in uri or "resourceVersion=&" in uri]
        assert set(relists(process)) <= {"Expired"}
        assert "Traceback" not in process.log()


def test_watches_are_cut_at_random_bytes(plane: ControlPlane, by_proxy: Path, proxy: FaultProxy, scene: Stage) -> None:
    chance = random.Random(20261124)
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(by_proxy) as process, Traffic(scene, blueprint, seed=7) as people:
        probes.started(process)
        people.more(20)
        cuts = [
            proxy.rule(CutAfter(int(2 ** chance.uniform(0, 12)), reset=chance.random() < 0.5), path=path, watch=True)
            for path in WATCHED
            for _ in range(3)
        ]
        proxy.cut_all(reset=True)
        wait_for(
            lambda: all(rule.hits for rule in cuts),
            60,
            what="every watch to be cut three times more",
            state=lambda: [str(rule) for rule in cuts if not rule.hits],
        )
        people.more(40)
        people.stop()
        oracle.agrees(scene, RECOVERY)
        no_duplicates(scene)
        oracle.bounded(plane.audit_log.writes(mark, user=USER, namespace=scene.namespace), people, repeats=1)
        assert relists(process) == [], "a watch that was cut goes on, and reads nothing twice"
        assert not plane.audit_log.requests(mark, user=USER, verbs={"list"})
        assert not probes.complaints(process)


def test_history_is_gone(plane: ControlPlane, by_proxy: Path, proxy: FaultProxy, scene: Stage) -> None:
    """410: what happened in the meantime, deletions too, is found by reading everything once."""
    blueprint = scene.blueprint()
    for number in range(12):
        kind = ("StatefulSet", "Deployment", "AppBinding")[number % 3]
        scene.create(kind, f"t{number}", {ANNOTATION: blueprint})
    with OperatorProcess(by_proxy) as process:
        scene.settled(blueprint, configured=12)
        away = proxy.rule(DropBefore(), times=None)
        proxy.cut_all()
        proxy.wait_for_hits(away)
        scene.delete("StatefulSet", "t0")
        scene.delete("Deployment", "t1")
        scene.annotate("AppBinding", "t2", blueprint=None)
        scene.annotate("StatefulSet", "t3", schedule="1 2 3 * *")
        scene.create("PersistentVolumeClaim", "new", {ANNOTATION: blueprint})
        scene.blueprint(blueprint, schedule="5 5 * * *")
        plane.compact_etcd()
        plane.kill9()
        plane.apiserver.start()
        mark = plane.audit_log.mark()
        proxy.clear()
        oracle.agrees(scene, RECOVERY)
        assert "Expired" in relists(process)
        assert set(relists(process)) == {"Expired"}
        readings = Counter(
            event.resource
            for event in plane.audit_log.requests(mark, user=USER, verbs={"list", "watch"})
            if event.verb == "list" or "sendInitialEvents" in event.uri
        )
        assert max(readings.values()) == 1, readings
        deleted = [e.name for e in plane.audit_log.writes(mark, user=USER) if e.verb == "delete"]
        assert sorted(deleted) == ["app-t2", "deploy-t1", "sts-t0"]


# --- single requests go wrong


TROUBLE: list[Fault] = [
    Answer(429, b"", {"Retry-After": "1"}),
    Answer(500, b"{}"),
    Answer(503, b"no backend", {"Content-Type": "text/plain"}),
    Answer(504),
    Answer(200, b"<html>captive portal</html>", {"Content-Type": "text/html"}),
    Answer(200, b'{"kind":"Status"}'),
    Answer(201, b'{"metadata":'),
    CutAfter(20),
    DropBefore(),
    DropAfter(),
    Delay(2.0),
]
QUICK_TROUBLE = [fault for fault in TROUBLE if not isinstance(fault, Delay)]


def test_requests_fail_in_every_way(plane: ControlPlane, by_proxy: Path, proxy: FaultProxy, scene: Stage) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(by_proxy, *probes.SERVE) as process:
        probes.started(process)
        rules = [
            proxy.rule(fault, method=method, path=f"/namespaces/{scene.namespace}/{plural}")
            for method, plural in (("PATCH", "repositories"), ("PATCH", "backupconfigurations"), ("GET", "deployments"))
            for fault in TROUBLE
        ]
        for number in range(len(rules)):
            scene.create("Deployment", f"t{number}", {ANNOTATION: blueprint})
        scene.settled(blueprint, matched=len(rules), configured=len(rules))
        assert [rule for rule in rules if not rule.hits] == []
        assert oracle.differences(scene) == []
        no_duplicates(scene)
        # What is tried again is nobody's business.
        warnings = [e for e in scene.events() if e["type"] == "Warning"]
        assert [(e["reason"], e["note"]) for e in warnings] == []
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
        assert probes.total(process, "autobackup_targets", state="configured") >= len(rules)
        # Deletions as well, and one whose answer was lost is not taken for a failure.
        endings = [proxy.rule(fault, method="DELETE") for fault in TROUBLE]
        for number in range(len(rules)):
            scene.annotate("Deployment", f"t{number}", blueprint=None)
        wait_for(lambda: not scene.configurations(), RECOVERY, what="every BackupConfiguration to be gone")
        assert [rule for rule in endings if not rule.hits] == []
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
    written = Counter(
        (e.verb, e.resource, e.name)
        for e in plane.audit_log.writes(mark, user=USER, namespace=scene.namespace)
        if e.resource in ("repositories", "backupconfigurations")
    )
    assert max(written.values()) <= 3, written.most_common(3)


def test_third_of_all_requests_fails(plane: ControlPlane, by_proxy: Path, proxy: FaultProxy, scene: Stage) -> None:
    """A bad quarter of an hour of a load balancer, in seconds: watches too."""
    chance = random.Random(5)
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(by_proxy) as process, Traffic(scene, blueprint, seed=11) as people:
        probes.started(process)
        rules = [
            proxy.rule(chance.choice(QUICK_TROUBLE) if chance.random() < 1 / 3 else Delay(0.0)) for _ in range(400)
        ]
        proxy.cut_all()
        people.more(120)
        people.stop()
        oracle.agrees(scene, RECOVERY)
        no_duplicates(scene)
        met = sum(rule.hits for rule in rules)
        assert met > 200
        oracle.bounded(plane.audit_log.writes(mark, user=USER, namespace=scene.namespace), people, repeats=3)
        assert "Traceback" not in process.log()


# --- what people and programs do to us


def configuration_writes(plane: ControlPlane, mark: int, stage: Stage, name: str) -> int:
    """How often the operator wrote one BackupConfiguration."""
    written = plane.audit_log.writes(mark, user=USER, namespace=stage.namespace, resource="backupconfigurations")
    return sum(event.name == name for event in written)


def test_rival_that_undoes_every_write(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    undone = {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupConfiguration",
        "metadata": {"name": "pvc-data", "namespace": scene.namespace},
        "spec": {"schedule": "1 1 1 1 *"},
    }
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        scene.create("PersistentVolumeClaim", "other", {ANNOTATION: blueprint})
        scene.configured("pvc-data")

        def fought(times: int) -> None:
            for _ in range(times):
                scene.api.apply(undone, manager="rival", force=True)
                wait_for(
                    lambda: (scene.find_configuration("pvc-data") or {})["spec"]["schedule"] == "0 2 * * *",
                    SECONDS,
                    what="the schedule to be put right",
                )

        fought(6)
        # The seventh time it is left alone, and told.
        scene.api.apply(undone, manager="rival", force=True)
        event = scene.event("data", "FieldConflict")
        assert event["type"] == "Warning"
        assert f"{scene.namespace}/pvc-data" in event["note"]
        assert scene.failed(blueprint, "data")["reason"] == "FieldConflict"
        written = configuration_writes(plane, mark, scene, "pvc-data")
        assert written == 1 + 6
        for number in range(12):
            scene.api.apply({**undone, "spec": {"schedule": f"{number} 1 1 1 *"}}, manager="rival", force=True)
        # Somebody else's target is done after all of these were seen; ours was not written again.
        scene.create("PersistentVolumeClaim", "last", {ANNOTATION: blueprint})
        scene.settled(blueprint, matched=3, configured=2, failed=1)
        assert configuration_writes(plane, mark, scene, "pvc-data") == written
        assert probes.total(process, "autobackup_applier_oscillation_total", kind="BackupConfiguration") == 1
        told = [e for e in scene.events("data") if e["reason"] == "FieldConflict"]
        assert len(told) == 1
        # The rival has left, and somebody asks for something new: that is done at once.
        scene.annotate("PersistentVolumeClaim", "data", schedule="0 7 * * *")
        wait_for(
            lambda: (scene.find_configuration("pvc-data") or {})["spec"]["schedule"] == "0 7 * * *",
            SECONDS,
            what="the new schedule",
        )
        scene.settled(blueprint, configured=3, failed=0)
        scene.event("data", "Configured")


def test_somebody_deletes_what_we_make_again_and_again(plane: ControlPlane, account: Path, scene: Stage) -> None:
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(account):
        scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
        _, configuration = scene.configured("pvc-data")
        uids = {configuration["metadata"]["uid"]}
        for _ in range(20):
            scene.api.delete(CONFIGURATION, "pvc-data", namespace=scene.namespace)
            wait_for(
                lambda: (scene.find_configuration("pvc-data") or configuration)["metadata"]["uid"] not in uids,
                SECONDS,
                what="the BackupConfiguration to come back",
            )
            uids.add((scene.find_configuration("pvc-data") or configuration)["metadata"]["uid"])
        oracle.agrees(scene, SECONDS)
        scene.settled(blueprint, configured=1, failed=0)
    assert len(uids) == 21
    assert configuration_writes(plane, mark, scene, "pvc-data") == 21
    created = [e for e in scene.events("data") if e["reason"] == "BackupConfigurationCreated"]
    assert len(created) <= 21
    told = plane.audit_log.writes(mark, user=USER, namespace=scene.namespace, resource="events")
    assert len(told) <= 2 * 25, "Events have a budget"


def test_right_is_taken_away_and_given_back(plane: ControlPlane, account: Path, scene: Stage) -> None:
    role = scene.api.get("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-targets")
    before = [dict(rule) for rule in role["rules"]]
    without = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "patch"]}
        if "backupconfigurations" in rule["resources"]
        else rule
        for rule in before
    ]
    assert without != before
    blueprint = scene.blueprint()
    with OperatorProcess(account, *probes.SERVE) as process:
        scene.create("PersistentVolumeClaim", "good", {ANNOTATION: blueprint})
        scene.configured("pvc-good")
        scene.api.patch("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-targets", {"rules": without})
        try:
            wait_for(lambda: not may_patch(scene), SECONDS, what="the right to be gone")
            mark = plane.audit_log.mark()
            scene.create("PersistentVolumeClaim", "data", {ANNOTATION: blueprint})
            event = scene.event("data", "Forbidden")
            assert event["type"] == "Warning"
            assert "backupconfigurations" in event["note"]
            assert scene.failed(blueprint, "data")["reason"] == "Forbidden"
            scene.settled(blueprint, matched=2, configured=1, failed=1)
            assert probes.probe(process, "/readyz")[0] == 200, "the watches are not concerned"
            denied = [
                e for e in plane.audit_log.requests(mark, user=USER, resource="backupconfigurations") if e.is_denied
            ]
            assert 1 <= len(denied) <= 8, "what only a person can mend is not tried in a loop"
        finally:
            scene.api.patch("rbac.authorization.k8s.io/v1/ClusterRole", "autobackup-targets", {"rules": before})
        wait_for(lambda: may_patch(scene), SECONDS, what="the right to be back")
        scene.annotate("PersistentVolumeClaim", "data", schedule="0 7 * * *")
        scene.configured("pvc-data")
        scene.settled(blueprint, configured=2, failed=0)
        scene.event("data", "Configured")


def may_patch(stage: Stage) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": USER,
            "resourceAttributes": {
                "group": "stash.appscode.com",
                "resource": "backupconfigurations",
                "verb": "patch",
                "namespace": stage.namespace,
            },
        },
    }
    answer = stage.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    return bool(answer["status"].get("allowed"))


def test_poison_holds_nobody_up(account: Path, scene: Stage) -> None:
    """Sixty hostile targets, some as large as the API server takes, and ten good ones, which are done at once."""
    blueprint = scene.blueprint(task={"name": "pvc-backup", "params": [{"name": "args", "value": "-"}]})
    hostile: list[dict[str, str]] = [
        {ANNOTATION: "x" * 100_000},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "* " * 125_000},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "9" * 250_000},
        {ANNOTATION: ",".join([blueprint] * 10_000)},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "\x00\x1b[2J\u202e${TARGET_NAME}"},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "@every 1ns"},
        {ANNOTATION: blueprint, "params.stash.appscode.com/args": "${" * 50_000},
        {ANNOTATION: blueprint, "params.stash.appscode.com/nosuch": "1"},
        {ANNOTATION: '{"$ref": "#"}' * 8000},
        {ANNOTATION: blueprint, "stash.appscode.com/schedule": "0-59/1," * 30_000 + "0 * * * *"},
    ]
    for number in range(60):
        scene.create("PersistentVolumeClaim", f"bad{number}", hostile[number % len(hostile)])
    with OperatorProcess(account, *probes.SERVE) as process:
        probes.started(process)
        for number in range(10):
            scene.create("PersistentVolumeClaim", f"good{number}", {ANNOTATION: blueprint})
        for number in range(10):
            scene.configured(f"pvc-good{number}")
        assert probes.probe(process, "/livez") == (200, "ok")
        wait_for(lambda: probes.at_rest(process), SECONDS, what="the queue to be empty")
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
        assert probes.total(process, "autobackup_targets", state="configured") >= 10
        assert probes.total(process, "autobackup_targets", state="failed") >= 40
        log = process.log()
    assert "Traceback" not in log
    assert len(log) < 2_000_000, "what is hostile is not copied into the log"
    for blueprint_ in (blueprint,):
        status = scene.blueprint_status(blueprint_)
        assert len(str(status)) < 100_000
    for event in scene.events():
        assert len(event["note"].encode()) <= 1024
        assert "\x1b" not in event["note"]
