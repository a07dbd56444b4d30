"""CRDs are there when `install_crds` returns, and gone when `remove_crd` returns."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.cluster import unique_name
from tools.controlplane import (
    ApiClient,
    ApiFailure,
    ControlPlane,
    apply_manifests,
    install_crds,
    read_manifests,
    remove_crd,
    wait_for,
    wait_served,
)


@pytest.fixture
def group() -> str:
    return f"{unique_name('crd')}.example.com"


@pytest.fixture
def folder(tmp_path: Path, group: str) -> Path:
    """A folder of manifests with one CRD, and what `kubectl apply -k` needs beside it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "names": names, "scope": "Cluster", "versions": [version]},
    }
    (tmp_path / "widgets.yaml").write_text("---\n" + yaml.safe_dump(crd) + "---\n")
    (tmp_path / "kustomization.yaml").write_text("kind: Kustomization\nresources: [widgets.yaml]\n")
    return tmp_path


def test_an_installed_kind_can_be_used_at_once(api: ApiClient, folder: Path, group: str) -> None:
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "one"}}
    with pytest.raises(ApiFailure):
        api.apply(widget)
    assert install_crds(api, folder) == [f"widgets.{group}"]
    api.apply(widget)
    assert [each["metadata"]["name"] for each in api.list(f"{group}/v1/Widget")] == ["one"]
    remove_crd(api, f"widgets.{group}")
    with pytest.raises(ApiFailure) as gone:
        api.list(f"{group}/v1/Widget")
    assert gone.value.status == 404


def test_objects_may_follow_their_crd(api: ApiClient, folder: Path, group: str) -> None:
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "two"}}
    applied = apply_manifests(api, [*read_manifests(folder), widget])
    assert [each["kind"] for each in applied] == ["CustomResourceDefinition", "Widget"]
    wait_served(api, f"widgets.{group}")
    remove_crd(api, f"widgets.{group}")


def test_a_crd_that_is_not_there_is_an_error(control_plane: ControlPlane, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gadgets\.example\.com"):
        install_crds(control_plane.client(), folder, only=["gadgets.example.com"])


def test_the_projects_own_crds_are_installed(api: ApiClient, crds: list[str]) -> None:
    assert "backupblueprints.stash.appscode.com" in crds

    def listed() -> set[str]:
        return {f"{kind.plural}.{kind.api_version.partition('/')[0]}" for kind in api.all_kinds()}

    wait_for(lambda: set(crds) <= listed(), what="all kinds in the aggregated discovery", state=listed)
