"""What is behind the API server goes wrong: its storage, or one server of several."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, RECOVERY, Stage
from tests.autobackup.traffic import Traffic
from tests.support.faultproxy import FaultProxy
from tests.support.link import Link
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

pytestmark = pytest.mark.cluster


def deletions(plane: ControlPlane, mark: int, stage: Stage) -> list[str]:
    """What the operator asked the server to delete."""
    return [
        e.name for e in plane.audit_log.writes(mark, user=OPERATOR, namespace=stage.namespace) if e.verb == "delete"
    ]


def test_etcd_hangs_while_people_work(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Every write under way gets no answer, and may have taken effect or not."""
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(account, *probes.SERVE) as process, Traffic(scene, blueprint, seed=3) as people:
        probes.started(process)
        people.more(30)
        plane.stall_etcd()
        try:
            wait_for(
                lambda: (
                    probes.total(process, "rest_client_requests_total", method="PATCH", code="<error>")
                    + probes.total(process, "rest_client_requests_total", method="PATCH", code="504")
                ),
                RECOVERY,
                what="a write to end without an answer",
                state=process.tail,
            )
            assert probes.probe(process, "/livez") == (200, "ok")
        finally:
            plane.resume_etcd()
        people.more(30, RECOVERY)
        people.stop()
        oracle.agrees(scene, RECOVERY)
        oracle.no_duplicates(scene)
        oracle.bounded(plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace), people, repeats=3)
        assert process.exit_code is None


def test_server_has_too_much_to_do(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """It carries out one write at a time and refuses the others, with a word on when to come back."""
    blueprint = scene.blueprint()
    for number in range(40):
        scene.create("PersistentVolumeClaim", f"t{number}", {ANNOTATION: blueprint})
    plane.restart(flags={"enable-priority-and-fairness": "false", "max-mutating-requests-inflight": "1"})
    try:
        mark = plane.audit_log.mark()
        with OperatorProcess(account, *probes.SERVE) as process:
            oracle.agrees(scene, RECOVERY)
            scene.settled(blueprint, configured=40, failed=0)
            refused = [e for e in plane.audit_log.requests(mark, user=OPERATOR) if e.status == 429]
            assert refused, "the server was asked by several at a time"
            assert len(refused) < 400
            assert [e["note"] for e in scene.events() if e["type"] == "Warning"] == []
            assert [(e["msg"], e.get("err")) for e in probes.complaints(process)] == []
        written = Counter(
            (e.resource, e.name)
            for e in plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace)
            if e.resource in ("repositories", "backupconfigurations") and e.status < 300
        )
        assert len(written) == 80
        assert set(written.values()) == {1}
    finally:
        plane.restart(flags={})


def test_one_of_two_servers_lags_behind(plane: ControlPlane, account: Path, scene: Stage) -> None:
    """Two API servers, and one of them has lost sight of etcd: a load balancer leads every watch to it, and every write
    to the other one. What the operator does on what it knows is harmless, and it ends where it would have ended."""
    assert account.exists()
    blueprint = scene.blueprint()
    with Link(plane.etcd.url) as link, FaultProxy(plane.apiserver) as proxy:
        behind = plane.second_apiserver(etcd_url=link.url)
        by_proxy = plane.kubeconfig("operator", server=proxy.url)
        try:
            with OperatorProcess(by_proxy) as process:
                for number in range(6):
                    kind = ("StatefulSet", "Deployment", "AppBinding")[number % 3]
                    scene.create(kind, f"t{number}", {ANNOTATION: blueprint})
                scene.settled(blueprint, configured=6)
                link.pause()
                scene.annotate("StatefulSet", "t0", schedule="1 2 3 * *")
                scene.create("Deployment", "known", {ANNOTATION: blueprint})
                oracle.agrees(scene, RECOVERY)
                # The past: its watches lead to a server that knows less than the operator does.
                mark = plane.audit_log.mark()
                proxy.send_to(behind, watch=True)
                proxy.cut_all()
                scene.annotate("Deployment", "t1", blueprint=None)
                scene.delete("AppBinding", "t2")
                scene.create("StatefulSet", "unseen", {ANNOTATION: blueprint})
                scene.blueprint(blueprint, schedule="7 7 * * *")
                asked = behind.audit_log.mark()
                wait_for(
                    lambda: len(behind.audit_log.requests(asked, user=OPERATOR, verbs={"watch", "list"})) >= 10,
                    RECOVERY,
                    what="the operator to ask the server that lags behind",
                    state=process.tail,
                )
                # A new process knows nothing else, and does nothing before it knows the present.
                process.kill()
                process.start()
                wait_for(
                    lambda: any(
                        entry["msg"] == "Watching failed and is tried again" for entry in probes.entries(process)
                    ),
                    RECOVERY,
                    what="the new process to be told nothing",
                    state=process.tail,
                )
                assert deletions(plane, mark, scene) == []
                assert scene.find_configuration("deploy-known") is not None
                link.resume()
                oracle.agrees(scene, RECOVERY)
                oracle.no_duplicates(scene)
                assert sorted(deletions(plane, mark, scene)) == ["app-t2", "deploy-t1"]
                repositories = plane.audit_log.writes(
                    mark, user=OPERATOR, namespace=scene.namespace, resource="repositories"
                )
                assert [event.name for event in repositories if event.status < 300] == ["sts-unseen"]
                assert process.exit_code is None
        finally:
            behind.kill9()
