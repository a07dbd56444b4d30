"""From manifests to what a reconciler looks at: targets, blueprints and objects that exist already.

Contract: `sort` gives every object of the given manifests its role, completed the way the API server would complete
it (namespace, generation), or refuses what the API server would refuse (no name, an annotation that is no text). A
kind that takes no part is counted and passed over, unless it asks for a backup: then it is an error, because nothing
would ever happen with it.

What only a cluster knows is a uid. An object that was never created has none; it gets a stand-in that is unique, can
be recognised, and is never taken for a real one (see `is_stand_in`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from autobackup.exits import UsageError
from autobackup.manifests import Manifest
from informers.resource import ObjectKey, Resource
from reconcilers import annotations as asked
from reconcilers import podtemplate
from reconcilers.blueprint import CONFIGURATION_FIELDS, REPOSITORY_FIELDS, RULES
from reconcilers.defaults import Default
from reconcilers.errors import show
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION, REPOSITORY, TARGETS
from reconcilers.location import PROVIDERS
from reconcilers.namespace import NAMESPACE, NamespaceRow, project_namespace
from reconcilers.podtemplate import PodTemplate
from reconcilers.rows import (
    BlueprintRow,
    ConfigurationRow,
    RepositoryRow,
    TargetRow,
    project_blueprint,
    project_configuration,
    project_repository,
    target_projection,
)

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_STAND_IN = "uid-of."
_LONGEST_STAND_IN = 200
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
BLUEPRINT_FIELDS = (
    "backend",
    "schedule",
    "repoNamespace",
    "backupNamespace",
    *CONFIGURATION_FIELDS,
    *REPOSITORY_FIELDS,
    *RULES,
)
"""Every field of a blueprint's spec."""

_BLUEPRINT_SHAPE: Mapping[tuple[str, ...], type] = {
    ("backend",): dict,
    **{("backend", provider): dict for provider in PROVIDERS},
    ("backend", "storageSecretName"): str,
    ("schedule",): str,
    ("repoNamespace",): str,
    ("backupNamespace",): str,
    ("task",): dict,
    ("task", "params"): list,
    ("usagePolicy",): dict,
    ("retentionPolicy",): dict,
    ("runtimeSettings",): dict,
    ("hooks",): dict,
}
_TYPES: Mapping[type, str] = {dict: "a mapping", list: "a list", str: "text"}


@dataclass(frozen=True, slots=True)
class Target:
    """An object that can be a target. `row` is None when it asks for nothing."""

    key: Key
    manifest: Manifest
    row: TargetRow | None
    template: PodTemplate | None
    controller: str = ""
    """The controller that owns it, for which reason it is no target itself."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A blueprint and where it stands."""

    row: BlueprintRow
    manifest: Manifest
    spec: Mapping[str, Any] = field(hash=False)


@dataclass(slots=True)
class Subjects:
    """Everything that the manifests hold, by role."""

    blueprints: dict[str, Blueprint] = field(default_factory=dict)
    targets: dict[Key, Target] = field(default_factory=dict)
    repositories: dict[ObjectKey, RepositoryRow] = field(default_factory=dict)
    configurations: dict[ObjectKey, ConfigurationRow] = field(default_factory=dict)
    secrets: set[ObjectKey] = field(default_factory=set)
    namespaces: dict[str, NamespaceRow] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    defaults: tuple[Default, ...] = ()
    """What the configuration of the operator gives where a blueprint says nothing."""
    as_if: str = ""
    """The annotation that targets without one were given."""


def sort(manifests: Iterable[Manifest], *, namespace: str = "default", as_if: str = "") -> Subjects:
    """The role of each manifest; raises UsageError. Targets without the annotation are given `as_if` as its value."""
    found = Subjects(as_if=as_if)
    for manifest in manifests:
        _take(found, manifest, namespace)
    for key, target in found.targets.items():
        if target.row is None and asks(found.namespaces.get(key.namespace)):
            metadata = _metadata(target.manifest)
            found.targets[key] = _target(target.manifest, metadata, namespace=key.namespace, as_if=as_if, inherits=True)
    return found


def asks(namespace: NamespaceRow | None) -> bool:
    """Whether a Namespace names a blueprint for what is in it."""
    return namespace is not None and namespace.annotation(asked.BLUEPRINT) is not None


def stand_in(key: Key) -> str:
    """What stands for the uid of an object that no cluster has created. It can be a segment of a location."""
    text = f"{_STAND_IN}{key.kind.lower()}.{key.namespace}.{key.name}"
    if len(text) <= _LONGEST_STAND_IN:
        return text
    return f"{_STAND_IN}{key.kind.lower()}.{blake2b(text.encode(), digest_size=16).hexdigest()}"


