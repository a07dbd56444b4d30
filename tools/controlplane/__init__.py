"""A real Kubernetes API server on loopback, for the demo, the tests and the benchmarks.

    with ControlPlane() as plane:
        plane.client().create({...})

The programs are built from the pinned Go modules beside this package, once, into a cache
(`build.binaries`). Standard library only (but for reading YAML): it runs before anything is installed.
"""

from tools.controlplane.apiserver import ApiServer
from tools.controlplane.audit import AuditEvent, AuditLog
from tools.controlplane.build import BuildFailed, binaries
from tools.controlplane.client import ApiClient, ApiFailure, ApiUnreachable
from tools.controlplane.identity import OPERATOR, User
from tools.controlplane.manifests import (
    apply_manifests,
    install_crds,
    read_manifests,
    remove_crd,
    wait_served,
)
from tools.controlplane.plane import GARBAGE_COLLECTION, ControlPlane
from tools.controlplane.process import ControlPlaneError
from tools.controlplane.waiting import NotInTime, wait_for

__all__ = [
    "GARBAGE_COLLECTION",
    "OPERATOR",
    "ApiClient",
    "ApiFailure",
    "ApiServer",
    "ApiUnreachable",
    "AuditEvent",
    "AuditLog",
    "BuildFailed",
    "ControlPlane",
    "ControlPlaneError",
    "NotInTime",
    "User",
    "apply_manifests",
    "binaries",
    "install_crds",
    "read_manifests",
    "remove_crd",
    "wait_for",
    "wait_served",
]
