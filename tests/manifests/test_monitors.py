"""What the chart renders for prometheus-operator, on an API server with its CRDs: no unknown field, no bad value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tools.controlplane import ApiClient, ApiFailure, install_crds
from tools.controlplane.manifests import remove_crd
from tools.gotools.monitoring import monitoring_crds
from tools.manifests import render

Object = dict[str, Any]
SECRET = {"name": "prometheus-token", "key": "token"}
VALUES: dict[str, Object] = {
    "service": {"metrics": {"serviceMonitor": {"enabled": True}}},
    "service-verified": {"metrics": {"certificateSecret": "tls", "serviceMonitor": {"enabled": True}}},
    "service-plain": {"metrics": {"secure": False, "serviceMonitor": {"enabled": True, "bearerTokenSecret": SECRET}}},
    "pod": {"metrics": {"podMonitor": {"enabled": True, "bearerTokenSecret": SECRET}}},
    "pod-verified": {
        "metrics": {"certificateSecret": "tls", "podMonitor": {"enabled": True, "bearerTokenSecret": SECRET}}
    },
    "pod-plain": {"metrics": {"secure": False, "podMonitor": {"enabled": True, "interval": "1m"}}},
    "rule": {"prometheusRule": {"enabled": True}},
}


@pytest.fixture(scope="module")
def monitoring(admin: ApiClient) -> Iterator[ApiClient]:
    """A client of the API server, which has the CRDs for the length of this module."""
    names = install_crds(admin, monitoring_crds())
    yield admin
    for name in names:
        remove_crd(admin, name)


def rendered(values: Object) -> Object:
    (found,) = (each.content for each in render(values) if each.content["apiVersion"].startswith("monitoring."))
    return found


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_monitors_and_rules_are_what_their_crds_allow(monitoring: ApiClient, values: Object) -> None:
    wanted = rendered(values)
    kept = monitoring.apply(wanted, dry_run=True)
    assert kept["spec"] == wanted["spec"]


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ("service", ("spec", "endpoints", 0, "schema"), "schema"),
        ("pod", ("spec", "podMetricsEndpoints", 0, "bearerTokenFile"), "bearerTokenFile"),
        ("pod", ("spec", "podMetricsEndpoints", 0, "interval"), "interval"),
        ("rule", ("spec", "groups", 0, "rules", 0, "for"), "for"),
    ],
)
def test_a_mistake_would_be_found(monitoring: ApiClient, values: str, field: tuple[str | int, ...], said: str) -> None:
    spoilt = found = rendered(VALUES[values])
    for step in field[:-1]:
        found = found[step]  # type: ignore[index]
    found[field[-1]] = "soon"  # type: ignore[index]
    with pytest.raises(ApiFailure, match=said):
        monitoring.apply(spoilt, dry_run=True)
