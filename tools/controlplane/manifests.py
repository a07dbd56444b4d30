"""Manifests on disk: read them, install CRDs and wait until the server serves their kinds.

The only module here that needs more than the standard library (PyYAML).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tools.controlplane.client import ApiClient, ApiFailure, Object
from tools.controlplane.waiting import wait_for

CRD = "apiextensions.k8s.io/v1/CustomResourceDefinition"
CRD_FOLDER = Path(__file__).parents[2] / "manifests" / "crds"


def read_manifests(*paths: Path) -> Iterator[Object]:
    """Every object in these files, and in the *.yaml files of these folders in the order of their names."""
    import yaml  # noqa: PLC0415 - the rest of the package runs before anything is installed

    for path in paths:
        for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
            for document in yaml.safe_load_all(file.read_text()):
                if document and document.get("kind") != "Kustomization":
                    yield document


def apply_manifests(client: ApiClient, manifests: Iterable[Object], *, namespace: str | None = None) -> list[Object]:
    """Server-side apply in order; a CRD is served before the next object is sent."""
    applied = []
    for manifest in manifests:
        applied.append(client.apply(manifest, namespace=namespace))
        if manifest["kind"] == "CustomResourceDefinition":
            wait_served(client, manifest["metadata"]["name"])
    return applied


def install_crds(client: ApiClient, folder: Path = CRD_FOLDER, *, only: Iterable[str] | None = None) -> list[str]:
    """Apply the CRDs of a folder (`only` these, by name), wait until all are served, return their names."""
    chosen = None if only is None else set(only)
    names = []
    for manifest in read_manifests(folder):
        name = manifest["metadata"]["name"]
        if manifest["kind"] == "CustomResourceDefinition" and (chosen is None or name in chosen):
            client.apply(manifest)
            names.append(name)
    if not names or (chosen is not None and chosen != set(names)):
        raise FileNotFoundError(f"no CRDs {sorted(chosen or ())} in {folder}; found {names}")
    for name in names:
        wait_served(client, name)
    return names


def remove_crd(client: ApiClient, name: str, *, timeout: float = 20.0) -> None:
    """Delete a CRD with all its objects and wait until its kind is gone."""
    client.delete(CRD, name)
    wait_for(lambda: client.find(CRD, name) is None, timeout, what=f"CRD {name} to be gone")


def wait_served(client: ApiClient, name: str, *, timeout: float = 20.0) -> None:
    """Wait until a CRD is established and every served version of it is in discovery and answers a list.

    Established alone is not enough: the server takes a moment more to route the requests.
    """

    def established() -> dict[str, Any]:
        crd = client.get(CRD, name)
        conditions = {each["type"]: each for each in crd.get("status", {}).get("conditions") or []}
        refused = conditions.get("NamesAccepted", {})
        assert conditions.get("Established", {}).get("status") == "True", refused.get("message", conditions)
        return crd

    crd = wait_for(established, timeout, what=f"CRD {name} to be established")
    spec = crd["spec"]
    versions = [f"{spec['group']}/{each['name']}" for each in spec["versions"] if each["served"]]

    def served() -> bool:
        try:
            for version in versions:
                kinds = {kind.plural: kind for kind in client.kinds_of(version)}
                client.request("GET", kinds[spec["names"]["plural"]].path(), query={"limit": "1"})
        except KeyError:
            return False
        except ApiFailure as failure:
            if failure.status in (404, 429, 503):
                return False
            raise
        return True

    wait_for(served, timeout, what=f"{name} to be served")