def is_stand_in(uid: str) -> bool:
    return uid.startswith(_STAND_IN)


def _take(found: Subjects, manifest: Manifest, namespace: str) -> None:
    content = manifest.content
    api_version, kind = content["apiVersion"], content["kind"]
    metadata = _metadata(manifest)
    if kind in TARGETS and _serves(TARGETS[kind].resource, api_version, manifest):
        target = _target(manifest, metadata, namespace=namespace, as_if=found.as_if)
        _once(found.targets, target.key, target, manifest)
    elif kind == BLUEPRINT.kind and _serves(BLUEPRINT, api_version, manifest):
        spec = _mapping(manifest, "spec")
        _check_shape(manifest, _BLUEPRINT_SHAPE)
        row = project_blueprint(_completed(manifest, metadata, ""))
        _once(found.blueprints, row.name, Blueprint(row, manifest, spec), manifest)
    elif kind == REPOSITORY.kind and _serves(REPOSITORY, api_version, manifest):
        _check_shape(manifest, {path: type_ for path, type_ in _BLUEPRINT_SHAPE.items() if path[0] == "backend"})
        _mapping(manifest, "status")
        repository = project_repository(_completed(manifest, metadata, namespace))
        _once(found.repositories, repository.key, repository, manifest)
    elif kind == CONFIGURATION.kind and _serves(CONFIGURATION, api_version, manifest):
        configuration = project_configuration(_completed(manifest, metadata, namespace))
        _once(found.configurations, configuration.key, configuration, manifest)
    elif kind == NAMESPACE.kind and api_version == NAMESPACE.api_version:
        space = project_namespace(_completed(manifest, metadata, ""))
        _once(found.namespaces, space.name, space, manifest)
    elif kind == "Secret" and api_version == "v1":
        found.secrets.add(ObjectKey(_namespace(metadata, namespace), metadata["name"]))
    elif asked.BLUEPRINT in (metadata.get("annotations") or {}):
        what = f"a {kind[:80]} of {api_version[:80]}" if kind in TARGETS else f"a {kind[:80]}"
        raise UsageError(
            f"{kind[:80]} {metadata['name'][:80]} asks for a backup, but {what} cannot be a target; annotate one of "
            + ", ".join(f"{name} ({target.resource.api_version})" for name, target in TARGETS.items()),
            where=manifest.place("metadata", "annotations", asked.BLUEPRINT),
        )
    else:
        found.others[kind[:80]] += 1


def _once(known: dict[Any, Any], key: Any, value: Any, manifest: Manifest) -> None:
    if key in known:
        raise UsageError(f"{manifest.content['kind']} {key} is given twice; give it once", where=manifest.place())
    known[key] = value


def _serves(resource: Resource, api_version: str, manifest: Manifest) -> bool:
    """Whether the kind is meant that we know by this name; kinds of other groups may share it."""
    if api_version == resource.api_version:
        return True
    if api_version.rpartition("/")[0] in (resource.group, "extensions") and resource.group:
        raise UsageError(
            f"{resource.kind} of {api_version[:80]} is not served; write apiVersion: {resource.api_version}",
            where=manifest.place("apiVersion"),
        )
    return False


def _target(
    manifest: Manifest, metadata: Mapping[str, Any], *, namespace: str, as_if: str, inherits: bool = False
) -> Target:
    kind = manifest.content["kind"]
    _mapping(manifest, "spec")
    content = _completed(manifest, metadata, namespace)
    full = content["metadata"]
    owner = next((o for o in full.get("ownerReferences") or () if o.get("controller")), None)
    if as_if:
        full["annotations"] = {asked.BLUEPRINT: as_if, **(full.get("annotations") or {})}
    row = target_projection(kind, whole=inherits).project(content)
    annotated = asked.BLUEPRINT in (full.get("annotations") or {})
    return Target(
        key=Key(kind, full["namespace"], full["name"]),
        manifest=manifest,
        row=row,
        template=podtemplate.from_workload(content),
        controller=f"{owner.get('kind')} {owner.get('name')}" if owner and annotated and row is None else "",
    )


