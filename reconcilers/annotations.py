"""The annotations that a target may carry: the grammar of each, in one place.

An annotation is a request by an unknown author. Whatever stands in it is either understood completely or refused with
the reason; it is never cleaned up and never passed through unseen.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconcilers.errors import Refusal
from reconcilers.grammar import LONGEST as _LONGEST_VALUE
from reconcilers.grammar import Malformed, listed
from reconcilers.kinds import TARGETS, Family
from reconcilers.reasons import Reason

PREFIX = "stash.appscode.com/"
PARAMS_PREFIX = "params.stash.appscode.com/"
VARIABLES_PREFIX = "blueprint.stash.appscode.com/"
PREFIXES = (PREFIX, PARAMS_PREFIX, VARIABLES_PREFIX)


BLUEPRINT = PREFIX + "backup-blueprint"
MARKER = BLUEPRINT.encode()
"""Bytes that an encoded object must hold to be a target at all."""

NONE = "-"
"""In place of names: no blueprint, whatever the Namespace says."""

PATHS = PREFIX + "target-paths"
MOUNTS = PREFIX + "volume-mounts"
SCHEDULE = PREFIX + "schedule"

_MOST_PARAMS = 32
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of characters, which JSON can write and UTF-8 cannot."""
_BLUEPRINT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_VOLUME_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_BOOKKEEPING = ("last-applied-backup-invoker", "last-applied-restore-invoker", "tag")


@dataclass(frozen=True, slots=True)
class Description:
    """One row of the reference of annotations."""

    key: str
    syntax: str
    families: frozenset[Family]
    meaning: str
    example: str


ANNOTATIONS: tuple[Description, ...] = (
    Description(
        BLUEPRINT,
        "name[,name…], or -",
        frozenset(Family),
        "Opts the target in and names the BackupBlueprints to use. Its removal opts out. On a Namespace: for every "
        "object in it of the kinds that the blueprint lists in `spec.targetKinds`; then `-` on an object opts that one "
        "out.",
        "nightly",
    ),
    Description(
        PATHS,
        "path[,path…] or a JSON list of strings",
        frozenset({Family.WORKLOAD}),
        "Absolute paths to back up. Default: the mount paths of the volumes that are mounted.",
        "/srv/data,/srv/media",
    ),
    Description(
        MOUNTS,
        "volume:mountPath[:subPath][,…] or a JSON list of strings",
        frozenset({Family.WORKLOAD}),
        "Volumes of the pod template to mount for the backup. Default: every volume backed by a "
        "PersistentVolumeClaim, where the containers mount it.",
        "data:/srv/data",
    ),
    Description(
        PARAMS_PREFIX + "<name>",
        "text, taken as it is",
        frozenset({Family.DATABASE, Family.VOLUME}),
        "Sets the parameter <name> of the backup task; replaces the blueprint's value.",
        "--all-databases",
    ),
)
"""Those that only a target may carry. What may be overridden is in `reconcilers.overridable`."""


@dataclass(frozen=True, slots=True, order=True)
class Mount:
    """A volume of the pod template, where it is mounted for the backup, and which part of it."""

    name: str
    mount_path: str
    sub_path: str = ""

    def as_json(self) -> dict[str, str]:
        found = {"name": self.name, "mountPath": self.mount_path}
        if self.sub_path:
            found["subPath"] = self.sub_path
        return found


@dataclass(frozen=True, slots=True)
class Request:
    """What the annotations of a target ask for. None means: not said, use the default."""

    params: tuple[tuple[str, str], ...] = ()
    paths: tuple[str, ...] | None = None
    mounts: tuple[Mount, ...] | None = None


