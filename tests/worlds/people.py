"""What people do, and what runs backups: the steps of a script."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from informers.resource import ObjectKey, Resource
from reconcilers import marks
from reconcilers.annotations import BLUEPRINT as OPT_IN
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE
from reconcilers.secretcopy import CONSENT, SECRET
from tests.reconcilers import objects
from tests.support.fakeapply import ApplyServer, Object

EVENT = Resource("events.k8s.io", "v1", "events", "Event")
SERVED = (
    NAMESPACE,
    BLUEPRINT,
    REPOSITORY,
    CONFIGURATION,
    SECRET,
    EVENT,
    *(t.resource for t in TARGETS.values() if not t.openshift),
)
SPACE = objects.NAMESPACE

Act = Callable[[ApplyServer], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One deed, `after` so many seconds and once its condition holds. Nobody waits for a condition for ever."""

    name: str
    act: Act
    after: float = 5.0
    once: Callable[[ApplyServer], bool] = lambda server: True


def key_of(name: str, namespace: str = SPACE) -> ObjectKey:
    return ObjectKey(namespace, name)


def create(kind: str, name: str = "shop", blueprint: str | None = "nightly", **annotations: str) -> Act:
    made = objects.target(kind, name, annotated=objects.opting_in(blueprint, **annotations))
    return lambda server: None if server.look(_resource(kind), key_of(name)) else _make(server, made)


def ask(blueprint: str | None) -> Act:
    """The annotation of the namespace; None takes it off."""

    def change(obj: Object) -> None:
        found = obj["metadata"].setdefault("annotations", {})
        found.pop(OPT_IN, None) if blueprint is None else found.update({OPT_IN: blueprint})

    return _editing(NAMESPACE, ObjectKey("", SPACE), change)


def label(**labels: str) -> Act:
    """The labels of the namespace."""
    return _editing(NAMESPACE, ObjectKey("", SPACE), lambda obj: obj["metadata"].update(labels=labels))


def is_suspended(name: str) -> Callable[[ApplyServer], bool]:
    def look(server: ApplyServer) -> bool:
        found = server.look(CONFIGURATION, key_of(name))
        return found is not None and found["spec"].get("paused") is True

    return look


def create_blueprint(name: str = "nightly", **spec: Any) -> Act:
    made = objects.blueprint(name, **spec)
    return lambda server: None if server.look(BLUEPRINT, ObjectKey("", name)) else _make(server, made)


def annotate(kind: str, name: str = "shop", **annotations: str | None) -> Act:
    """Set annotations of a target; None removes one. `blueprint` is the one that opts in."""

    def change(obj: Object) -> None:
        found = obj["metadata"].setdefault("annotations", {})
        for short, value in annotations.items():
            full = OPT_IN if short == "blueprint" else f"stash.appscode.com/{short.replace('_', '-')}"
            if value is None:
                found.pop(full, None)
            else:
                found[full] = value

    return _editing(_resource(kind), key_of(name), change)


def remount(path: str, name: str = "shop") -> Act:
    """Another mount path in a Deployment's pod template."""

    def change(obj: Object) -> None:
        obj["spec"] = objects.pods(mounts={"data": path})

    return _editing(_resource("Deployment"), key_of(name), change)


def scale(replicas: int, name: str = "shop") -> Act:
    return _editing(_resource("Deployment"), key_of(name), lambda obj: obj["spec"].update(replicas=replicas))


def respec(name: str = "nightly", **fields: Any) -> Act:
    """Change fields of a blueprint's spec; None removes one."""

    def change(obj: Object) -> None:
        spec = {**obj["spec"], **fields}
        obj["spec"] = {field: value for field, value in spec.items() if value is not None}

    return _editing(BLUEPRINT, ObjectKey("", name), change)


def delete(kind: str, name: str = "shop") -> Act:
    return _removing(_resource(kind), key_of(name))


def delete_blueprint(name: str = "nightly") -> Act:
    return _removing(BLUEPRINT, ObjectKey("", name))


def delete_repository(name: str) -> Act:
    return _removing(REPOSITORY, key_of(name))


def delete_configuration(name: str) -> Act:
    return _removing(CONFIGURATION, key_of(name))


