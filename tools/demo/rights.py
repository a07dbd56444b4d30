"""Least privilege for the operator's identity, from manifests/rbac.

The rights on cluster-scoped objects are bound cluster-wide, and the one on the Lease in the operator's namespace; those
on namespaced objects cluster-wide too, or, where the operator watches only some namespaces, in those. The Secrets that
the operator may look at, copy and write are named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from informers.resource import ObjectKey
from tools.controlplane import read_manifests
from tools.controlplane.client import Object

FOLDER = Path(__file__).parents[2] / "manifests" / "rbac"
_GROUP = "rbac.authorization.k8s.io"
_CLUSTER_SCOPED = ("autobackup-blueprints", "autobackup-namespaces")
_OWN_NAMESPACE = "autobackup-leader-election"

Create = Callable[[Object], object]


@dataclass(frozen=True, slots=True)
class Identity:
    """The operator's ServiceAccount."""

    namespace: str
    name: str = "autobackup"


def grant(create: Create, identity: Identity, *, prefix: str = "", namespaces: tuple[str, ...] = ()) -> None:
    """Create the roles, their names led by `prefix`, and bind them."""
    for role in read_manifests(FOLDER):
        base = role["metadata"]["name"]
        name = prefix + base
        create({**role, "metadata": {**role["metadata"], "name": name}})
        where = namespaces or ("",)
        if base in _CLUSTER_SCOPED:
            where = ("",)
        elif base == _OWN_NAMESPACE:
            where = (identity.namespace,)
        for namespace in where:
            create(_binding("ClusterRole", name, identity, namespace=namespace))


def grant_secret(create: Create, identity: Identity, *, namespace: str, secret: str) -> None:
    """Let the operator look whether this one Secret is there."""
    name = f"autobackup-storage-secret-{secret}"
    role: Object = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get"]}],
    }
    create(role)
    create(_binding("Role", name, identity, namespace=namespace))


def grant_copies(create: Create, identity: Identity, *, source: ObjectKey, copy: ObjectKey) -> None:
    """Let the operator keep a copy of one Secret under one name: the roles of manifests/rbac/secrets."""
    where = {"autobackup-secret-source": source, "autobackup-secret-copies": copy}
    for role in read_manifests(FOLDER / "secrets"):
        name = role["metadata"]["name"]
        namespace, secret = where[name]
        rules = [{**rule, "resourceNames": [secret]} for rule in role["rules"]]
        create({**role, "metadata": {**role["metadata"], "namespace": namespace}, "rules": rules})
        create(_binding("Role", name, identity, namespace=namespace))


def _binding(role_kind: str, role: str, identity: Identity, *, namespace: str) -> Object:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": {"name": role, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": _GROUP, "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": identity.name, "namespace": identity.namespace}],
    }
