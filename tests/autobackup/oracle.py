"""What has to exist, worked out from the live targets and blueprints alone and by no code of the operator.

Knows the blueprints that `Stage.blueprint` makes and the targets that `Stage.create` makes, and nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.autobackup.stage import ANNOTATION, BLUEPRINT, KINDS, Stage
from tools.controlplane import ApiFailure, AuditEvent, wait_for

if TYPE_CHECKING:
    from tests.autobackup.traffic import Traffic

Object = dict[str, Any]

SHORT = {"Deployment": "deploy", "StatefulSet": "sts", "PersistentVolumeClaim": "pvc", "AppBinding": "app"}
TARGET = "autobackup.stash.appscode.com/target"


def expected(stage: Stage) -> tuple[dict[str, Object], dict[str, Object]]:
    """The BackupConfigurations, and the specs of the Repositories behind them, that the annotations ask for now."""
    configurations: dict[str, Object] = {}
    repositories: dict[str, Object] = {}
    blueprints = {item["metadata"]["name"]: item["spec"] for item in stage.api.list(BLUEPRINT)}
    for kind, short in SHORT.items():
        for target in stage.api.list(f"{KINDS[kind]}/{kind}", namespace=stage.namespace):
            annotations = target["metadata"].get("annotations", {})
            blueprint = blueprints.get(annotations.get(ANNOTATION, ""))
            if blueprint is None or "deletionTimestamp" in target["metadata"]:
                continue
            name = target["metadata"]["name"]
            made = f"{short}-{name}"
            reference = {"apiVersion": KINDS[kind], "kind": kind, "name": name}
            wanted: Object = {"ref": reference}
            if kind in ("Deployment", "StatefulSet"):
                wanted |= {"paths": ["/srv/data"], "volumeMounts": [{"name": "data", "mountPath": "/srv/data"}]}
            configurations[made] = {
                "owners": [{**reference, "controller": True, "uid": target["metadata"]["uid"]}],
                "target": f"{kind}/{stage.namespace}/{name}",
                "spec": {
                    "driver": "Restic",
                    "repository": {"name": made},
                    "retentionPolicy": blueprint["retentionPolicy"],
                    "schedule": annotations.get("stash.appscode.com/schedule", blueprint["schedule"]),
                    "target": wanted,
                },
            }
            backend = dict(blueprint["backend"])
            prefix = backend["s3"]["prefix"]
            for variable, value in (("NAMESPACE", stage.namespace), ("KIND", kind.lower()), ("NAME", name)):
                prefix = prefix.replace(f"${{TARGET_{variable}}}", value)
            repositories[made] = {"backend": {**backend, "s3": {**backend["s3"], "prefix": prefix}}}
    return configurations, repositories


def differences(stage: Stage) -> list[str]:
    """What is not as it has to be, in words; nothing when all is right.

    A Repository more than asked for is right: it stands for data of a target that asked for backups once.
    """
    try:
        return _differences(stage)
    except ApiFailure as failure:
        if failure.status not in (429, 503):
            raise
        return [f"the server is still starting: {failure}"]


def _differences(stage: Stage) -> list[str]:
    configurations, repositories = expected(stage)
    found = []
    live = {item["metadata"]["name"]: item for item in stage.configurations()}
    found += [f"BackupConfiguration {name} is missing" for name in configurations.keys() - live.keys()]
    found += [f"nobody asks for BackupConfiguration {name}" for name in live.keys() - configurations.keys()]
    for name in configurations.keys() & live.keys():
        metadata = live[name]["metadata"]
        is_ = {
            "owners": metadata.get("ownerReferences"),
            "target": metadata.get("annotations", {}).get(TARGET),
            "spec": live[name]["spec"],
        }
        if is_ != configurations[name]:
            found.append(f"BackupConfiguration {name} is {is_}, not {configurations[name]}")
    specs = {item["metadata"]["name"]: item["spec"] for item in stage.repositories()}
    for name, spec in repositories.items():
        if specs.get(name) != spec:
            found.append(f"the spec of Repository {name} is {specs.get(name)}, not {spec}")
    return sorted(found)


def agrees(stage: Stage, timeout: float) -> None:
    """Wait until everything is as the annotations ask for."""
    wait_for(
        lambda: not differences(stage),
        timeout,
        what="the objects to be what the annotations ask for",
        state=lambda: differences(stage)[:10],
        poll=0.1,
    )


def locations(stage: Stage) -> list[str]:
    """The location of each Repository: each has to be there once only."""
    return sorted(item["spec"]["backend"]["s3"]["prefix"] for item in stage.repositories())


def no_duplicates(stage: Stage) -> None:
    """Nobody's data are in two places, and no place holds the data of two."""
    found = locations(stage)
    assert len(set(found)) == len(found)
    asked = Counter(item["metadata"]["annotations"][TARGET] for item in stage.configurations())
    assert set(asked.values()) <= {1}


def bounded(writes: Iterable[AuditEvent], people: Traffic, *, repeats: int = 0, operators: int = 1) -> None:
    """No object was written more often than people gave reason to; `repeats` is for answers that were lost.

    What the server refused changed nothing. An object that no watch shows yet is refused again until it is shown.
    """
    written = Counter(
        (event.resource, event.name)
        for event in writes
        if event.resource in ("repositories", "backupconfigurations") and event.status < 400
    )
    kinds = {short: kind for kind, short in SHORT.items()}
    for (resource, name), count in written.items():
        short, _, target = name.partition("-")
        reasons = 1
        if resource == "backupconfigurations":
            reasons += people.done[f"{kinds.get(short)}/{target}"] + people.edits + people.lost
        assert count <= operators * reasons + repeats, (resource, name, count, reasons)
    assert written, "an audit log without a write is not that of this run"
