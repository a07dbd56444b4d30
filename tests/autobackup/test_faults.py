"""The API server and the way to it break in every manner; afterwards all is as the annotations ask for.

Two oracles: the end state, worked out from the live targets (`oracle`), and the API server's audit log, which says how
often anybody wrote what.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, RECOVERY, Stage
from tests.autobackup.traffic import Traffic
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Answer, CutAfter, Delay, DropAfter, DropBefore, Fault
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

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
        oracle.no_duplicates(scene)
        oracle.bounded(plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace), people, repeats=2)
        assert process.exit_code is None
        # The new server does not remember what we were told last, so each collection is read, once.
        asked = list(plane.audit_log.requests(restarted, user=OPERATOR, verbs={"list", "watch"}))
        assert {e.verb for e in asked} == {"watch"}
        everything = [e for e in plane.audit_log.requests(mark, user=OPERATOR, verbs={"watch"}) if e.status == 200]
        readings = Counter(e.resource for e in asked if "sendInitialEvents" in e.uri and e.status == 200)
        at_the_start = Counter(e.resource for e in everything if "sendInitialEvents" in e.uri) - readings
        assert readings.keys() == {e.resource for e in everything}
        assert readings <= at_the_start, (readings, at_the_start)
        assert set(probes.relists(process)) <= {"Expired", "history"}
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
        oracle.no_duplicates(scene)
        oracle.bounded(plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace), people, repeats=1)
        assert probes.relists(process) == [], "a watch that was cut goes on, and reads nothing twice"
        assert not plane.audit_log.requests(mark, user=OPERATOR, verbs={"list"})
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
        assert set(probes.relists(process)) == {"history"}
        readings = Counter(
            event.resource
            for event in plane.audit_log.requests(mark, user=OPERATOR, verbs={"list", "watch"})
            if event.verb == "list" or "sendInitialEvents" in event.uri
        )
        # Each is begun once; a reading that breaks off, as it may early in the life of a server, is made again.
        begun = [entry for entry in probes.entries(process) if entry["msg"] == "Reading a whole collection again"]
        again = Counter(entry["resource"] for entry in begun)
        failed = [(e["resource"], e.get("error")) for e in probes.entries(process) if "failed and is tried" in e["msg"]]
        assert max(again.values()) == 1, again
        assert max(readings.values()) <= 2, (readings, failed)
        deleted = [e.name for e in plane.audit_log.writes(mark, user=OPERATOR) if e.verb == "delete"]
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
        requests = (
            ("PATCH", "repositories/deploy-"),
            ("PATCH", "backupconfigurations/deploy-"),
            ("GET", "deployments/"),
        )
        troubles = [(method, path, fault) for method, path in requests for fault in TROUBLE]
        # One for each target: who met several in a row would tell of it, as it should.
        names = [f"t{number:02}" for number in range(len(troubles))]
        rules = [
            proxy.rule(fault, method=method, path=f"/namespaces/{scene.namespace}/{path}{name}")
            for name, (method, path, fault) in zip(names, troubles, strict=True)
        ]
        for name in names:
            scene.create("Deployment", name, {ANNOTATION: blueprint})
        scene.settled(blueprint, matched=len(rules), configured=len(rules))
        assert [rule for rule in rules if not rule.hits] == []
        assert oracle.differences(scene) == []
        oracle.no_duplicates(scene)
        # What is tried again is nobody's business.
        warnings = [e for e in scene.events() if e["type"] == "Warning"]
        assert [(e["reason"], e["note"]) for e in warnings] == []
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
        assert probes.total(process, "autobackup_targets", state="configured") >= len(rules)
        # Deletions as well, and one whose answer was lost is not taken for a failure.
        endings = [proxy.rule(fault, method="DELETE") for fault in TROUBLE]
        for name in names:
            scene.annotate("Deployment", name, blueprint=None)
        wait_for(lambda: not scene.configurations(), RECOVERY, what="every BackupConfiguration to be gone")
        assert [rule for rule in endings if not rule.hits] == []
        assert probes.total(process, "controller_runtime_reconcile_panics_total") == 0
    written = Counter(
        (e.verb, e.resource, e.name)
        for e in plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace)
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
        oracle.no_duplicates(scene)
        met = sum(rule.hits for rule in rules)
        assert met > 200
        oracle.bounded(plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace), people, repeats=3)
        assert "Traceback" not in process.log()
