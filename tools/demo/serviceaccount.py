"""A kubeconfig for the operator's ServiceAccount in somebody's cluster: the person's cluster entry, its own token."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from tools.controlplane import ApiClient
from tools.demo.failure import DemoRefused
from tools.demo.rights import Identity

_SECONDS = 24 * 3600


def write_kubeconfig(path: Path, admin: ApiClient, identity: Identity, *, kubeconfig: str) -> Path:
    """Ask for a token of the ServiceAccount and write it down where only we can read it."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _SECONDS},
    }
    account = f"/api/v1/namespaces/{identity.namespace}/serviceaccounts/{identity.name}"
    token = admin.request("POST", f"{account}/token", body=request)["status"]["token"]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "demo",
        "clusters": [{"name": "demo", "cluster": cluster_of(kubeconfig)}],
        "users": [{"name": identity.name, "user": {"token": token}}],
        "contexts": [
            {"name": "demo", "context": {"cluster": "demo", "user": identity.name, "namespace": identity.namespace}}
        ],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def cluster_of(kubeconfig: str) -> dict[str, Any]:
    """The cluster entry of the current context; of several files the first that defines something wins."""
    current = ""
    contexts: dict[str, Any] = {}
    clusters: dict[str, Any] = {}
    for name in filter(None, kubeconfig.split(os.pathsep)):
        file = Path(name).expanduser()
        if not file.exists():  # as kubectl has it
            continue
        loaded = yaml.safe_load(file.read_text()) or {}
        current = current or loaded.get("current-context") or ""
        for entry in loaded.get("contexts") or ():
            contexts.setdefault(entry["name"], entry["context"])
        for entry in loaded.get("clusters") or ():
            clusters.setdefault(entry["name"], _absolute(entry["cluster"], file.parent))
    try:
        found: dict[str, Any] = clusters[contexts[current]["cluster"]]
    except KeyError as missing:
        raise DemoRefused(f"kubeconfig {kubeconfig}: context {current!r} lacks {missing}") from missing
    return found


def _absolute(cluster: dict[str, Any], folder: Path) -> dict[str, Any]:
    authority = cluster.get("certificate-authority")
    return {**cluster, "certificate-authority": str(folder.absolute() / authority)} if authority else cluster
