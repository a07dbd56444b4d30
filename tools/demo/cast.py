"""Who takes part in the story: the five targets, and how to find what was made for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconcilers import annotations as asked
from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.secretcopy import CONSENT
from tools.controlplane import read_manifests
from tools.controlplane.client import Object
from tools.demo.stage import SHARED_SOURCE, Names

REPOSITORY = "stash.appscode.com/v1alpha1/Repository"
CONFIGURATION = "stash.appscode.com/v1beta1/BackupConfiguration"
EVENT = "events.k8s.io/v1/Event"

_MANIFESTS = Path(__file__).parent / "manifests"


@dataclass(frozen=True, slots=True)
class Target:
    """An object that gets annotated."""

    manifest: Object
    annotations: dict[str, str | None]
    """What it gets besides the name of the blueprint."""
    remark: str

    @property
    def kind(self) -> str:
        return f"{self.manifest['apiVersion']}/{self.manifest['kind']}"

    @property
    def key(self) -> Key:
        metadata = self.manifest["metadata"]
        return Key(self.manifest["kind"], metadata["namespace"], metadata["name"])

    @property
    def title(self) -> str:
        return f"{self.key.kind} {self.key.name}"


_ANNOTATIONS: dict[str, dict[str, str | None]] = {
    "DaemonSet": {asked.PATHS: "/var/spool/collector", asked.MOUNTS: "spool:/var/spool/collector"},
}
_REMARKS = {
    "Deployment": "Nothing else is said, so its one volume with a PersistentVolumeClaim is taken, the cache is not.",
    "StatefulSet": "Its volume comes from a claim template.",
    "DaemonSet": "It has no PersistentVolumeClaim, so two annotations name the volume and the path.",
    "PersistentVolumeClaim": "A volume can be backed up whole, without the workload.",
    "AppBinding": "It stands for a database; the backup task finds the address and the login there.",
}


def targets(names: Names) -> list[Target]:
    """The targets, in the order of their appearance."""
    found = []
    for manifest in read_manifests(_MANIFESTS / "targets.yaml"):
        manifest["metadata"]["namespace"] = names.namespace
        kind = manifest["kind"]
        found.append(Target(manifest, _ANNOTATIONS.get(kind, {}), _REMARKS[kind]))
    return found


def storage_secret(names: Names) -> Object:
    (manifest,) = read_manifests(_MANIFESTS / "secret.yaml")
    manifest["metadata"]["namespace"] = names.namespace
    return manifest


def shared_source(names: Names) -> Object:
    """The same login, kept in one place, with its owner's consent to copy it."""
    (manifest,) = read_manifests(_MANIFESTS / "secret.yaml")
    metadata = {"name": SHARED_SOURCE, "namespace": names.vault, "labels": {CONSENT: "true"}}
    return {**manifest, "metadata": metadata}


def blueprint(names: Names) -> Object:
    (manifest,) = read_manifests(_MANIFESTS / "blueprint.yaml")
    manifest["metadata"]["name"] = names.blueprint
    return manifest


def serving(objects: Iterable[Object], target: Target, names: Names) -> Object | None:
    """Which of our objects was made for this target: told by its marks, whatever its name."""
    for each in objects:
        mark = marks.read(each["metadata"])
        if mark and mark.target == target.key and mark.blueprint == names.blueprint:
            return each
    return None


def trimmed(obj: Object) -> dict[str, Any]:
    """An object without what only machines read."""
    return {
        "kind": obj["kind"],
        "metadata": {"name": obj["metadata"]["name"], "namespace": obj["metadata"]["namespace"]},
        "spec": obj["spec"],
    }


def prefix_of(repository: Object) -> str:
    """Where in its bucket a Repository lies."""
    backend = repository["spec"]["backend"]
    provider = next(name for name in backend if name != "storageSecretName")
    return str(backend[provider].get("prefix", ""))
