"""The few facts about a workload's pod template that a backup needs, and what follows from them.

A workload is watched as metadata only. Its template is read once, when the target is first configured, and the facts
are written down on the BackupConfiguration together with the generation they were read at: as long as the generation
stays, nobody reads the template again, not even after a restart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from reconcilers.annotations import MOUNTS, PATHS, Mount, normalize
from reconcilers.errors import Refusal
from reconcilers.reasons import Reason

_LONGEST_RECORD = 16_384
_MOST_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the template: whether a PersistentVolumeClaim is behind it, and where containers mount it."""

    name: str
    persistent: bool
    mounts: tuple[Mount, ...] = ()
    expanded: bool = False
    """A container mounts it with subPathExpr, whose value only a running pod knows."""
    claim: str = ""
    """The claim behind it, `<template>-<workload>-*` for those of a StatefulSet; "" when not known or none."""


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """The volumes of a pod template, as read at `generation` of the workload."""

    generation: int
    volumes: tuple[Volume, ...]

    @property
    def knows_claims(self) -> bool:
        """Whether it is known which claims are behind the volumes: only some need to know, and have it written down."""
        return all(volume.claim for volume in self.volumes if volume.persistent)

    @property
    def without_claims(self) -> PodTemplate:
        return replace(self, volumes=tuple(replace(volume, claim="") for volume in self.volumes))

    def volume(self, name: str) -> Volume | None:
        return next((volume for volume in self.volumes if volume.name == name), None)


def from_workload(obj: Mapping[str, Any]) -> PodTemplate:
    """The facts, out of a whole workload object. Anything malformed in it is passed over."""
    spec = _mapping(obj.get("spec"))
    pod = _mapping(_mapping(spec.get("template")).get("spec"))
    containers = [c for c in _items(pod.get("containers")) if isinstance(c, Mapping)]
    mounts: dict[str, list[Mount]] = {}
    expanded = set()
    for container in containers:
        for mount in _items(container.get("volumeMounts")):
            name, path = _text(mount.get("name")), _text(mount.get("mountPath"))
            if mount.get("subPathExpr"):
                expanded.add(name)
            elif path.startswith("/"):
                found = Mount(name, normalize(path), _text(mount.get("subPath")))
                if found not in mounts.setdefault(name, []):
                    mounts[name].append(found)
    metadata = _mapping(obj.get("metadata"))
    volumes = {_text(v.get("name")): bool(v.get("persistentVolumeClaim")) for v in _items(pod.get("volumes"))}
    claims = {
        _text(v.get("name")): _text(_mapping(v.get("persistentVolumeClaim")).get("claimName"))
        for v in _items(pod.get("volumes"))
    }
    for claim in _items(spec.get("volumeClaimTemplates")):
        name = _text(_mapping(claim.get("metadata")).get("name"))
        volumes[name] = True
        claims[name] = f"{name}-{_text(metadata.get('name'))}-*"
    generation = metadata.get("generation")
    return PodTemplate(
        generation=generation if isinstance(generation, int) else 0,
        volumes=tuple(
            Volume(name, persistent, tuple(mounts.get(name, ())), name in expanded, claims.get(name, ""))
            for name, persistent in sorted(volumes.items())
            if name
        ),
    )


def record(template: PodTemplate) -> str:
    """The facts as the text of an annotation; "" when they are too many to write down."""
    text = json.dumps(
        {
            "generation": template.generation,
            "volumes": [
                {
                    "name": volume.name,
                    **({"persistent": True} if volume.persistent else {}),
                    **({"expanded": True} if volume.expanded else {}),
                    **({"claim": volume.claim} if volume.claim else {}),
                    **({"mounts": [m.as_json() for m in volume.mounts]} if volume.mounts else {}),
                }
                for volume in template.volumes
            ],
        },
        separators=(",", ":"),
    )
    return text if len(text) <= _LONGEST_RECORD else ""


@lru_cache(maxsize=4096)
def recall(text: str) -> PodTemplate | None:
    """The facts out of a record; None when the text is not one of ours."""
    try:
        loaded = json.loads(text)
        return PodTemplate(
            generation=int(loaded["generation"]),
            volumes=tuple(
                Volume(
                    name=str(item["name"]),
                    persistent=bool(item.get("persistent")),
                    mounts=tuple(
                        Mount(str(m["name"]), str(m["mountPath"]), str(m.get("subPath", "")))
                        for m in item.get("mounts", ())
                    ),
                    expanded=bool(item.get("expanded")),
                    claim=str(item.get("claim", "")),
                )
                for item in loaded["volumes"]
            ),
        )
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None


