"""The chart, the kustomize overlays and the single file install the same objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.manifests.__main__ import differences, install, write
from tools.manifests.chart import NAMESPACE, render
from tools.manifests.kustomize import MONITORED, NAMESPACED, TREE, build

Object = dict[str, Any]
HELMS_LABELS = {"helm.sh/chart", "app.kubernetes.io/managed-by"}
HELMS_ANNOTATIONS = {"helm.sh/resource-policy", "checksum/config"}


def bare(found: list[Object]) -> dict[tuple[str, str, str], Object]:
    """By kind, namespace and name, without what Helm itself adds."""
    objects = {}
    for each in found:
        metadata = each["metadata"]
        key = each["kind"], metadata.get("namespace", ""), metadata["name"]
        assert key not in objects, f"{key} is there twice"
        objects[key] = _stripped(each)
    return objects


def _stripped(each: Any) -> Any:
    if isinstance(each, list):
        return [_stripped(item) for item in each]
    if not isinstance(each, dict):
        return each
    found = {}
    for key, value in each.items():
        if key == "labels" and isinstance(value, dict) and value.get("app.kubernetes.io/managed-by") == "Helm":
            value = {label: text for label, text in value.items() if label not in HELMS_LABELS}  # noqa: PLW2901
        elif key == "annotations" and isinstance(value, dict):
            value = {name: text for name, text in value.items() if name not in HELMS_ANNOTATIONS}  # noqa: PLW2901
            if not value:
                continue
        found[key] = _stripped(value)
    return found


@pytest.mark.parametrize(("overlay", "values"), [("default", {}), ("namespaced", NAMESPACED)])
def test_kustomize_and_chart_are_the_same_objects(overlay: str, values: Object) -> None:
    kustomized = bare(build(TREE / "overlays" / overlay))
    namespace = kustomized.pop(("Namespace", "", NAMESPACE))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert kustomized == bare([document.content for document in render(values)])


def test_the_monitoring_component_is_what_the_chart_has_with_these_values(tmp_path: Path) -> None:
    where = {
        name: os.path.relpath(TREE / name, tmp_path.resolve()) for name in ("overlays/default", "components/monitoring")
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [where["overlays/default"]],
        "components": [where["components/monitoring"]],
        "images": [{"name": "localhost/autobackup", "newName": "registry.example.com/a", "newTag": "2"}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    kustomized = bare(build(tmp_path))
    del kustomized["Namespace", "", NAMESPACE]
    values = {**MONITORED, "image": {"repository": "registry.example.com/a", "tag": "2"}}
    assert kustomized == bare([document.content for document in render(values)])
    assert {"ServiceMonitor", "PrometheusRule"} < {kind for kind, _, _ in kustomized}


def test_the_single_file_and_kustomize_are_the_same_objects() -> None:
    single = yaml.load_all(install(), Loader=yaml.CSafeLoader)
    assert bare(list(single)) == bare(build(TREE / "overlays" / "default"))


def test_the_single_file_takes_an_image() -> None:
    (deployment,) = (
        found
        for found in yaml.load_all(install("registry.example.com:5000/a/autobackup:2"), Loader=yaml.CSafeLoader)
        if found["kind"] == "Deployment"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com:5000/a/autobackup:2"


def test_the_committed_files_are_what_the_chart_says() -> None:
    assert "".join(differences(TREE)) == "", "run `make manifests` and commit the result"


def test_a_file_that_is_changed_removed_or_left_over_is_found(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(differences(tmp_path)) == []
    deployment = tmp_path / "base" / "deployment.yaml"
    deployment.write_text(deployment.read_text().replace("replicas: 2", "replicas: 3"))
    (tmp_path / "base" / "gone.yaml").write_text(deployment.read_text())
    (tmp_path / "base" / "service.yaml").unlink()
    text = "".join(differences(tmp_path))
    assert "-  replicas: 3\n" in text
    assert "manifests/base/gone.yaml as it is" in text
    assert "+kind: Service\n" in text
    write(tmp_path)
    assert list(differences(tmp_path)) == []


def test_every_crd_is_in_the_kustomization() -> None:
    listed = yaml.safe_load((TREE / "crds" / "Kustomization").read_text())["resources"]
    assert sorted(listed) == sorted(path.name for path in (TREE / "crds").glob("*.yaml"))
