"""A real Prometheus scrapes the replicas by the shipped settings, and has an answer to all that is asked of it."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.release import Release, name_of
from tests.e2e.chart.scraping import Prometheus, prometheus, read_metrics, reader
from tests.manifests.promql import family, metrics
from tests.manifests.test_alerts import expressions
from tools.image import PackagesMissing, require_programs
from tools.manifests import render
from tools.manifests.chart import NAMESPACE

TOKEN = {"name": "prometheus-token", "key": "token"}


def shipped(monitor: str, **settings: object) -> dict[str, Object]:
    """The monitor and the rules, by kind, as the chart renders them."""
    values = {"metrics": {monitor: {"enabled": True, **settings}}, "prometheusRule": {"enabled": True}}
    return {document.kind: document.content for document in render(values)}


@contextmanager
def scraping(place: Place, release: Release, monitor: Object, rule: Object, folder: Path) -> Iterator[Prometheus]:
    """Prometheus, once it has scraped both replicas."""
    try:
        require_programs({"prometheus": "prometheus", "nsenter": "util-linux"}, purpose="scraping metrics")
    except PackagesMissing as missing:
        pytest.skip(f"NOTHING WAS SCRAPED: {missing}")
    release.wait_ready()
    with prometheus(place, monitor, rule, folder) as running:

        def both_are_up() -> bool:
            pods = {name_of(pod) for pod in release.wait_ready()}
            up = [each["metric"]["pod"] for each in running.query('up{job="autobackup"} == 1')]
            assert sorted(up) == sorted(pods), running.ask("targets")["activeTargets"]
            return True

        place.wait(both_are_up, 30, what="Prometheus to have scraped both replicas")
        yield running


@pytest.fixture(scope="module")
def scraped(place: Place, release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    found = shipped("serviceMonitor")
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(place, release, found["ServiceMonitor"], found["PrometheusRule"], folder) as running:
        yield running


def test_a_pod_monitor_does_the_same(place: Place, release: Release, tmp_path: Path) -> None:
    """Without the Service, and with a token out of a Secret, which is all that a PodMonitor can name."""
    text = {TOKEN["key"]: reader(place)}
    where = {"name": TOKEN["name"], "namespace": NAMESPACE}
    place.apply({"apiVersion": "v1", "kind": "Secret", "metadata": where, "stringData": text})
    found = shipped("podMonitor", bearerTokenSecret=TOKEN)
    with scraping(place, release, found["PodMonitor"], found["PrometheusRule"], tmp_path) as running:
        (leading,) = running.query('leader_election_master_status{job="autobackup"} == 1')
        assert leading["metric"]["pod"] == name_of(release.leader())
        assert leading["metric"]["namespace"] == NAMESPACE


def test_exactly_one_replica_says_that_it_leads(place: Place, release: Release, scraped: Prometheus) -> None:
    def one() -> bool:
        (found,) = scraped.query('sum(leader_election_master_status{job="autobackup"})')
        assert found["value"][1] == "1"
        (leading,) = scraped.query('leader_election_master_status{job="autobackup"} == 1')
        assert leading["metric"]["pod"] == name_of(release.leader())
        return True

    place.wait(one, 20, what="one leader among the metrics")


def test_every_alert_is_evaluated_and_none_is_about_this(place: Place, release: Release, scraped: Prometheus) -> None:
    def evaluated() -> list[dict[str, object]]:
        rules = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
        assert rules
        assert {rule["health"] for rule in rules} == {"ok"}, rules
        return rules

    rules = place.wait(evaluated, 30, what="every rule to be evaluated")
    firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
    # Tests take leaders away all the time.
    assert firing <= {"AutobackupLeaderFlapping"}


def test_whatever_alerts_and_dashboards_ask_for_is_scraped(scraped: Prometheus) -> None:
    known = set(scraped.ask("metadata"))
    for where, expression in expressions():
        scraped.query(expression.replace("$__range", "1h"))
        for name in metrics(expression) - {"up"}:
            names = {name, family(name), name.removesuffix("_total")}
            assert names & known, f"{where}: {name} is not in the scrape"


def test_who_has_no_right_is_told_nothing(place: Place, release: Release, scraped: Prometheus) -> None:
    (pod, *_) = release.wait_ready()
    assert "autobackup_build_info" in read_metrics(place, pod)
    local = place.own.forward(pod["status"]["podIP"], 8080)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stranger = place.kubectl("create", "token", "default", "-n", "default").strip()
    for headers, status in (({}, 401), ({"Authorization": f"Bearer {stranger}"}, 403)):
        request = urllib.request.Request(f"https://127.0.0.1:{local}/metrics", headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20, context=context)
        refused.value.close()
        assert refused.value.code == status
