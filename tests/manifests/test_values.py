"""What the values of the chart do, and which are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobackup import __version__
from controller import config
from tools.manifests import CHART, ChartError, Document
from tools.manifests import chart as charts
from tools.reference.rbac import rules_table

Object = dict[str, Any]


def render(values: Object | None = None, **more: Any) -> list[Document]:
    """Without the CRDs where a test is not about them: they are most of the work."""
    found = values or {}
    return charts.render({**found, "crds": {"enabled": False, **found.get("crds", {})}}, **more)


def only(found: list[Document], kind: str, name: str = "") -> Object:
    (document,) = (each for each in found if each.kind == kind and (not name or each.name == name))
    return document.content


def pod(found: list[Document]) -> Object:
    spec: Object = only(found, "Deployment")["spec"]["template"]["spec"]
    return spec


def bindings(found: list[Document]) -> set[tuple[str, str]]:
    """(namespace or "" for the cluster, role) of everything that is bound to the operator."""
    return {
        (each.content["metadata"].get("namespace", ""), each.content["roleRef"]["name"])
        for each in found
        if each.kind in ("ClusterRoleBinding", "RoleBinding")
    }


def settings(found: list[Document], tmp_path: Path) -> config.Settings:
    """The configuration as the operator reads it."""
    file = tmp_path / "config.yaml"
    file.write_text(only(found, "ConfigMap", "autobackup")["data"]["config.yaml"])
    return config.load(str(file), environ={})


@pytest.fixture(scope="module")
def default() -> list[Document]:
    return render()


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__


def test_the_operator_understands_its_configuration(default: list[Document], tmp_path: Path) -> None:
    found = settings(default, tmp_path)
    assert found.namespaces == ()
    assert found.leader_election == "always"
    assert (found.lease_name, found.lease_namespace) == ("autobackup", "autobackup-system")
    assert (found.lease_seconds, found.renew_seconds, found.retry_seconds) == (15, 10, 2)
    assert found.metrics_secure
    assert found.log_format == "json"


def test_config_is_laid_over_the_other_values(tmp_path: Path) -> None:
    found = settings(
        render({"config": {"workers": 3, "leaderElection": {"retryPeriodSeconds": 1}}, "namespaces": ["shop"]}),
        tmp_path,
    )
    assert found.workers == 3
    assert found.namespaces == ("shop",)
    assert (found.retry_seconds, found.renew_seconds) == (1, 10)


def test_ports_are_the_ones_that_the_operator_listens_on(tmp_path: Path) -> None:
    found = render({"health": {"port": 9001}, "metrics": {"port": 9002}})
    loaded = settings(found, tmp_path)
    assert loaded.health_address is not None
    assert loaded.metrics_address is not None
    ports = {each["name"]: each["containerPort"] for each in pod(found)["containers"][0]["ports"]}
    assert ports == {"health": loaded.health_address.port, "metrics": loaded.metrics_address.port}


def test_metrics_can_be_off(tmp_path: Path) -> None:
    found = render({"metrics": {"enabled": False}})
    assert settings(found, tmp_path).metrics_address is None
    assert not [each for each in found if each.kind == "Service"]
    assert ("", "autobackup-metrics-access") not in bindings(found)


def test_two_replicas_that_are_kept_apart_and_survive_a_drain(default: list[Document]) -> None:
    assert only(default, "Deployment")["spec"]["replicas"] == 2
    assert only(default, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    spread = {each["topologyKey"] for each in pod(default)["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_the_pod_is_stopped_after_its_work_is(default: list[Document], tmp_path: Path) -> None:
    assert pod(default)["terminationGracePeriodSeconds"] > settings(default, tmp_path).shutdown_grace_seconds + 2
    with pytest.raises(ChartError, match="work in progress would be killed"):
        render({"config": {"shutdownGraceSeconds": 29}})


@pytest.mark.parametrize(
    "off", [{"leaderElection": {"enabled": False}}, {"config": {"leaderElection": {"enabled": "never"}}}]
)
def test_replicas_without_an_election_are_refused(off: Object) -> None:
    with pytest.raises(ChartError, match="two operators would work at the same time"):
        render(off)
    found = render({**off, "replicaCount": 1})
    assert only(found, "Deployment")["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"leaderElection": {"leaseDurationSeconds": 5}}, "lease > renew > 1.2 x retry"),
        ({"leaderElection": {"retryPeriodSeconds": 9}}, "lease > renew > 1.2 x retry"),
        ({"health": {"port": 8080}}, "metrics.port and health.port are both 8080"),
        ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}}, "would find nothing"),
    ],
)
def test_values_with_which_nothing_would_work_are_refused(values: Object, told: str) -> None:
    with pytest.raises(ChartError, match=re.escape(told)):
        render(values)


def test_all_namespaces(default: list[Document]) -> None:
    assert bindings(default) == {
        ("", "autobackup-blueprints"),
        ("", "autobackup-namespaces"),
        ("", "autobackup-targets"),
        ("", "autobackup-events"),
        ("", "autobackup-metrics-access"),
        ("autobackup-system", "autobackup-leader-election"),
    }


def test_some_namespaces(tmp_path: Path) -> None:
    found = render({"namespaces": ["shop", "blog"]})
    assert settings(found, tmp_path).namespaces == ("shop", "blog")
    assert bindings(found) == {
        ("", "autobackup-blueprints"),
        ("", "autobackup-namespaces"),
        ("", "autobackup-metrics-access"),
        ("autobackup-system", "autobackup-leader-election"),
        *((namespace, role) for namespace in ("shop", "blog") for role in ("autobackup-targets", "autobackup-events")),
        ("default", "autobackup-events"),
    }
    narrow = render({"namespaces": ["shop", "blog"], "rbac": {"readNamespaces": False}})
    assert bindings(found) - bindings(narrow) == {("", "autobackup-namespaces")}


def test_the_lease_is_the_one_that_the_role_names(tmp_path: Path) -> None:
    found = render({"leaderElection": {"leaseName": "other", "namespace": "elsewhere"}})
    (rule,) = only(found, "ClusterRole", "autobackup-leader-election")["rules"]
    loaded = settings(found, tmp_path)
    assert rule["resourceNames"] == [loaded.lease_name] == ["other"]
    assert (loaded.lease_namespace, "autobackup-leader-election") in bindings(found)


@pytest.mark.parametrize("values", [{}, {"namespaces": ["shop"]}, {"metrics": {"secure": False}}])
def test_no_role_reads_secrets(values: Object) -> None:
    roles = [each for each in render(values) if each.kind in ("ClusterRole", "Role")]
    assert "autobackup-blueprints" in {each.name for each in roles}
    for each in roles:
        for rule in each.content["rules"]:
            assert "secrets" not in rule.get("resources", ()), each.name
            assert "*" not in [*rule.get("resources", ()), *rule.get("apiGroups", ()), *rule["verbs"]], each.name


def test_one_storage_secret_can_be_named() -> None:
    found = render({"storageSecrets": [{"namespace": "shop", "name": "storage"}]})
    role = only(found, "Role")
    assert role["metadata"]["namespace"] == "shop"
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["storage"], "verbs": ["get"]}
    ]
    assert ("shop", role["metadata"]["name"]) in bindings(found)


@pytest.mark.parametrize(
    ("where", "scopes"),
    [({"namespaces": ["shop", "blog"]}, {"shop", "blog"}), ({"allNamespaces": True}, {""})],
    ids=["some", "all"],
)
def test_rights_to_copies_are_for_their_names_alone(where: Object, scopes: set[str]) -> None:
    source = {"namespace": "backup", "name": "bucket"}
    entry = {"source": source, "copies": ["storage", "storage-2"], **where}
    again = {"source": source, "copies": ["third"], "namespaces": ["other"]}
    found = render({"storageSecretCopies": [entry, again]})
    roles = [each.content for each in found if each.kind in ("Role", "ClusterRole")]
    about = [role for role in roles if any("secrets" in rule.get("resources", ()) for rule in role["rules"])]
    assert all(len(role["rules"]) == 1 for role in about)
    granted = {
        (role["metadata"].get("namespace", ""), *rule["resourceNames"]): set(rule["verbs"])
        for role in about
        for rule in role["rules"]
    }
    copies = {"get", "create", "patch", "delete"}
    assert granted == {
        ("backup", "bucket"): {"get", "watch"},
        ("other", "third"): copies,
        **{(scope, "storage", "storage-2"): copies for scope in scopes},
    }
    bound = bindings(found)
    assert {(role["metadata"].get("namespace", ""), role["metadata"]["name"]) for role in about} <= set(bound)


def test_two_releases_do_not_share_a_name(default: list[Document]) -> None:
    other = render(release="second", namespace="second")
    names = {(each.kind, each.name, each.content["metadata"].get("namespace")) for each in default}
    others = {(each.kind, each.name, each.content["metadata"].get("namespace")) for each in other}
    assert names & others == set()


def test_crds_are_kept_unless_asked() -> None:
    crds = [each for each in charts.render() if each.kind == "CustomResourceDefinition"]
    assert len(crds) == len(list((CHART.parent / "crds").glob("*.yaml")))
    assert {each.content["metadata"]["annotations"]["helm.sh/resource-policy"] for each in crds} == {"keep"}
    assert not [each for each in render() if each.kind == "CustomResourceDefinition"]
    taken = charts.render({"crds": {"keep": False}})
    assert "helm.sh/resource-policy" not in yaml.safe_dump([each.content for each in taken])
    assert "autobackup-crd-deletion" not in {each.name for each in taken}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicaCoutn": 3}, "replicaCoutn"),
        ({"replicaCount": "two"}, "replicaCount"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"image": {"repository": "a:1"}}, "repository"),
        ({"namespaces": ["Shop"]}, "namespaces"),
        ({"namespaces": "shop"}, "namespaces"),
        ({"storageSecrets": [{"name": "storage"}]}, "namespace"),
        ({"storageSecretCopies": [{"source": {"namespace": "b", "name": "c"}, "copies": ["s"]}]}, "oneOf"),
        ({"storageSecretCopies": [{"source": {"namespace": "b", "name": "c"}, "namespaces": ["s"]}]}, "copies"),
        ({"metrics": {"port": 80}}, "port"),
        ({"admissionPolicies": {"annotations": {"mode": "warn"}}}, "mode"),
        ({"networkPolicy": {"apiServerCIDR": []}}, "apiServerCIDR"),
        ({"leaderElection": {"leaseDurationSeconds": 0}}, "leaseDurationSeconds"),
        ({"podDisruptionBudget": {"minAvailable": 1}}, "takes one of them"),
        ({"metrics": {"podMonitor": {"enabled": True}}}, "bearerTokenSecret"),
    ],
    ids=lambda found: json.dumps(found) if isinstance(found, dict) else None,
)
def test_a_bad_value_is_refused_by_name(values: Object, said: str) -> None:
    with pytest.raises(ChartError, match=said):
        render(values)


def test_every_value_is_in_the_schema_and_back() -> None:
    """A key in one of them only is a value that cannot be set, or one that nobody finds."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert _schema_keys(schema) - {"global", "resources.claims"} - _schema_only() == _value_keys(values, schema)


