"""From a target and a blueprint to the two objects: what they should contain, not yet what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from informers.resource import ObjectKey
from reconcilers import annotations as asked
from reconcilers import declared, layers, podtemplate, slots
from reconcilers import schedule as schedules
from reconcilers.annotations import Request
from reconcilers.blueprint import (
    CONFIGURATION_FIELDS,
    REPOSITORY_FIELDS,
    Blueprint,
    check_namespace,
    check_secret,
    is_location,
)
from reconcilers.defaults import Default, fill
from reconcilers.errors import Refusal
from reconcilers.kinds import TARGETS, Family
from reconcilers.layers import Layer
from reconcilers.location import locate
from reconcilers.overrides import override
from reconcilers.podtemplate import PodTemplate
from reconcilers.reasons import Reason
from reconcilers.rows import TargetRow
from reconcilers.template import Path, Reference, render
from reconcilers.variables import substitute, values

DERIVATION: Final = "v1"
"""How passwords are derived. Another way needs another name: a repository opens with the one that it was made with."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Both specs, where the objects live, and where the data goes.

    `origins` names the fields of the configuration, and the variables as `${NAME}`, that annotations decided.
    """

    repository_namespace: str
    configuration_namespace: str
    location: str
    storage_secret: str
    repository: Mapping[str, Any]
    configuration: Mapping[str, Any]
    retention: Mapping[str, Any] = field(default_factory=dict)
    """The retention of the blueprint, whatever the configuration has."""
    origins: Mapping[str, Layer] = field(default_factory=dict)
    source: ObjectKey | None = None
    """The Secret that the storage Secret is to be a copy of."""
    password: str = ""
    """Which password of its own the repository gets; "" for the one that is in the Secret."""


def needs_pod_template(target: TargetRow) -> bool:
    """Whether paths and mounts of this target are derived from, and checked against, a pod template."""
    return TARGETS[target.kind].family is Family.WORKLOAD


def resolve(
    target: TargetRow,
    blueprint: Blueprint,
    template: PodTemplate | None,
    *,
    around: layers.Annotations = (),
    defaults: Iterable[Default] = (),
) -> Resolved:
    """Both specs for one target and one blueprint. `repository` of the configuration is left to the caller, who knows
    which Repository it will be. `around` are the annotations of the target's namespace, `defaults` what
    the operator gives where the blueprint says nothing.

    Raises a Refusal for whatever cannot be used; the same input always gives the same result.
    """
    if blueprint.problems:
        raise Refusal(
            Reason.INVALID_BLUEPRINT,
            f"BackupBlueprint {blueprint.name}",
            blueprint.invalid,
            hint="mend the blueprint; its targets follow by themselves",
        )
    request = asked.parse(dict(target.annotations), kind=target.kind)
    wishes = layers.wishes(target.annotations, around, namespace=target.namespace)
    filled = layers.variables(wishes) if blueprint.variables else {}
    known = {**declared.values(blueprint.variables, filled), **values(target)}

    def value_of(path: Path, reference: Reference) -> str:
        return substitute(
            path, reference, known=known, location=is_location(path), target=target, declared=blueprint.variables
        )

    spec = render(blueprint.template, value_of)
    backend = spec.get("backend") or {}
    rejected = Reason.VARIABLE_REJECTED
    configuration_namespace = check_namespace(spec, "backupNamespace", reason=rejected) or target.namespace
    repository_namespace = check_namespace(spec, "repoNamespace", reason=rejected) or configuration_namespace
    location = locate(backend, namespace=repository_namespace)
    configuration = _configuration(target, request, spec, template, configuration_namespace)
    origins = _asked_for(request) | {
        f"${{{name}}}": filled[name].layer for name in blueprint.variables if name in filled
    }
    identity = f"{target.key} {blueprint.name}"
    origins |= fill(configuration, defaults, identity=identity)
    if wishes:
        origins |= override(
            configuration,
            wishes,
            bounds=blueprint.bounds,
            blueprint=blueprint.name,
            kind=target.kind,
            identity=identity,
        )
    if "schedule" not in origins and "schedule" in configuration:
        checked = schedules.check(str(spec["schedule"]), field="spec.schedule")
        configuration["schedule"] = slots.fill(checked, identity)
    return Resolved(
        repository_namespace=repository_namespace,
        configuration_namespace=configuration_namespace,
        location=str(location),
        storage_secret=check_secret(spec, reason=rejected),
        repository={"backend": backend, **_taken(spec, REPOSITORY_FIELDS)},
        configuration=configuration,
        retention=spec.get("retentionPolicy") or {},
        origins=origins,
        source=blueprint.source,
        password=f"{DERIVATION} {location}" if blueprint.own_passwords else "",
    )


def _asked_for(request: Request) -> dict[str, Layer]:
    """The fields that only the target's own annotations decide, where they do."""
    found = {f"task.params.{name}": Layer.TARGET for name, _ in request.params}
    if request.paths is not None:
        found["target.paths"] = Layer.TARGET
    if request.mounts is not None:
        found["target.volumeMounts"] = Layer.TARGET
    return found


def _taken(spec: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: spec[name] for name in names if name in spec}


def _configuration(
    target: TargetRow,
    request: Request,
    spec: Mapping[str, Any],
    template: PodTemplate | None,
    namespace: str,
) -> dict[str, Any]:
    found = _taken(spec, CONFIGURATION_FIELDS)
    if spec.get("schedule"):
        found["schedule"] = spec["schedule"]
    if request.params:
        found["task"] = _with_params(found.get("task") or {}, request.params)
    found["target"] = _target(target, request, template, namespace)
    return found


def _with_params(task: Mapping[str, Any], params: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The task with `params` laid over its own: the same name replaces, a new one is added at the end."""
    merged = {param.get("name"): param for param in task.get("params") or ()}
    merged.update({name: {"name": name, "value": value} for name, value in params})
    return {**task, "params": list(merged.values())}


def _target(target: TargetRow, request: Request, template: PodTemplate | None, namespace: str) -> dict[str, Any]:
    ref = {
        "apiVersion": TARGETS[target.kind].resource.api_version,
        "kind": target.kind,
        "name": target.name,
    }
    if namespace != target.namespace:
        ref["namespace"] = target.namespace
    found: dict[str, Any] = {"ref": ref}
    if template is not None:
        paths, mounts = podtemplate.choose(template, paths=request.paths, mounts=request.mounts)
        found["paths"] = list(paths)
        found["volumeMounts"] = [mount.as_json() for mount in mounts]
    return found
