"""A real one-node Kubernetes in namespaces of its own: pods run, nothing reaches the machine's network.

    with Cluster() as cluster:
        cluster.load_image(Path("build/image/autobackup.oci.tar"))
        cluster.kubectl("apply", "-f", "-", text=...)

Kubernetes is built from the pinned modules of `tools.controlplane`; containerd, runc and the CNI plugins come from
Debian. Needs root; `why_not()` says what is missing.
"""

from tools.cluster.cluster import Cluster, ClusterError
from tools.cluster.preconditions import why_not

__all__ = ["Cluster", "ClusterError", "why_not"]
