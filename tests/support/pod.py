"""What a pod's process finds of its cluster, without a pod: the address in its environment, and the mounted files.

    pod = Pod(tmp_path, server.url, token="...", ca=server.ca_file.read_bytes(), namespace="autobackup-system")
    OperatorProcess(pod)
    pod.rotate(token="...")

The files are mounted where a kubelet mounts them, in a mount namespace of the process's own, and change as a kubelet
changes them: all at once, by a symbolic link that is replaced. `inside` needs root, or a kernel that gives every user
namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

_MOUNTED = "/var/run/secrets/kubernetes.io/serviceaccount"
_ENTER = 'mount -t tmpfs none "$(realpath /var/run)" && mkdir -p "$1" && mount --bind "$2" "$1" && shift 2 && exec "$@"'


class Pod:
    """The cluster as one pod knows it."""

    def __init__(self, folder: Path, url: str, *, token: str, ca: bytes, namespace: str) -> None:
        self.folder = folder / "serviceaccount"
        self.folder.mkdir()
        self._content = {"token": token.encode(), "ca.crt": ca, "namespace": namespace.encode()}
        self._rotations = 0
        parts = urlsplit(url)
        self.environment = {
            "KUBERNETES_SERVICE_HOST": parts.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(parts.port),
        }
        self.rotate()
        for name in self._content:
            (self.folder / name).symlink_to(f"..data/{name}")

    def rotate(self, *, token: str | None = None, ca: bytes | None = None) -> None:
        """Other content for the mounted files."""
        if token is not None:
            self._content["token"] = token.encode()
        if ca is not None:
            self._content["ca.crt"] = ca
        self._rotations += 1
        version = self.folder / f"..{self._rotations}"
        version.mkdir()
        for name, content in self._content.items():
            (version / name).write_bytes(content)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.folder / "..data")

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command, started in the pod."""
        rootless = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return ["unshare", *rootless, "--mount", "sh", "-c", _ENTER, "sh", _MOUNTED, str(self.folder), *command]