def as_live(target: Target, metadata: Mapping[str, Any], *, as_if: str, inherits: bool) -> Target:
    """The target as it will be when its file was applied over the live object that has this metadata.

    An annotation that was put on by other means stays, as `kubectl apply` lets it stay.
    """
    own = _metadata(target.manifest)
    live = metadata.get("annotations") or {}
    wanted = own.get("annotations") or {}
    before = _last_applied(live)
    kept = {key: value for key, value in live.items() if key in wanted or key not in before}
    merged: dict[str, Any] = {**metadata, **own, "uid": metadata["uid"], "annotations": {**kept, **wanted}}
    for name in ("generation", "ownerReferences", "deletionTimestamp"):
        merged[name] = metadata.get(name)
    return _target(target.manifest, merged, namespace=target.key.namespace, as_if=as_if, inherits=inherits)


def _last_applied(annotations: Mapping[str, str]) -> frozenset[str]:
    """The annotations that the last `kubectl apply` put on, so that it takes off those that are gone."""
    try:
        loaded = json.loads(annotations.get(_LAST_APPLIED, "{}"))
        return frozenset(loaded["metadata"]["annotations"])
    except (ValueError, KeyError, TypeError):
        return frozenset()


def _metadata(manifest: Manifest) -> dict[str, Any]:
    """The metadata, checked as far as it is looked at; raises UsageError."""
    metadata = manifest.content.get("metadata")
    kind = manifest.content["kind"][:80]
    if not isinstance(metadata, dict):
        raise UsageError(f"{kind} has no metadata; give it at least metadata.name", where=manifest.place("metadata"))
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise UsageError(f"{kind} has no metadata.name that is text", where=manifest.place("metadata", "name"))
    takes_part = kind in TARGETS or kind in (BLUEPRINT.kind, REPOSITORY.kind, CONFIGURATION.kind)
    if takes_part and (len(name) > 253 or not _NAME.fullmatch(name)):
        raise UsageError(
            f"metadata.name {show(name)} is refused by every API server; use "
            "at most 253 lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
            where=manifest.place("metadata", "name"),
        )
    given = metadata.get("namespace")
    if given is not None and (not isinstance(given, str) or (given and not _NAMESPACE.fullmatch(given))):
        raise UsageError(
            f"metadata.namespace {show(str(given))} is not the name of a namespace",
            where=manifest.place("metadata", "namespace"),
        )
    for part in ("annotations", "labels"):
        _check_texts(manifest, metadata.get(part), part)
    owners = metadata.get("ownerReferences") or []
    if not isinstance(owners, list) or not all(isinstance(owner, dict) for owner in owners):
        raise UsageError(
            "metadata.ownerReferences is not a list of mappings", where=manifest.place("metadata", "ownerReferences")
        )
    return metadata


def _check_texts(manifest: Manifest, texts: Any, part: str) -> None:
    if texts is None:
        return
    if not isinstance(texts, dict):
        raise UsageError(f"metadata.{part} is not a mapping", where=manifest.place("metadata", part))
    for key, value in texts.items():
        if not isinstance(value, str):
            raise UsageError(
                f"metadata.{part} {show(key)} is {show(str(value))}, which is not text; put quotes around it",
                where=manifest.place("metadata", part, key),
            )


def _mapping(manifest: Manifest, name: str) -> Mapping[str, Any]:
    found = manifest.content.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"{name} is not a mapping", where=manifest.place(name))
    return found


def _check_shape(manifest: Manifest, shape: Mapping[tuple[str, ...], type]) -> None:
    """Refuse what the API server's schema refuses, where a reconciler relies on the shape."""
    spec = _mapping(manifest, "spec")
    for path, type_ in shape.items():
        value: Any = spec
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None and not isinstance(value, type_):
            raise UsageError(f"spec.{'.'.join(path)} is not {_TYPES[type_]}", where=manifest.place("spec", *path))
    params = (spec.get("task") or {}).get("params") or []
    if not all(isinstance(param, dict) for param in params):
        raise UsageError("spec.task.params is not a list of mappings", where=manifest.place("spec", "task", "params"))


def _namespace(metadata: Mapping[str, Any], default: str) -> str:
    return metadata.get("namespace") or default


def _completed(manifest: Manifest, metadata: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """A copy as the API server would have it right after creation, as far as rows are made from it."""
    content = manifest.content
    full = {k: v for k, v in metadata.items() if v is not None and k not in ("managedFields", "resourceVersion")}
    full["resourceVersion"] = "0"
    if namespace:
        full["namespace"] = _namespace(metadata, namespace)
    else:
        full.pop("namespace", None)
    generation = metadata.get("generation")
    full["generation"] = generation if isinstance(generation, int) and generation > 0 else 1
    uid = metadata.get("uid")
    key = Key(content["kind"], full.get("namespace", ""), full["name"])
    full["uid"] = uid if isinstance(uid, str) and uid else stand_in(key)
    return {**content, "metadata": full}
