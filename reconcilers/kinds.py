"""The kinds that take part: what can be a target, what the operator writes.

Short names follow Stash, because they begin the names of generated objects and people search for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from informers.resource import Resource

GROUP = "stash.appscode.com"

BLUEPRINT = Resource(GROUP, "v1beta1", "backupblueprints", "BackupBlueprint", namespaced=False)
CONFIGURATION = Resource(GROUP, "v1beta1", "backupconfigurations", "BackupConfiguration")
REPOSITORY = Resource(GROUP, "v1alpha1", "repositories", "Repository")


class Family(Enum):
    """What a target is made of, which decides the variables and annotations that make sense for it."""

    WORKLOAD = "workload"
    VOLUME = "volume"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class TargetKind:
    """A kind whose objects can opt in.

    `optional` kinds come from CRDs or other products and may be missing from a cluster.
    `openshift` kinds are looked for only where the operator is told to.
    """

    resource: Resource
    short: str
    family: Family
    optional: bool = False
    openshift: bool = False


_TARGETS = (
    TargetKind(Resource("apps", "v1", "deployments", "Deployment"), "deploy", Family.WORKLOAD),
    TargetKind(Resource("apps", "v1", "statefulsets", "StatefulSet"), "sts", Family.WORKLOAD),
    TargetKind(Resource("apps", "v1", "daemonsets", "DaemonSet"), "ds", Family.WORKLOAD),
    TargetKind(Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"), "pvc", Family.VOLUME),
    TargetKind(
        Resource("appcatalog.appscode.com", "v1alpha1", "appbindings", "AppBinding"),
        "app",
        Family.DATABASE,
        optional=True,
    ),
    TargetKind(Resource("apps", "v1", "replicasets", "ReplicaSet"), "replicaset", Family.WORKLOAD),
    TargetKind(Resource("", "v1", "replicationcontrollers", "ReplicationController"), "rc", Family.WORKLOAD),
    TargetKind(
        Resource("apps.openshift.io", "v1", "deploymentconfigs", "DeploymentConfig"),
        "deploymentconfig",
        Family.WORKLOAD,
        optional=True,
        openshift=True,
    ),
)

TARGETS: dict[str, TargetKind] = {kind.resource.kind: kind for kind in _TARGETS}