def back_up(name: str) -> Act:
    """A backup ran: the Repository holds snapshots now."""

    def change(obj: Object) -> None:
        obj["status"] = {**obj.get("status", {}), "snapshotCount": 3}

    def act(server: ApplyServer) -> None:
        server.report(REPOSITORY, key_of(name), change)

    return act


def meddle(name: str) -> Act:
    """Somebody changes what the operator made."""
    return _editing(CONFIGURATION, key_of(name), lambda obj: obj["spec"].update(schedule="@yearly"))


def make_foreign(name: str) -> Act:
    """Somebody makes a BackupConfiguration of their own, with the name that ours would have."""
    made = {
        "apiVersion": CONFIGURATION.api_version,
        "kind": CONFIGURATION.kind,
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {"schedule": "@yearly"},
    }
    return lambda server: None if server.look(CONFIGURATION, key_of(name)) else _make(server, copy.deepcopy(made))


def collect_garbage(server: ApplyServer) -> None:
    server.collect_garbage()


def has_repository(name: str) -> Callable[[ApplyServer], bool]:
    return lambda server: server.look(REPOSITORY, key_of(name)) is not None


def has_configuration(name: str) -> Callable[[ApplyServer], bool]:
    return lambda server: server.look(CONFIGURATION, key_of(name)) is not None


def is_ours(name: str) -> Callable[[ApplyServer], bool]:
    """Whether the BackupConfiguration of this name is the operator's."""

    def look(server: ApplyServer) -> bool:
        found = server.look(CONFIGURATION, key_of(name))
        return found is not None and bool(found["metadata"].get("ownerReferences"))

    return look


def is_succeeded(name: str) -> Callable[[ApplyServer], bool]:
    """Whether another Repository took over, and the BackupConfiguration knows."""

    def look(server: ApplyServer) -> bool:
        found = server.look(REPOSITORY, key_of(name))
        return found is not None and marks.SUCCEEDED_BY in (found["metadata"].get("annotations") or {})

    return look


def points(name: str, prefix: str) -> Callable[[ApplyServer], bool]:
    """Whether a Repository has this place in its bucket."""

    def look(server: ApplyServer) -> bool:
        found = server.look(REPOSITORY, key_of(name))
        return found is not None and bool(found["spec"]["backend"]["s3"]["prefix"] == prefix)

    return look


def start(server: ApplyServer) -> None:
    """What every world has from the beginning: the namespace, and the storage Secret."""
    server.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE, "namespace": ""}})
    data = {"RESTIC_PASSWORD": "c2VzYW1l"}
    metadata = {"name": "storage", "namespace": SPACE}
    server.make({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def share_source(server: ApplyServer) -> None:
    """A Secret in another namespace, whose owner lets it be copied."""
    metadata = {"name": "bucket", "namespace": "vault", "labels": {CONSENT: "true"}}
    data = {"RESTIC_PASSWORD": "Zmlyc3Q=", "UNRELATED": "eA=="}
    server.make({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def rotate(password: str) -> Act:
    """Another value in the source."""
    change = {"RESTIC_PASSWORD": password}
    return _editing(SECRET, ObjectKey("vault", "bucket"), lambda obj: obj["data"].update(change))


def has_copy(name: str, password: str = "") -> Callable[[ApplyServer], bool]:
    def look(server: ApplyServer) -> bool:
        found = server.look(SECRET, key_of(name))
        return found is not None and password in ("", found["data"]["RESTIC_PASSWORD"])

    return look


def _resource(kind: str) -> Resource:
    return TARGETS[kind].resource


def _make(server: ApplyServer, obj: Object) -> None:
    server.make(obj)


def _editing(resource: Resource, key: ObjectKey, change: Callable[[Object], None]) -> Act:
    """An edit of what is there; nothing when it is not."""

    def act(server: ApplyServer) -> None:
        if server.look(resource, key) is not None:
            server.edit(resource, key, change)

    return act


def _removing(resource: Resource, key: ObjectKey) -> Act:
    def act(server: ApplyServer) -> None:
        if server.look(resource, key) is not None:
            server.remove(resource, key)

    return act
