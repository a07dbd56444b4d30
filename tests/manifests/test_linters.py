"""Outside judges of what the chart renders: kubeconform with the API server's own schemas, kube-score, helm."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.controlplane import ApiClient
from tools.controlplane.build import kubernetes_version
from tools.gotools import kube_score, kubeconform
from tools.manifests import CHART, ChartError, render
from tools.manifests.chart import run_helm
from tools.manifests.kustomize import MONITORED
from tools.manifests.schemas import LOCATION, write_schemas

Object = dict[str, Any]
# prometheus-operator's kinds; the content of rules is for promtool to judge.
FOREIGN = "ServiceMonitor,PodMonitor,PrometheusRule"
_NO_CRDS: Object = {"crds": {"enabled": False}}
"""They are the same with all values, and most of the work."""
MATRIX: dict[str, Object] = {
    "default": {},
    "namespaces": {
        **_NO_CRDS,
        "namespaces": ["shop", "blog"],
        "storageSecrets": [{"namespace": "shop", "name": "storage"}],
        "storageSecretCopies": [
            {"source": {"namespace": "backup", "name": "bucket"}, "copies": ["storage"], "namespaces": ["blog"]},
            {"source": {"namespace": "backup", "name": "other"}, "copies": ["storage-2"], "allNamespaces": True},
        ],
    },
    "monitored": {**_NO_CRDS, **MONITORED},
    "everything": {
        **_NO_CRDS,
        **MONITORED,
        "admissionPolicies": {"blueprintUse": {"enabled": True}, "annotations": {"mode": "Audit"}},
        "affinity": {"nodeAffinity": {}},
        "commonLabels": {"team": "storage"},
        "extraArgs": ["--workers=4"],
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "hostUsers": False,
        "image": {"digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "metrics": {"certificateSecret": "tls", "serviceMonitor": {"enabled": True}},
        "networkPolicy": {"extraIngress": [{}], "extraEgress": [{}], "prometheusSelector": []},
        "podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": None},
        "podLabels": {"pod": "label"},
        "priorityClassName": "system-cluster-critical",
        "serviceAccount": {"annotations": {"some": "annotation"}},
        "tolerations": [{"operator": "Exists"}],
        "topologySpreadConstraints": [],
    },
    "little": {
        "admissionPolicies": {"enabled": False},
        **_NO_CRDS,
        "leaderElection": {"enabled": False},
        "metrics": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "rbac": {"create": False},
        "replicaCount": 1,
        "serviceAccount": {"create": False},
    },
}


@pytest.fixture(scope="module")
def schemas(api: ApiClient, crds: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    assert write_schemas(api, folder) > 100
    return folder


def conform(schemas: Path, text: str) -> tuple[int, str]:
    command = [kubeconform(), "-strict", "-summary", "-skip", FOREIGN, "-schema-location", f"{schemas}/{LOCATION}"]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return answer.returncode, answer.stdout + answer.stderr


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
def test_everything_conforms_to_the_schemas_of_the_server(schemas: Path, values: Object) -> None:
    found = render(values)
    code, said = conform(schemas, "---\n".join(document.text for document in found))
    assert code == 0, said
    assert f"{len(found)} resources found" in said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [("replicas: 2", "replicas: two", "/spec/replicas"), ("maxSurge", "maxSruge", "'maxSruge' not allowed")],
)
def test_the_schemas_find_mistakes(schemas: Path, before: str, after: str, said: str) -> None:
    (text,) = (document.text for document in render() if document.kind == "Deployment")
    code, found = conform(schemas, text.replace(before, after))
    assert code == 1
    assert said in found


def scored(values: Object) -> list[str]:
    """Every remark of kube-score, and what about."""
    text = "---\n".join(each.text for each in render(values) if each.kind != "CustomResourceDefinition")
    version = ".".join(kubernetes_version().split(".")[:2])
    command = [kube_score(), "score", "--output-format=ci", f"--kubernetes-version={version}", "-"]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert "[OK]" in answer.stdout, answer.stderr
    return [line for line in answer.stdout.splitlines() if not line.startswith(("[OK]", "[SKIPPED]"))]


def test_kube_score_has_nothing_to_say_about_the_defaults() -> None:
    assert scored({}) == []


def test_kube_score_would_have() -> None:
    said = "\n".join(scored({"securityContext": {"readOnlyRootFilesystem": False}}))
    assert "[CRITICAL]" in said
    assert "writable root filesystem" in said


def test_helm_lint_is_content() -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", str(CHART), "--kube-version", kubernetes_version())


def test_the_package_is_whole(tmp_path: Path) -> None:
    """Also without the checkout around it: what the chart links to is in the package."""
    run_helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    command = ["template", "autobackup", str(package), "--kube-version", kubernetes_version()]
    whole = run_helm(*command, "--namespace", "autobackup-system")
    assert whole.count("\nkind: CustomResourceDefinition\n") == len(list((CHART.parent / "crds").glob("*.yaml")))
    assert whole.count("\nkind: ") == len(render())


def test_an_old_cluster_is_refused() -> None:
    with pytest.raises(ChartError, match=r"requires kubeVersion: >=1\.30"):
        render(kubernetes="v1.29.0")
