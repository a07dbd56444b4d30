"""Many targets: volumes that ask for backup, in one namespace.

Volumes, because no controller of Kubernetes has anything to do with them: they name a volume that does not exist.
"""

from __future__ import annotations

import time

from tests.e2e.chart import targets
from tests.e2e.chart.place import Object, Place

NAMESPACE = "crowd"
CONFIGURATION = "stash.appscode.com/v1beta1/BackupConfiguration"


def volume(number: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"data-{number}",
            "namespace": NAMESPACE,
            "annotations": {"stash.appscode.com/backup-blueprint": targets.BLUEPRINT["metadata"]["name"]},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none",
            "volumeName": "none",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


class Crowd:
    """It only grows."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client = place.own.client()
        self.size = 0
        place.kubectl("create", "namespace", NAMESPACE)

    def grow(self, size: int) -> float:
        """Until there are so many, and a BackupConfiguration for each; seconds."""
        began = time.monotonic()
        for number in range(self.size, size):
            self._client.create(volume(number))
        self.size = max(self.size, size)
        patience = 60 + self.size / 20
        self._place.wait(self._all_configured, patience, what=f"a BackupConfiguration for each of {self.size} volumes")
        return time.monotonic() - began

    def _all_configured(self) -> bool:
        path = self._client.kind(CONFIGURATION).path(namespace=NAMESPACE)
        first = self._client.request("GET", path, query={"limit": "1"})
        made = len(first["items"]) + first["metadata"].get("remainingItemCount", 0)
        assert made == self.size, f"{made} of {self.size}"
        return True
