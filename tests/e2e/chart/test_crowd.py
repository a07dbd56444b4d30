"""What it costs to have many targets: memory when they are made, requests when nothing happens."""

from __future__ import annotations

import time
from collections import Counter

from tests.e2e.chart.crowd import Crowd
from tests.e2e.chart.effort import EFFORT
from tests.e2e.chart.figures import Figures
from tests.e2e.chart.place import Place
from tests.e2e.chart.processes import operator_process, resident_megabytes, writes_of_pods
from tests.e2e.chart.release import ACCOUNT, Release

LIMIT_MEGABYTES = 512
"""Of the chart."""


def test_many_targets_fit_into_the_limits(place: Place, release: Release, crowd: Crowd, figures: Figures) -> None:
    release.wait_ready()
    for size in (EFFORT.few_targets, EFFORT.many_targets):
        crowd.grow(size)
        for role, pod in (("leader", release.leader()), ("standby", release.standby())):
            resident = resident_megabytes(operator_process(pod))
            figures.add(f"memory of the {role}, {size} targets", "MiB", resident, goal=LIMIT_MEGABYTES)
            assert resident < LIMIT_MEGABYTES


def test_who_has_nothing_to_do_asks_for_nothing(place: Place, release: Release, crowd: Crowd, figures: Figures) -> None:
    """Two replicas, many targets, nobody who changes anything: the Lease is renewed, and that is all."""

    start, since = place.audit_log.mark(), time.time()

    def quiet() -> bool:
        writes = (write for write in writes_of_pods(place.audit_log, start) if write.resource != "leases")
        return time.time() > max((write.at for write in writes), default=since) + 3

    place.wait(quiet, 120, what="the last writes")
    mark, began = place.audit_log.mark(), time.monotonic()
    place.wait(lambda: time.monotonic() - began > EFFORT.idle_seconds, EFFORT.idle_seconds + 5, what="idle replicas")
    hours = (time.monotonic() - began) / 3600
    requests = Counter((event.verb, event.resource) for event in place.audit_log.requests(mark, user=ACCOUNT))
    assert {each for each in requests if each[0] != "watch"} <= {("update", "leases"), ("get", "")}, requests
    where = f"in {EFFORT.idle_seconds:.0f} s, two replicas, {crowd.size} targets"
    figures.add(f"requests an hour when idle, {where}", "", sum(requests.values()) / hours)
    leases = requests["update", "leases"] / hours
    figures.add(f"of these, renewals of the Lease, {where}", "", leases)
