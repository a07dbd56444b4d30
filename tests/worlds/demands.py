"""What the live targets and blueprints ask for, worked out from them alone and by no code of the operator.

For scripts whose end depends on the way (which Repository went on, which name was free): whatever the way, each target
has one BackupConfiguration for each blueprint that it names and that exists, pointing at a Repository where that
blueprint says it should be, and none for others. One whose blueprint does not allow the namespace has nothing, or what
it had is suspended. Knows the targets and blueprints of `tales.py`, and nothing more: no claim there is a workload's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE
from tests.support.fakeapply import ApplyServer, Object

_PREFIX = "autobackup.stash.appscode.com/"
_OPT_IN = "stash.appscode.com/backup-blueprint"
_SCHEDULE = "stash.appscode.com/schedule"
TEAM = {"team": "a"}
FOR_A_TEAM = {"selector": {"matchLabels": TEAM}}
"""What a blueprint has for `allowedNamespaces`, if anything."""
Pair = tuple[str, str]
"""A target, as our objects name it, and a blueprint."""


def unmet(server: ApplyServer) -> list[str]:
    """What is not as it has to be, in words; nothing when all is right."""
    return [*_pairs(server), *_locations(server), *_statuses(server)]


def _pairs(server: ApplyServer) -> Iterator[str]:
    blueprints = {obj["metadata"]["name"]: obj for obj in server.every(BLUEPRINT)}
    live: dict[Pair, list[Object]] = {}
    for obj in server.every(CONFIGURATION):
        marks = obj["metadata"]["annotations"]
        live.setdefault((marks[_PREFIX + "target"], marks[_PREFIX + "blueprint"]), []).append(obj)
    tolerated = set()
    for target in _targets(server):
        name = _name(target)
        named = _named(server, target)
        usable = [each for each in named if each in blueprints and _allows(server, blueprints[each])]
        if any(blueprint not in usable for blueprint in named):
            tolerated.add(name)  # what it had stays until the blueprint exists, and may be used
        for blueprint in named:
            found = live.pop((name, blueprint), [])
            if blueprint in usable:
                yield from _pair(server, target, blueprints[blueprint], found)
            elif blueprint in blueprints and not all(each["spec"].get("paused") for each in found):
                yield f"{name} may not use blueprint {blueprint}, and goes on with it"
    for (name, blueprint), _ in live.items():
        if name not in tolerated:
            yield f"{name} does not ask for blueprint {blueprint}, and has a BackupConfiguration for it"


def _pair(server: ApplyServer, target: Object, blueprint: Object, found: list[Object]) -> Iterator[str]:
    what = f"{_name(target)} with blueprint {blueprint['metadata']['name']}"
    if len(found) != 1:
        yield f"{what} has {len(found)} BackupConfigurations"
        return
    configuration, annotations = found[0], target["metadata"].get("annotations", {})
    if "paused" in configuration["spec"]:
        yield f"{what} is suspended"
    schedule = annotations.get(_SCHEDULE, blueprint["spec"]["schedule"])
    if configuration["spec"]["schedule"] != schedule:
        yield f"{what} has the schedule {configuration['spec']['schedule']}, not {schedule}"
    owners = [owner["uid"] for owner in configuration["metadata"]["ownerReferences"]]
    if owners != [target["metadata"]["uid"]]:
        yield f"{what} is owned by {owners}, not by {target['metadata']['uid']}"
    if target["kind"] == "Deployment":
        path = target["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"]
        if configuration["spec"]["target"]["paths"] != [path]:
            yield f"{what} has the paths {configuration['spec']['target']['paths']}, not {path}"
    namespace, name = configuration["metadata"]["namespace"], configuration["spec"]["repository"]["name"]
    repository = next((obj for obj in server.every(REPOSITORY) if obj["metadata"]["name"] == name), None)
    if repository is None:
        yield f"{what} uses Repository {namespace}/{name}, which does not exist"
        return
    prefix = blueprint["spec"]["backend"]["s3"]["prefix"]
    for variable in ("namespace", "kind", "name"):
        value = {**target["metadata"], "kind": target["kind"].lower()}[variable]
        prefix = prefix.replace(f"${{TARGET_{variable.upper()}}}", value)
    if repository["spec"]["backend"]["s3"]["prefix"] != prefix:
        yield f"{what} is backed up to {repository['spec']['backend']['s3']['prefix']}, not to {prefix}"


def _locations(server: ApplyServer) -> Iterator[str]:
    places = Counter(obj["spec"]["backend"]["s3"]["prefix"] for obj in server.every(REPOSITORY))
    yield from (f"{count} Repositories have the location {place}" for place, count in places.items() if count > 1)


def _statuses(server: ApplyServer) -> Iterator[str]:
    for blueprint in server.every(BLUEPRINT):
        name, status = blueprint["metadata"]["name"], blueprint.get("status", {})
        count = sum(name in _named(server, target) for target in _targets(server))
        configured = count if _allows(server, blueprint) else 0
        told = {field: status.get(field) for field in ("matched", "configured", "pending", "failed")}
        if told != {"matched": count, "configured": configured, "pending": 0, "failed": count - configured}:
            yield f"the status of blueprint {name} says {told} of {count} targets, {configured} of them allowed"
        conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
        if conditions.get("StorageSecretsFound") != "True":
            yield f"the status of blueprint {name} does not know of the storage Secret"
        if status.get("observedGeneration") != blueprint["metadata"]["generation"]:
            yield f"the status of blueprint {name} is that of another generation"


def _targets(server: ApplyServer) -> list[Object]:
    kinds = [kind.resource for kind in TARGETS.values() if not kind.openshift]
    return [obj for resource in kinds for obj in server.every(resource)]


def _name(target: Object) -> str:
    return f"{target['kind']}/{target['metadata']['namespace']}/{target['metadata']['name']}"


def _named(server: ApplyServer, target: Object) -> list[str]:
    listed = target["metadata"].get("annotations", {}).get(_OPT_IN)
    if listed is None and target["kind"] == "PersistentVolumeClaim":
        listed = _space(server).get("annotations", {}).get(_OPT_IN)
    return [name for name in (listed or "").split(",") if name not in ("", "-")]


def _allows(server: ApplyServer, blueprint: Object) -> bool:
    return "allowedNamespaces" not in blueprint["spec"] or _space(server).get("labels") == TEAM


def _space(server: ApplyServer) -> Object:
    """Metadata of the one namespace."""
    ((metadata,),) = [[obj["metadata"] for obj in server.every(NAMESPACE)]]
    return dict(metadata)