def choose(
    template: PodTemplate, *, paths: tuple[str, ...] | None, mounts: tuple[Mount, ...] | None
) -> tuple[tuple[str, ...], tuple[Mount, ...]]:
    """The paths and mounts of the backup: what was asked for, completed from the template, and checked against it.

    Raises a Refusal when a volume does not exist, a path lies under no mount, or nothing was asked for and the
    template gives no clear answer.
    """
    if mounts is None:
        mounts = _mounts_for(template, paths) if paths is not None else _all_persistent(template)
    for mount in mounts:
        if template.volume(mount.name) is None:
            raise Refusal(
                Reason.VOLUME_NOT_FOUND,
                MOUNTS,
                "the pod template has no volume of that name",
                value=mount.name,
                hint=f"it has {_shown(template) or 'none'}",
            )
    if paths is None:
        paths = _outermost(mounts)
    for path in paths:
        if not any(_is_under(path, mount.mount_path) for mount in mounts):
            raise Refusal(
                Reason.PATH_NOT_MOUNTED,
                PATHS,
                "lies under none of the mounts",
                value=path,
                hint=f"mounted are {', '.join(mount.mount_path for mount in mounts[:_MOST_SHOWN])}",
            )
    return paths, mounts


def _all_persistent(template: PodTemplate) -> tuple[Mount, ...]:
    persistent = [volume for volume in template.volumes if volume.persistent and (volume.mounts or volume.expanded)]
    if not persistent:
        raise Refusal(
            Reason.NOTHING_TO_BACK_UP,
            MOUNTS,
            "not given, and the containers mount no volume backed by a PersistentVolumeClaim",
            hint="name what to back up with volume-mounts and target-paths, or remove the blueprint annotation",
        )
    for volume in persistent:
        if volume.expanded:
            raise Refusal(
                Reason.AMBIGUOUS_VOLUMES,
                MOUNTS,
                f"not given, and volume {volume.name} is mounted with subPathExpr",
                hint=f"name it, for example {volume.name}:/data/{volume.name}",
            )
    mounts = tuple(mount for volume in persistent for mount in volume.mounts)
    for mount in mounts:
        _refuse_ambiguous(mount, mounts)
    return mounts


def _refuse_ambiguous(mount: Mount, mounts: Iterable[Mount]) -> None:
    """Two containers may mount different volumes at one path; which of them is meant nobody can guess."""
    other = next((m for m in mounts if m.mount_path == mount.mount_path and m != mount), None)
    if other is not None:
        raise Refusal(
            Reason.AMBIGUOUS_VOLUMES,
            MOUNTS,
            f"not given, and containers mount both {_named(mount)} and {_named(other)} at {mount.mount_path}",
            hint="name each with a mount path of its own",
        )


def _named(mount: Mount) -> str:
    return f"{mount.name}:{mount.sub_path}" if mount.sub_path else mount.name


def _mounts_for(template: PodTemplate, paths: tuple[str, ...]) -> tuple[Mount, ...]:
    """For each path the innermost mount that holds it, of any volume, and the claims that are mounted below the path.

    Without the latter a backup of the path would silently lack files that a container sees there.
    """
    known = sorted(
        (mount for volume in template.volumes for mount in volume.mounts),
        key=lambda mount: (-len(mount.mount_path), mount),
    )
    chosen = []
    for path in paths:
        mount = next((m for m in known if _is_under(path, m.mount_path)), None)
        if mount is None:
            raise Refusal(
                Reason.PATH_NOT_MOUNTED,
                PATHS,
                "no container mounts a volume there",
                value=path,
                hint=f"mounted are {', '.join(m.mount_path for m in known[:_MOST_SHOWN]) or 'none'}",
            )
        chosen.append(mount)
        chosen += _claims_below(template, path)
    for mount in chosen:
        _refuse_ambiguous(mount, known)
    return tuple(dict.fromkeys(chosen))


def _claims_below(template: PodTemplate, path: str) -> list[Mount]:
    persistent = (volume for volume in template.volumes if volume.persistent)
    below = (
        m for volume in persistent for m in volume.mounts if m.mount_path != path and _is_under(m.mount_path, path)
    )
    return sorted(below, key=lambda mount: mount.mount_path)


def _outermost(mounts: tuple[Mount, ...]) -> tuple[str, ...]:
    """The mount paths without those that lie under another: what is nested is backed up with its parent."""
    paths = dict.fromkeys(mount.mount_path for mount in mounts)
    return tuple(p for p in paths if not any(p != other and _is_under(p, other) for other in paths))


def _is_under(path: str, parent: str) -> bool:
    return parent in (path, "/") or path.startswith(parent + "/")


def _shown(template: PodTemplate) -> str:
    names = [volume.name for volume in template.volumes]
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