def relevant(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The annotations that this operator reads, sorted; everything else is forgotten at once."""
    return tuple(
        sorted(
            (key, value)
            for key, value in annotations.items()
            if key.startswith(PREFIXES) and not key.removeprefix(PREFIX).startswith(_BOOKKEEPING)
        )
    )


def blueprint_names(value: str) -> tuple[str, ...]:
    """The blueprints that an annotation value names, in order, without repetition; raises Refusal. None for "-"."""
    if value.strip() == NONE:
        return ()
    names = tuple(dict.fromkeys(_items(BLUEPRINT, value)))
    for name in names:
        if not _BLUEPRINT_NAME.fullmatch(name):
            raise Refusal(
                Reason.INVALID_ANNOTATION,
                BLUEPRINT,
                "is not the name of a BackupBlueprint",
                value=name,
                hint="use lower case letters, digits, '-' and '.', or remove the annotation to opt out",
            )
    return names


def parse(annotations: Mapping[str, str], *, kind: str) -> Request:
    """What only a target of `kind` can ask for, but the blueprint names; raises Refusal for the first bad value."""
    family = TARGETS[kind].family
    workload = family is Family.WORKLOAD
    return Request(
        params=() if workload else _params(annotations),
        paths=_paths(annotations[PATHS]) if workload and PATHS in annotations else None,
        mounts=_mounts(annotations[MOUNTS]) if workload and MOUNTS in annotations else None,
    )


def _text(key: str, value: str) -> str:
    if len(value) > _LONGEST_VALUE:
        raise Refusal(
            Reason.INVALID_ANNOTATION,
            key,
            f"is longer than {_LONGEST_VALUE} characters",
            value=value,
            hint="shorten it",
        )
    return value


def _items(key: str, value: str) -> list[str]:
    try:
        return listed(value)
    except Malformed as error:
        raise Refusal(Reason.INVALID_ANNOTATION, key, error.problem, value=value, hint=error.hint) from None


def _path(key: str, path: str) -> str:
    """An absolute path without `.` and `..`, in its shortest writing."""
    if not path.startswith("/") or ".." in path.split("/") or _CONTROL.search(path):
        raise Refusal(
            Reason.INVALID_ANNOTATION,
            key,
            "is not an absolute path without '..' and control characters",
            value=path,
            hint="write it like /srv/data",
        )
    return normalize(path)


def normalize(path: str) -> str:
    """An absolute path in its shortest writing; two leading slashes, which POSIX would keep, are one."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _paths(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_path(PATHS, item) for item in _items(PATHS, value)))


def _mounts(value: str) -> tuple[Mount, ...]:
    mounts = tuple(dict.fromkeys(_mount(item) for item in _items(MOUNTS, value)))
    taken: dict[str, Mount] = {}
    for mount in mounts:
        if taken.setdefault(mount.mount_path, mount) != mount:
            raise Refusal(
                Reason.INVALID_ANNOTATION,
                MOUNTS,
                "mounts two volumes at one path",
                value=mount.mount_path,
                hint="give each its own mount path",
            )
    return mounts


def _mount(item: str) -> Mount:
    parts = item.split(":")
    sub_path = parts[2] if len(parts) == 3 else ""
    if (
        len(parts) not in (2, 3)
        or not _VOLUME_NAME.fullmatch(parts[0])
        or (len(parts) == 3 and not sub_path)
        or sub_path.startswith("/")
        or ".." in sub_path.split("/")
        or _CONTROL.search(sub_path)
    ):
        raise Refusal(
            Reason.INVALID_ANNOTATION,
            MOUNTS,
            "is not a volume mount",
            value=item,
            hint="write volume:/mount/path or volume:/mount/path:sub/path (relative, without '..')",
        )
    return Mount(parts[0], _path(MOUNTS, parts[1]), sub_path)


def _params(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = []
    for key, value in sorted(annotations.items()):
        if not key.startswith(PARAMS_PREFIX):
            continue
        _text(key, value)
        if "\x00" in value:
            raise Refusal(Reason.INVALID_ANNOTATION, key, "has a NUL character", value=value, hint="remove it")
        found.append((key.removeprefix(PARAMS_PREFIX), value))
    if len(found) > _MOST_PARAMS:
        raise Refusal(
            Reason.INVALID_ANNOTATION,
            PARAMS_PREFIX + "*",
            f"there are {len(found)} parameters, more than {_MOST_PARAMS}",
            hint="remove some",
        )
    return tuple(found)
