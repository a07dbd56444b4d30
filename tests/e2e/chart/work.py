"""Work that never ends, for leaders to be taken away from, and who wrote meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.chart.place import Place
from tests.e2e.chart.processes import Write, writes_of_pods

TARGET = "busy"
_TICK = 0.02
_OWN_RIGHTS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")


@contextmanager
def work_to_do(place: Place, namespace: str) -> Iterator[None]:
    """Somebody changes the schedule of a target all the time, so that there is always something to write."""
    client = place.own.client()
    done = threading.Event()

    def change() -> None:
        minute = 0
        while not done.wait(_TICK):
            minute = (minute + 1) % 60
            schedule = {"stash.appscode.com/schedule": f"{minute} 3 * * *"}
            client.annotate("apps/v1/Deployment", TARGET, schedule, namespace=namespace)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class Witness:
    """What the API server saw since a mark, of one pod and of the others."""

    place: Place
    namespace: str
    pod: str
    mark: int

    def works(self) -> list[float]:
        """When the pod wrote for the target that is changed all the time."""
        return [write.at for write in self._writes() if self._is_work(write) and write.pod == self.pod]

    def others_work(self) -> list[float]:
        return [write.at for write in self._writes() if self._is_work(write) and write.pod != self.pod]

    def renewals(self) -> list[float]:
        """When the pod made or renewed the Lease."""
        found = (write for write in self._writes() if write.pod == self.pod and write.accepted)
        return [write.at for write in found if write.resource == "leases"]

    def writes_after(self, moment: float) -> list[Write]:
        """Whatever the pod wrote later, accepted or not; who asks for its own rights stores nothing."""
        found = (write for write in self._writes() if write.pod == self.pod and write.at > moment)
        return [write for write in found if write.resource not in _OWN_RIGHTS]

    def _is_work(self, write: Write) -> bool:
        return write.namespace == self.namespace and "backup" in write.resource

    def _writes(self) -> Iterator[Write]:
        return writes_of_pods(self.place.audit_log, self.mark)
