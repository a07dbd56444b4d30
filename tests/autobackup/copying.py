"""A source of storage Secrets, and the rights to copy it as an administrator gives them: manifests/rbac/secrets."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.autobackup.stage import SECONDS, Object, Stage
from tools.controlplane import ApiClient, wait_for

_ROLES = Path(__file__).resolve().parents[2] / "manifests" / "rbac" / "secrets"
CONSENT = {"autobackup.stash.appscode.com/may-be-copied": "true"}
OWN = "autobackup.stash.appscode.com/"
CONTENT = {
    "RESTIC_PASSWORD": "first-password",
    "AWS_ACCESS_KEY_ID": "first-id",
    "AWS_SECRET_ACCESS_KEY": "first-key",
    "UNRELATED": "stays-at-home",
}
SECRET = "v1/Secret"
_RBAC = "rbac.authorization.k8s.io"


def make_source(api: ApiClient, namespace: str, name: str, content: dict[str, str], **metadata: Any) -> Object:
    meta = {"name": name, "namespace": namespace, "labels": CONSENT, **metadata}
    return api.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": content})


def allow(api: ApiClient, which: str, namespace: str, names: Iterable[str]) -> str:
    """Bind the shipped role `which` (source or copies) with these names in one namespace; returns the role's name."""
    role = yaml.safe_load((_ROLES / f"role-{which}.yaml").read_text())
    name = f"{which}-{'-'.join(names)}"
    rules = [{**rule, "resourceNames": list(names)} for rule in role["rules"]]
    metadata = {"name": name, "namespace": namespace}
    api.apply(
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules}, manager="tests", force=True
    )
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "autobackup", "namespace": "autobackup-system"}],
    }
    api.apply(binding, manager="tests", force=True)
    return name


def blueprint_from(stage: Stage, namespace: str, source: str, **spec: Any) -> str:
    """A blueprint whose storage Secrets are copies of this source."""
    own = {"passwordPerRepository": True} if spec.pop("own", False) else {}
    return stage.blueprint(**spec, storageSecret={"source": {"namespace": namespace, "name": source}, **own})


def content_of(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def copied(stage: Stage, namespace: str, name: str = "storage", **wanted: str) -> Object:
    """Wait for a copy, and for these of its values."""

    def look() -> Object | None:
        found = stage.api.find(SECRET, name, namespace=namespace)
        return found if found is not None and wanted.items() <= content_of(found).items() else None

    found = wait_for(look, SECONDS, what=f"a copy {namespace}/{name} with {sorted(wanted)}")
    assert found is not None
    return found


def removed(stage: Stage, namespace: str, name: str = "storage") -> None:
    wait_for(
        lambda: stage.api.find(SECRET, name, namespace=namespace) is None,
        SECONDS,
        what=f"the copy {namespace}/{name} to be gone",
    )
