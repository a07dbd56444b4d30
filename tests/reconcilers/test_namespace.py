"""What is kept of a Namespace, and which of its changes matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconcilers.namespace import NamespaceRow, affects_targets, project_namespace


def namespace(**metadata: Any) -> NamespaceRow:
    return project_namespace({"metadata": {"name": "shop", "uid": "u", "resourceVersion": "7", **metadata}})


def test_only_annotations_under_our_prefixes_are_kept() -> None:
    row = namespace(
        annotations={
            "stash.appscode.com/schedule": "@daily",
            "params.stash.appscode.com/args": "x",
            "blueprint.stash.appscode.com/team": "a",
            "evilstash.appscode.com/schedule": "@hourly",
            "stash.appscode.com": "no slash",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
        labels={"b": "2", "a": "1"},
    )
    assert dict(row.annotations) == {
        "stash.appscode.com/schedule": "@daily",
        "params.stash.appscode.com/args": "x",
        "blueprint.stash.appscode.com/team": "a",
    }
    assert row.annotation("stash.appscode.com/schedule") == "@daily"
    assert row.labels == (("a", "1"), ("b", "2"))
    assert not row.terminating
    assert namespace(deletionTimestamp="2024-05-01T00:00:00Z").terminating


def test_what_matters_to_targets() -> None:
    row = namespace()
    assert affects_targets(None, row)
    assert affects_targets(row, None)
    assert not affects_targets(row, replace(row, resource_version=8))
    assert not affects_targets(row, replace(row, terminating=True)), "its targets go by themselves"
    for change in ({"uid": "v"}, {"labels": (("a", "1"),)}, {"annotations": (("stash.appscode.com/x", "1"),)}):
        assert affects_targets(row, replace(row, **change))  # type: ignore[arg-type]
