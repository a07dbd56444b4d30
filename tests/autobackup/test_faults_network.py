"""The way to the API server is slow, or forgets what it carried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.autobackup import oracle, probes
from tests.autobackup.stage import ANNOTATION, RECOVERY, SECONDS, Stage
from tests.support.faultproxy import FaultProxy
from tests.support.faults import Delay, Throttle
from tests.support.operator import OperatorProcess
from tools.controlplane import OPERATOR, ControlPlane, wait_for

SILENCE = 70.0
"""After so many seconds without a byte a watch counts as dead."""

pytestmark = pytest.mark.cluster


@pytest.mark.slow
def test_connection_dies_and_nobody_says_so(
    plane: ControlPlane, by_proxy: Path, proxy: FaultProxy, scene: Stage
) -> None:
    """The watch of one kind is dead for more than a minute; the others have nothing to tell meanwhile but bookmarks."""
    blueprint = scene.blueprint()
    with OperatorProcess(by_proxy, *probes.SERVE) as process:
        for number in range(6):
            kind = ("Deployment", "StatefulSet", "AppBinding")[number % 3]
            scene.create(kind, f"t{number}", {ANNOTATION: blueprint})
        scene.settled(blueprint, configured=6)
        quiet = int(scene.api.request("GET", "/apis/apps/v1/statefulsets")["metadata"]["resourceVersion"])
        mark = plane.audit_log.mark()
        assert proxy.silence("/deployments") >= 1
        scene.create("Deployment", "new", {ANNOTATION: blueprint})
        scene.delete("Deployment", "t0")
        scene.annotate("Deployment", "t3", schedule="1 2 3 * *")
        # People in a hurry see no lie: the blueprint says nothing of what nobody has heard yet.
        assert oracle.differences(scene) != []
        oracle.agrees(scene, SILENCE + RECOVERY)
        scene.settled(blueprint, matched=6, configured=6)
        oracle.no_duplicates(scene)
        assert probes.total(process, "autobackup_watch_restarts_total", resource="deployments") >= 1
        # What was quiet has moved on by bookmarks, and goes on from there.
        proxy.cut_all()
        resumed = plane.audit_log.mark()
        scene.create("StatefulSet", "last", {ANNOTATION: blueprint})
        scene.configured("sts-last")
        watches = plane.audit_log.requests(resumed, user=OPERATOR, resource="statefulsets", verbs={"watch"})
        versions = [int(found[1]) for event in watches if (found := re.search(r"resourceVersion=(\d+)", event.uri))]
        assert max(versions) > quiet
        assert probes.relists(process) == []
        written = [
            e.name for e in plane.audit_log.writes(mark, user=OPERATOR, resource="repositories") if e.status < 300
        ]
        assert sorted(written) == ["deploy-new", "sts-last"]


def test_answers_are_slow(plane: ControlPlane, by_proxy: Path, proxy: FaultProxy, scene: Stage) -> None:
    """Three targets whose requests take for ever keep nobody else waiting."""
    blueprint = scene.blueprint()
    mark = plane.audit_log.mark()
    with OperatorProcess(by_proxy, *probes.SERVE) as process:
        probes.started(process)
        slow = [
            proxy.rule(fault, method="PATCH", path=f"/namespaces/{scene.namespace}/repositories/deploy-slow{number}")
            for number, fault in enumerate((Throttle(1), Throttle(20), Delay(15.0)))
        ]
        for number in range(3):
            scene.create("Deployment", f"slow{number}", {ANNOTATION: blueprint})
        wait_for(lambda: all(rule.hits for rule in slow), SECONDS, what="the slow requests to be under way")
        for number in range(20):
            scene.create("Deployment", f"t{number}", {ANNOTATION: blueprint})
        for number in range(20):
            scene.configured(f"deploy-t{number}")
        assert probes.probe(process, "/livez") == (200, "ok")
        oracle.agrees(scene, RECOVERY)
        scene.settled(blueprint, matched=23, configured=23)
        oracle.no_duplicates(scene)
    written = plane.audit_log.writes(mark, user=OPERATOR, namespace=scene.namespace, resource="repositories")
    assert all(sum(other.name == event.name for other in written) <= 3 for event in written)
