"""The stage of `make demo`: a control plane on loopback that vanishes with the demo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from informers.resource import ObjectKey
from tools.controlplane import ControlPlane, ControlPlaneError, install_crds
from tools.demo import rights
from tools.demo.narration import Narrator
from tools.demo.stage import SHARED_COPY, SHARED_SOURCE, STORAGE_SECRET, Names, Stage

_OPERATOR = "operator"


@contextmanager
def stage(narrator: Narrator) -> Iterator[Stage]:
    """etcd and kube-apiserver, the CRDs, the operator's rights; everything is gone afterwards."""
    with ControlPlane(audit=False) as plane:
        admin = plane.client()
        version = admin.request("GET", "/version")["gitVersion"]
        narrator.seen(f"Kubernetes {version} answers at {plane.url}, its state is in {plane.folder}")
        crds = install_crds(admin)
        narrator.seen(f"{len(crds)} CustomResourceDefinitions are served")
        names = Names(namespace="demo", blueprint="nightly", vault="platform")
        identity = rights.Identity("autobackup-system")
        for namespace in (names.namespace, identity.namespace, names.vault):
            admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        rights.grant(admin.create, identity)
        rights.grant_secret(admin.create, identity, namespace=names.namespace, secret=STORAGE_SECRET)
        rights.grant_copies(
            admin.create,
            identity,
            source=ObjectKey(names.vault, SHARED_SOURCE),
            copy=ObjectKey(names.namespace, SHARED_COPY),
        )
        narrator.seen("the operator's identity has the rights of manifests/rbac, and those to three Secrets by name")
        yield Stage(
            names=names,
            connect=plane.client,
            operator_kubeconfig=plane.kubeconfig(_OPERATOR, namespace=identity.namespace),
            namespaces=(),
            kubectl=_kubectl(plane),
            kubeconfig=str(plane.kubeconfig("admin", namespace=names.namespace)),
        )


def _kubectl(plane: ControlPlane) -> Path | None:
    """The one that was built with the server; $KUBEBUILDER_ASSETS may lack it."""
    try:
        return plane.program("kubectl")
    except ControlPlaneError:
        found = shutil.which("kubectl")
        return Path(found) if found else None