def _schema_only() -> set[str]:
    """Fields of probes that the defaults leave to Kubernetes."""
    probes = ("livenessProbe", "readinessProbe", "startupProbe")
    return {f"{probe}.{field}" for probe in probes for field in ("initialDelaySeconds", "successThreshold")}


def _schema_keys(schema: Object, at: str = "") -> set[str]:
    found = set()
    for key, below in schema.get("properties", {}).items():
        found |= _schema_keys(below, f"{at}{key}.") if _is_group(below) else {at + key}
    return found


def _is_group(schema: Object) -> bool:
    return schema.get("type") == "object" and "properties" in schema


def _value_keys(values: Mapping[str, Any], schema: Object, at: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        below = schema["properties"].get(key, {})
        found |= _value_keys(value, below, f"{at}{key}.") if _is_group(below) else {at + key}
    return found


def test_the_notes_give_three_commands() -> None:
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert len(re.findall(r"^\d\. ", notes, re.MULTILINE)) == 3
    assert len(re.findall(r"^   kubectl ", notes, re.MULTILINE)) == 3


@pytest.mark.parametrize("path", sorted((CHART.parent / "rbac").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_rule_is_explained_in_the_reference(path: Path) -> None:
    page = (CHART.parents[1] / "docs" / "reference" / "rbac.md").read_text()
    role = yaml.safe_load(path.read_text())
    section = page.partition(f"### {role['metadata']['name']}\n")[2].partition("\n##")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(role["rules"])
    assert all(row.split("|")[3].strip() for row in rows)


def test_a_rule_without_a_reason_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "role.yaml"
    file.write_text("metadata: {}\nrules:\n  # Because.\n  - verbs: [get]\n  - verbs: [list]\n")
    with pytest.raises(SystemExit, match="each rule needs a comment before it"):
        rules_table(file, yaml.safe_load(file.read_text())["rules"])
