"""Every manifest that the documents show is accepted by a real API server."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.docs.markdown import ROOT, Block, blocks, documents
from tools.controlplane import ApiClient, read_manifests

BLOCKS = [
    block
    for path in documents()
    for block in blocks(path)
    if block.language == "yaml" and "apiVersion:" in block.text and "kind:" in block.text
]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_manifest_is_accepted(block: Block, api: ApiClient, crds: list[str], namespace: str) -> None:
    for manifest in yaml.safe_load_all(block.text):
        applied = api.apply(_moved(manifest, namespace), namespace=namespace, dry_run=True)
        assert _missing(manifest.get("spec"), applied.get("spec")) == []


def test_the_guide_binds_every_role_that_is_shipped() -> None:
    guide = ROOT / "docs" / "how-to" / "grant-least-rights.md"
    shipped = {role["metadata"]["name"] for role in read_manifests(ROOT / "manifests" / "rbac")}
    bound: dict[str, set[str]] = {}
    for block in blocks(guide):
        for manifest in yaml.safe_load_all(block.text) if block.language == "yaml" else ():
            if manifest.get("roleRef", {}).get("kind") == "ClusterRole":
                bound.setdefault(manifest["kind"], set()).add(manifest["roleRef"]["name"])
    assert bound["ClusterRoleBinding"] == shipped - {"autobackup-leader-election"}
    assert bound["RoleBinding"] == shipped - {"autobackup-blueprints", "autobackup-namespaces"}


def _moved(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The manifest in the test's own namespace, the only one that is there."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "namespace"}
    if "namespace" in manifest["metadata"]:
        metadata["namespace"] = namespace
    return {**manifest, "metadata": metadata}


def _missing(sent: Any, kept: Any, path: str = "spec") -> list[str]:
    """Fields that the server dropped because its schema does not know them."""
    if isinstance(sent, dict):
        if not isinstance(kept, dict):
            return [path]
        return [text for key, value in sent.items() for text in _missing(value, kept.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        pairs = zip(sent, kept, strict=True)
        return [text for n, (one, other) in enumerate(pairs) for text in _missing(one, other, f"{path}[{n}]")]
    return [path] if kept is None and sent is not None else []
