"""What a node's programs are told: configuration files and command lines. Pure: nothing runs here.

All paths are below one folder, which is a file system of the node's own, so that nothing is left on the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "node-1"
ADDRESS = "10.250.0.1"
POD_NETWORK = "10.244.0.0/24"
PAUSE_IMAGE = "localhost/pause:1"


@dataclass(frozen=True, slots=True)
class Node:
    """Where the node's files are, and whose control group its pods are in."""

    folder: Path
    cgroup: str
    cni_plugins: Path

    @property
    def socket(self) -> Path:
        # The path of a unix socket has 107 characters at most; this one is in a /run of the node's own.
        return Path("/run/containerd/containerd.sock")

    def containerd(self) -> str:
        """containerd's configuration.

        `restrict_oom_score_adj`: without CAP_SYS_RESOURCE no sandbox starts otherwise.
        """
        return f"""\
version = 2
root = "{self.folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
  address = "{self.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{self.folder}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{self.cni_plugins}"
    conf_dir = "{self.folder}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""

    def network(self) -> str:
        """The CNI configuration: a bridge, and ports of the host for who asks for them."""
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": f"{self.folder}/addresses",
                "ranges": [[{"subnet": POD_NETWORK}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
        return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}, indent=2)

    def kubelet(self) -> str:
        """KubeletConfiguration.

        Anybody who reaches the kubelet may use it: only the API server and the pods of this cluster do, and the API
        server has no client certificate to show.
        """
        return json.dumps(
            {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
                "authorization": {"mode": "AlwaysAllow"},
                "containerRuntimeEndpoint": f"unix://{self.socket}",
                "cgroupDriver": "cgroupfs",
                "cgroupRoot": f"/{self.cgroup}",
                "failCgroupV1": False,
                "failSwapOn": False,
                "enforceNodeAllocatable": [],
                # Whatever the machine does beside this: no pod is evicted for it, and no image collected.
                "evictionHard": {},
                "imageGCHighThresholdPercent": 100,
                "clusterDomain": "cluster.local",
                "resolvConf": "",
                "podLogsDir": "/var/log/pods",
                "volumePluginDir": f"{self.folder}/volume-plugins",
                "oomScoreAdj": 0,
                "syncFrequency": "5s",
                "nodeStatusUpdateFrequency": "2s",
                "serializeImagePulls": False,
            },
            indent=2,
        )

    def commands(self, programs: Path, kubeconfigs: Mapping[str, Path]) -> dict[str, list[str]]:
        """Command lines by program, of what is started once the API server answers."""
        return {
            "kube-scheduler": [
                str(programs / "kube-scheduler"),
                f"--kubeconfig={kubeconfigs['scheduler']}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
            "kubelet": [
                str(programs / "kubelet"),
                f"--kubeconfig={kubeconfigs['kubelet']}",
                f"--config={self.folder}/kubelet.json",
                f"--root-dir={self.folder}/kubelet",
                f"--cert-dir={self.folder}/kubelet-certificates",
                f"--hostname-override={NAME}",
                f"--node-ip={ADDRESS}",
            ],
            "kube-proxy": [
                str(programs / "kube-proxy"),
                f"--kubeconfig={kubeconfigs['proxy']}",
                f"--hostname-override={NAME}",
                "--proxy-mode=iptables",
                f"--cluster-cidr={POD_NETWORK}",
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
                "--oom-score-adj=0",
            ],
        }

    def files(self) -> dict[Path, str]:
        return {
            self.folder / "containerd.toml": self.containerd(),
            self.folder / "cni" / "10-pods.conflist": self.network(),
            self.folder / "kubelet.json": self.kubelet(),
        }
