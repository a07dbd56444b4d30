"""The objects of a plan as output: YAML, JSON or names, as kubectl prints them.

Contract: an object is printed exactly as the operator would apply it. What only a cluster knows, the uid of a target
that was not created yet, is left empty where the API wants an identity. On purpose: an ownerReference with an
invented uid would be accepted, and the garbage collector would delete the object; with an empty one the API server
refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from autobackup import yamltext
from autobackup.subjects import is_stand_in
from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.marks import PRODUCT
from reconcilers.plan import Apply, Plan

FORMATS = ("yaml", "json", "name")
_GROUP_OF = {resource.kind: resource.group for resource in (REPOSITORY, CONFIGURATION)}


def applied(plan: Plan) -> list[Apply]:
    """The steps that write whole objects, not those that only note a succession on an old one."""
    return [step for step in plan.steps if isinstance(step, Apply) and step.manager == PRODUCT]


def finished(body: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the body of an apply with stand-ins for uids taken out."""
    metadata = dict(body["metadata"])
    if is_stand_in(str(metadata.get("uid", ""))):
        del metadata["uid"]
    annotations = dict(metadata.get("annotations") or {})
    if is_stand_in(annotations.get(marks.TARGET_UID, "")):
        annotations[marks.TARGET_UID] = ""
        metadata["annotations"] = annotations
    if "ownerReferences" in metadata:
        metadata["ownerReferences"] = [
            {**owner, "uid": ""} if is_stand_in(str(owner.get("uid", ""))) else owner
            for owner in metadata["ownerReferences"]
        ]
    return {**body, "metadata": metadata}


def render(bodies: Iterable[Mapping[str, Any]], output: str, *, ascii_only: bool = False) -> str:
    """The objects in the given format; YAML documents, one JSON `List`, or one name a line."""
    found = list(bodies)
    if output == "json":
        whole = {"apiVersion": "v1", "kind": "List", "items": found}
        return json.dumps(whole, indent=2, ensure_ascii=ascii_only) + "\n"
    if output == "name":
        return "".join(f"{name_of(body['kind'], body['metadata']['name'])}\n" for body in found)
    return "---\n".join(yamltext.write(body, ascii_only=ascii_only) for body in found)


def name_of(kind: str, name: str) -> str:
    """`backupconfiguration.stash.appscode.com/deploy-shop`, as kubectl names objects."""
    return f"{kind.lower()}.{_GROUP_OF[kind]}/{name}"


def without_uid(plans: Mapping[Key, Plan]) -> list[Key]:
    """The targets whose uid is not known and shows, as a gap, in what is printed."""
    return [
        key
        for key, plan in plans.items()
        if any(
            is_stand_in(str((step.body["metadata"].get("annotations") or {}).get(marks.TARGET_UID, "")))
            for step in applied(plan)
        )
    ]
