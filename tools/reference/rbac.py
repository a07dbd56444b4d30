"""Every right that a role gives, and why: from the files of manifests/rbac, where a comment before each rule tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.reference.markdown import cell, codes, page, prose, table

_FOLDER = Path(__file__).parents[2] / "manifests" / "rbac"
_SECTIONS = (
    (
        "The operator",
        ".",
        "With the chart's value `namespaces`, and in overlays/namespaced, `autobackup-targets` and `autobackup-events` "
        "are bound in those namespaces, and `autobackup-events` in `default` besides. Otherwise they are bound in the "
        "whole cluster. `autobackup-blueprints` and `autobackup-namespaces` are for objects of the whole cluster; the "
        "latter is left out with the chart's value `rbac.readNamespaces` false, which takes `namespaces`.",
    ),
    ("The operator, with secure metrics", "metrics", ""),
    (
        "The operator, for storage Secrets that it copies",
        "secrets",
        "Only where the chart's value `storageSecretCopies` names sources, copies and namespaces: Roles for these "
        "names, in these namespaces.",
    ),
    ("People, and Prometheus", "people", "None of these is bound by an installation."),
)


def render_rbac() -> str:
    parts = []
    for title, folder, note in _SECTIONS:
        parts += [f"## {title}", prose(note)]
        for file in sorted((_FOLDER / folder).glob("*.yaml")):
            role = yaml.safe_load(file.read_text())
            parts += [f"### {role['metadata']['name']}", prose(_about(file)), rules_table(file, role["rules"])]
    return page(
        "Rights",
        "One role a file in `manifests/rbac/`. No role reads Secrets but those for "
        "[single ones](../how-to/grant-least-rights.md) that are named. No role has a wildcard.",
        *parts,
    )


def rules_table(file: Path, rules: list[dict[str, Any]]) -> str:
    reasons = list(_reasons(file))
    if len(reasons) != len(rules) or not all(reasons):
        raise SystemExit(f"tools/reference, {file}: each rule needs a comment before it that says why it is there")
    rows = []
    for rule, reason in zip(rules, reasons, strict=True):
        things = [
            f"{resource}.{group}" if group else resource
            for group in rule.get("apiGroups", ())
            for resource in rule.get("resources", ())
        ]
        names = f", named {codes(rule['resourceNames'])}" if "resourceNames" in rule else ""
        rows.append(
            (codes([*things, *rule.get("nonResourceURLs", ())]) + names, codes(rule["verbs"]), cell(prose(reason)))
        )
    return table(["What", "Verbs", "Why"], rows)


def _about(file: Path) -> str:
    """The comment at the head of a file."""
    lines = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def _reasons(file: Path) -> Iterator[str]:
    """The comment before each rule; "" where there is none."""
    found: list[str] = []
    for line in file.read_text().partition("\nrules:\n")[2].splitlines():
        if line.startswith("  #"):
            found.append(line.strip().removeprefix("#").strip())
        elif line.startswith("  - "):
            yield " ".join(found)
            found = []
