"""What counts as having been observed: the questions that the story asks the API server.

Whatever is waited for is read from watches; what must *not* have changed is read from the server anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.controlplane import ApiClient
from tools.controlplane.client import Object
from tools.demo import cast
from tools.demo.cast import CONFIGURATION, EVENT, REPOSITORY, Target
from tools.demo.failure import DemoFailed
from tools.demo.lookout import Lookout
from tools.demo.stage import BLUEPRINT, Names


@dataclass(frozen=True, slots=True)
class Pair:
    """What was made for one target."""

    repository: Object
    configuration: Object


class Witness:
    """Sees for the story."""

    def __init__(self, admin: ApiClient, lookout: Lookout, names: Names) -> None:
        self._admin = admin
        self._lookout = lookout
        self._names = names

    # -- waiting -----------------------------------------------------------------------------------

    def wait_for_pair(self, target: Target) -> Pair:
        """Until Repository and BackupConfiguration of a target are both there."""

        def pair() -> Pair | None:
            repository, configuration = self._live(REPOSITORY, target), self._live(CONFIGURATION, target)
            return Pair(repository, configuration) if repository and configuration else None

        def missing() -> str:
            found = {
                "Repository": self._live(REPOSITORY, target),
                "BackupConfiguration": self._live(CONFIGURATION, target),
            }
            return ", ".join(f"{'a' if each else 'no'} {kind}" for kind, each in found.items())

        return self._lookout.wait(
            f"{target.title}: Repository and BackupConfiguration to be there", pair, state=missing
        )

    def wait_for_spec(self, target: Target, wanted: Mapping[str, Any]) -> Object:
        """Until the BackupConfiguration of a target has these fields."""

        def matching() -> Object | None:
            found = self._live(CONFIGURATION, target)
            return found if found and all(found["spec"].get(key) == value for key, value in wanted.items()) else None

        def present() -> str:
            found = self._live(CONFIGURATION, target)
            return str({key: found["spec"].get(key) for key in wanted}) if found else "no BackupConfiguration"

        return self._lookout.wait(f"{target.title}: {dict(wanted)} in its BackupConfiguration", matching, state=present)

    def wait_until_gone(self, target: Target, configuration: Object) -> None:
        """Until this very BackupConfiguration was deleted."""
        uid = configuration["metadata"]["uid"]
        self._lookout.wait(
            f"{target.title}: its BackupConfiguration to go", lambda: self._lookout.saw_deleted(CONFIGURATION, uid)
        )

    def wait_for_event(self, target: Target, reason: str, *, since: float) -> Object:
        """Until an Event about this target with this reason arrives."""
        uid = self._admin.get(target.kind, target.key.name, namespace=target.key.namespace)["metadata"]["uid"]

        def event() -> Object | None:
            for each in self._lookout.sightings(EVENT, since=since):
                found = each.object
                if found.get("regarding", {}).get("uid") == uid and found.get("reason") == reason:
                    return found
            return None

        def others() -> str:
            reasons = {each.object.get("reason", "") for each in self._lookout.sightings(EVENT, since=since)}
            return "Events with reason " + ", ".join(sorted(reasons)) if reasons else "no Event"

        return self._lookout.wait(f"{target.title}: an Event with reason {reason}", event, state=others)

    def wait_for_blueprint(self, *, matched: int, failed: int = 0) -> Object:
        """Until the status of the blueprint, as it is now, counts this many targets and none is left to be done.

        It is Ready then, unless targets failed.
        """
        wanted = {"matched": matched, "configured": matched - failed, "failed": failed, "pending": 0}

        def blueprint() -> Object | None:
            return next((each for each in self._lookout.live(BLUEPRINT) if _name(each) == self._names.blueprint), None)

        def settled() -> Object | None:
            found = blueprint()
            if found is None:
                return None
            status = found.get("status") or {}
            current = status.get("observedGeneration") == found["metadata"]["generation"]
            counted = all(status.get(key, 0) == value for key, value in wanted.items())
            return found if current and counted and (failed or _condition(found, "Ready") == "True") else None

        def present() -> str:
            return str((blueprint() or {}).get("status"))

        return self._lookout.wait(
            f"BackupBlueprint {self._names.blueprint}: {wanted} in its status", settled, state=present
        )

    # -- asking the server anew --------------------------------------------------------------------

    def pair(self, target: Target) -> Pair:
        """What the server has for a target; both must be there."""
        repository = self._listed(REPOSITORY, target)
        configuration = self._listed(CONFIGURATION, target)
        if repository is None or configuration is None:
            raise DemoFailed(
                f"{target.title}: its Repository or its BackupConfiguration is not on the API server any more"
            )
        return Pair(repository, configuration)

    def expect_count(self, count: int) -> None:
        """As many targets as were annotated have something, and nobody else."""
        for kind in (REPOSITORY, CONFIGURATION):
            names = [each["metadata"]["name"] for each in self._admin.list(kind, namespace=self._names.namespace)]
            if len(names) != count:
                raise DemoFailed(f"expected {count} objects of kind {kind.rpartition('/')[2]}, found {names}")

    def expect_untouched(self, target: Target, before: Object) -> None:
        """The object is on the server as it was: nobody wrote to it."""
        after = self._expect_kept(target, before)
        if after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise DemoFailed(f"{target.title}: its {before['kind']} was written, although nothing about it changed")

    def expect_kept(self, target: Target, before: Object) -> None:
        """The object is still the same one: same uid, not being deleted."""
        self._expect_kept(target, before)

    def _expect_kept(self, target: Target, before: Object) -> Object:
        kind = f"{before['apiVersion']}/{before['kind']}"
        metadata = before["metadata"]
        after = self._admin.find(kind, metadata["name"], namespace=metadata["namespace"])
        if after is None or after["metadata"]["uid"] != metadata["uid"] or "deletionTimestamp" in after["metadata"]:
            raise DemoFailed(
                f"{target.title}: {before['kind']} {metadata['name']} with uid {metadata['uid']} is not there any more"
            )
        return after

    def _listed(self, kind: str, target: Target) -> Object | None:
        found = cast.serving(self._admin.list(kind, namespace=self._names.namespace), target, self._names)
        return found and {"apiVersion": kind.rpartition("/")[0], "kind": kind.rpartition("/")[2], **found}

    def _live(self, kind: str, target: Target) -> Object | None:
        return cast.serving(self._lookout.live(kind), target, self._names)


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _condition(obj: Object, kind: str) -> str:
    conditions = obj.get("status", {}).get("conditions", ())
    return next((each["status"] for each in conditions if each["type"] == kind), "Unknown")
