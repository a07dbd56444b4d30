"""What must be true of a run, whatever happened in it.

The end: the same objects with the same content, owners and status as after the undisturbed run of the same script, but
for what cannot be the same (times, versions, uids of objects that may have been made twice, how often something was
edited). The way: no deletion of what was wanted, no Repository that holds data pointed elsewhere, few writes.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.annotations import BLUEPRINT as OPT_IN
from reconcilers.annotations import blueprint_names
from reconcilers.errors import Refusal
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE
from reconcilers.rows import project_repository
from reconcilers.secretcopy import SECRET, SOURCE_VERSION
from tests.support.fakeapply import ApplyServer, Change, Object

if TYPE_CHECKING:
    from tests.worlds.world import Run

State = dict[str, Object]

SEEN = (BLUEPRINT, REPOSITORY, CONFIGURATION, SECRET, *(t.resource for t in TARGETS.values() if not t.openshift))
_MADE = (REPOSITORY.kind, CONFIGURATION.kind, SECRET.kind)


def state_of(server: ApplyServer) -> State:
    """All objects that matter, without what may differ."""
    return {
        f"{resource.kind} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}": _comparable(obj)
        for resource in SEEN
        for obj in server.every(resource)
    }


def _comparable(obj: Object) -> Object:
    found = copy.deepcopy(obj)
    metadata = found["metadata"]
    for name in ("resourceVersion", "creationTimestamp", "deletionTimestamp"):
        metadata.pop(name, None)
    if obj["kind"] in _MADE:
        metadata.pop("uid")
        metadata.pop("generation", None)
    for condition in found.get("status", {}).get("conditions", ()):
        condition.pop("lastTransitionTime", None)
    annotations = metadata.get("annotations", {})
    annotations.pop(SOURCE_VERSION, None)
    if marks.POD_TEMPLATE in annotations:
        record = json.loads(annotations[marks.POD_TEMPLATE])
        record.pop("generation")
        annotations[marks.POD_TEMPLATE] = record
    return found


def differences(state: State, expected: State) -> list[str]:
    """Both states side by side where they differ."""
    found = []
    for name in sorted(state.keys() | expected.keys()):
        if name not in state:
            found.append(f"{name} is missing")
        elif name not in expected:
            found.append(f"{name} should not be there")
        else:
            found += [f"{name}{path}" for path in _unequal(state[name], expected[name])]
    return found


def _unequal(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from _unequal(one.get(name), other.get(name), f"{path}.{name}")
    elif one != other:
        yield f"{path}: {one!r}, expected {other!r}"


def effective(run: Run) -> Counter[str]:
    """Writes of the operator that changed something, by object. Events are no state."""
    return Counter(_object(change) for change in run.writes if change.effective and change.resource.kind != "Event")


def sent(run: Run) -> int:
    """All write requests for objects that reached the server."""
    return sum(change.resource.kind != "Event" for change in run.writes)


def told(run: Run) -> int:
    """Events that were written."""
    return sum(change.resource.kind == "Event" and change.effective for change in run.writes)


def _object(change: Change) -> str:
    return f"{change.resource.kind} {change.key}"


def wrongs(run: Run) -> list[str]:
    """What the operator did on the way and must never do."""
    found = []
    for index, change in enumerate(run.server.journal):
        if not change.who.startswith("operator") or not change.effective:
            continue
        if change.resource.kind not in (*_MADE, BLUEPRINT.kind, "Event"):
            found.append(f"at {change.at:.1f} s {change.who} wrote to {_object(change)}")
        if change.resource == SECRET and not all(_is_copy(obj) for obj in (change.before, change.after) if obj):
            found.append(f"at {change.at:.1f} s {change.who} wrote to somebody's {_object(change)}")
        if change.resource == BLUEPRINT and change.subresource != "status":
            found.append(f"at {change.at:.1f} s {change.who} wrote to a blueprint: {_object(change)}")
        if change.verb == "delete" and change.resource == REPOSITORY:
            found.append(f"at {change.at:.1f} s {change.who} deleted {_object(change)}")
        if change.verb == "delete" and change.resource == CONFIGURATION and _wanted(run, index, change):
            found.append(f"at {change.at:.1f} s {change.who} deleted {_object(change)}, which was wanted")
        if change.resource == REPOSITORY and (other := _shares_location(run, index, change)):
            found.append(f"at {change.at:.1f} s {change.who} gave {_object(change)} the location of {other}")
        if change.resource == REPOSITORY and _repointed(change):
            found.append(f"at {change.at:.1f} s {change.who} pointed {_object(change)}, which has snapshots, elsewhere")
    return found


def _wanted(run: Run, index: int, change: Change) -> bool:
    """Whether the target asked for the object when the operator looked at it, just before it deleted the object."""
    assert change.before is not None
    mark = marks.read(change.before["metadata"])
    if mark is None:
        return True
    kind = TARGETS[mark.target.kind].resource
    path = kind.object_path(ObjectKey(mark.target.namespace, mark.target.name))
    looked = [at for who, where, at in run.server.looks if who == change.who and where == path and at <= change.at]
    since = max(looked, default=None)
    if since is None:
        # Nobody looked: it was replaced by one elsewhere.
        return not any(_serves(obj, mark) and obj is not change.before for obj in run.server.every(CONFIGURATION))
    target = None
    for earlier in run.server.journal[:index]:
        if (
            earlier.at <= since
            and earlier.resource == kind
            and tuple(earlier.key) == mark.target[1:]
            and earlier.effective
        ):
            target = earlier.after
    return target is not None and (_names(target, mark.blueprint) or _inherits(run, index, change, target, mark))


def _inherits(run: Run, index: int, change: Change, target: Object, mark: marks.Mark) -> bool:
    """Whether its Namespace asked for it, when the operator looked at that as well."""
    if mark.target.kind != "PersistentVolumeClaim" or OPT_IN in (target["metadata"].get("annotations") or {}):
        return False
    path = NAMESPACE.object_path(ObjectKey("", mark.target.namespace))
    looked = [at for who, where, at in run.server.looks if who == change.who and where == path and at <= change.at]
    spaces = [
        earlier.after
        for earlier in run.server.journal[:index]
        if earlier.resource == NAMESPACE and earlier.effective and looked and earlier.at <= max(looked)
    ]
    return bool(spaces) and spaces[-1] is not None and _names(spaces[-1], mark.blueprint)


def _serves(obj: Object, mark: marks.Mark) -> bool:
    other = marks.read(obj["metadata"])
    return other is not None and (other.target, other.blueprint) == (mark.target, mark.blueprint)


def _names(target: Object, blueprint: str) -> bool:
    named = (target["metadata"].get("annotations") or {}).get(OPT_IN)
    if named is None:
        return False
    try:
        return blueprint in blueprint_names(named)
    except Refusal:
        return True


def _is_copy(obj: Object) -> bool:
    return bool((obj["metadata"].get("labels") or {}).get(marks.MANAGED_BY) == marks.PRODUCT)


def _shares_location(run: Run, index: int, change: Change) -> str:
    """Another Repository, of another target, that had the same location at that moment."""
    if change.after is None or (change.before and change.before["spec"] == change.after["spec"]):
        return ""
    alive = {}
    for earlier in run.server.journal[:index]:
        if earlier.resource == REPOSITORY and earlier.effective:
            alive[earlier.key] = earlier.after
    mine = project_repository(change.after)
    for obj in alive.values():
        row = project_repository(obj) if obj is not None else None
        if row and row.mark and mine.mark and row.location == mine.location and row.mark.target != mine.mark.target:
            return str(row.key)
    return ""


def _repointed(change: Change) -> bool:
    if change.before is None or change.after is None or not (change.before.get("status") or {}).get("snapshotCount"):
        return False
    return bool(change.before["spec"] != change.after["spec"])
