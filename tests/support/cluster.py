"""What tests do to a real cluster: namespaces of their own, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from tools.controlplane import ApiClient, ApiFailure, User, wait_for

Object = dict[str, Any]


def unique_name(text: str) -> str:
    """A valid object name that tells which test made it."""
    readable = re.sub(r"[^a-z0-9]+", "-", text.lower().removeprefix("test_")).strip("-")[:40].strip("-")
    return f"{readable or 'test'}-{secrets.token_hex(3)}"


def create_namespace(client: ApiClient, name: str, *, labels: Mapping[str, str] | None = None) -> Object:
    return client.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
    )


def remove_namespace(client: ApiClient, name: str) -> None:
    """Remove a namespace with everything in it; no controllers are needed for that."""
    if client.find("v1/Namespace", name) is None:
        return
    for kind in client.all_kinds():
        if not (kind.namespaced and {"list", "deletecollection"} <= kind.verbs):
            continue
        path = kind.path(namespace=name)
        try:
            client.request("DELETE", path, query={"propagationPolicy": "Background"})
            for left in client.request("GET", path)["items"]:
                held = kind.path(namespace=name, name=left["metadata"]["name"])
                free = {"metadata": {"finalizers": None}}
                client.request("PATCH", held, body=free, content_type="application/merge-patch+json")
        except ApiFailure as failure:
            # A CRD may go away between discovery and here, an object between list and patch.
            if failure.status not in (404, 405):
                raise
    with contextlib.suppress(ApiFailure):  # it may be terminating already
        client.delete("v1/Namespace", name)
    with contextlib.suppress(ApiFailure):  # a namespace controller may have been faster
        client.request(
            "PUT",
            f"/api/v1/namespaces/{name}/finalize",
            body={
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name},
                "spec": {"finalizers": []},
            },
        )
    wait_for(lambda: client.find("v1/Namespace", name) is None, what=f"namespace {name} to be gone")


def grant(client: ApiClient, user: User, rules: Iterable[Mapping[str, Any]], *, namespace: str = "") -> str:
    """Give a user these rules, in one namespace or everywhere; returns the name of role and binding."""
    name = unique_name(f"{user.name}-may")
    scope = "" if namespace else "Cluster"
    place = {"namespace": namespace} if namespace else {}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{rbac}/v1", "kind": f"{scope}Role", "metadata": {"name": name, **place}}
    client.create({**role, "rules": [dict(rule) for rule in rules]})
    binding = {"apiVersion": f"{rbac}/v1", "kind": f"{scope}RoleBinding", "metadata": {"name": name, **place}}
    client.create(
        {
            **binding,
            "roleRef": {"apiGroup": rbac, "kind": f"{scope}Role", "name": name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user.name}],
        }
    )
    return name
