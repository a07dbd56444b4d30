"""Manifests as Stash's documentation writes them are accepted, strictly and unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.test_rules import try_to_create
from tools.controlplane import ApiClient, read_manifests

SAMPLES = sorted(Path(__file__).with_name("samples").glob("*.yaml"))
OURS = Path(__file__).parents[2] / "manifests" / "samples"


def samples() -> list[Any]:
    return [
        pytest.param(manifest, id=f"{path.stem}-{manifest['metadata']['name']}")
        for path in SAMPLES
        for manifest in read_manifests(path)
    ]


@pytest.mark.parametrize("manifest", samples())
def test_a_manifest_written_for_stash_is_accepted_unchanged(
    api: ApiClient, crds: list[str], manifest: dict[str, Any]
) -> None:
    created = try_to_create(api, manifest, "default")
    assert created["spec"] == with_defaults(manifest["kind"], manifest["spec"])


def with_defaults(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with the few defaults that Stash's API has."""
    filled = {**spec}
    if kind in ("BackupConfiguration", "RestoreSession"):
        filled.setdefault("driver", "Restic")
    if "retryConfig" in filled:
        filled["retryConfig"] = {"maxRetry": 1, **filled["retryConfig"]}
    for secret in ("secret", "tlsSecret"):
        if secret in filled:
            filled[secret] = {"kind": "Secret", **filled[secret]}
    for hook in ("postBackup", "postRestore"):
        if hook in filled.get("hooks", {}):
            filled["hooks"] = {**filled["hooks"], hook: {"executionPolicy": "Always", **filled["hooks"][hook]}}
    return filled


def test_there_are_samples_of_every_kind() -> None:
    kinds = {manifest["kind"] for path in SAMPLES for manifest in read_manifests(path)}
    assert kinds == {
        "AppBinding",
        "BackupBlueprint",
        "BackupConfiguration",
        "BackupSession",
        "Repository",
        "RestoreSession",
    }


@pytest.mark.parametrize("path", sorted(OURS.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_samples_are_valid(api: ApiClient, crds: list[str], namespace: str, path: Path) -> None:
    for manifest in read_manifests(path):
        if manifest["kind"] != "Namespace":
            manifest["metadata"].pop("namespace", None)
            created = try_to_create(api, manifest, namespace)
            written = manifest["metadata"].get("annotations", {})
            assert written.items() <= created["metadata"].get("annotations", {}).items()
