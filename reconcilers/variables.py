"""The variables that every blueprint may use, and where their values come from: the live target, nothing else.

No annotation can set or change one of them, because an annotation is written by an unknown author and a location built
from it could be another tenant's. Those that annotations may fill are in `reconcilers.declared`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from reconcilers.annotations import VARIABLES_PREFIX
from reconcilers.errors import Refusal
from reconcilers.kinds import TARGETS, Family
from reconcilers.reasons import Reason
from reconcilers.rows import TargetRow
from reconcilers.template import Path, Reference

_ALL = frozenset(Family)
_DATABASE = frozenset({Family.DATABASE})
_LONGEST = 253
_SEGMENT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: the families it has a value for, what it is, an example."""

    name: str
    families: frozenset[Family]
    meaning: str
    example: str


VARIABLES: dict[str, Variable] = {
    variable.name: variable
    for variable in (
        Variable("TARGET_API_VERSION", _ALL, "apiVersion of the target", "apps/v1"),
        Variable("TARGET_KIND", _ALL, "kind of the target, lower case", "deployment"),
        Variable("TARGET_RESOURCE", _ALL, "plural resource name of the target", "deployments"),
        Variable("TARGET_NAME", _ALL, "name of the target", "shop"),
        Variable("TARGET_NAMESPACE", _ALL, "namespace of the target", "demo"),
        Variable("TARGET_UID", _ALL, "uid of the target", "0a53…"),
        Variable("TARGET_APP_VERSION", _DATABASE, "spec.version of the AppBinding", "11.9"),
        Variable("TARGET_APP_TYPE", _DATABASE, "spec.type of the AppBinding", "kubedb.com/postgres"),
        Variable("TARGET_APP_GROUP", _DATABASE, "part of spec.type before the slash", "kubedb.com"),
        Variable("TARGET_APP_RESOURCE", _DATABASE, "part of spec.type after the slash", "postgres"),
    )
}


def values(target: TargetRow) -> dict[str, str]:
    """The variables of one target. Those without a value are absent."""
    kind = TARGETS[target.kind]
    found = {
        "TARGET_API_VERSION": kind.resource.api_version,
        "TARGET_KIND": kind.resource.kind.lower(),
        "TARGET_RESOURCE": kind.resource.plural,
        "TARGET_NAME": target.name,
        "TARGET_NAMESPACE": target.namespace,
        "TARGET_UID": target.uid,
    }
    if kind.family is Family.DATABASE:
        group, slash, resource = target.app_type.rpartition("/")
        found["TARGET_APP_VERSION"] = target.app_version
        found["TARGET_APP_TYPE"] = target.app_type
        found["TARGET_APP_GROUP"] = group if slash else ""
        found["TARGET_APP_RESOURCE"] = resource
    return {name: value for name, value in found.items() if value}


def substitute(
    path: Path,
    reference: Reference,
    *,
    known: Mapping[str, str],
    location: bool,
    target: TargetRow,
    declared: Collection[str] = (),
) -> str:
    """The text for one reference, or a Refusal. `declared` are the variables that annotations may fill.

    In a location a value must be one path segment: it can neither add a segment nor climb out of one.
    """
    field = "spec." + ".".join(path)
    value = known.get(reference.name)
    if value is None:
        if reference.default is not None:
            return reference.default
        if reference.name in declared:
            raise Refusal(
                Reason.UNKNOWN_VARIABLE,
                field,
                f"${{{reference.name}}} has no value, and its declaration no default",
                hint=f"set the annotation {VARIABLES_PREFIX}{reference.name} on the target or its namespace",
            )
        raise _without_value(field, reference, target)
    if len(value) > _LONGEST or _CONTROL.search(value):
        raise Refusal(
            Reason.VARIABLE_REJECTED,
            field,
            f"value of ${{{reference.name}}} is longer than {_LONGEST} characters or has control characters",
            value=value,
            hint=f"correct it on {target.kind} {target.namespace}/{target.name}",
        )
    if location and (not _SEGMENT.fullmatch(value) or ".." in value):
        raise Refusal(
            Reason.VARIABLE_REJECTED,
            field,
            f"${{{reference.name}}} cannot be one segment of a location",
            value=value,
            hint="a segment has letters, digits, '.', '_' and '-', and begins and ends with a letter or digit"
            + _instead(reference.name),
        )
    return value


def _instead(name: str) -> str:
    if name == "TARGET_APP_TYPE":
        return "; use ${TARGET_APP_GROUP}/${TARGET_APP_RESOURCE}"
    if name == "TARGET_API_VERSION":
        return "; use ${TARGET_KIND}"
    return ""


def _without_value(field: str, reference: Reference, target: TargetRow) -> Refusal:
    variable = VARIABLES.get(reference.name)
    if variable is None:
        problem = "no such variable"
    elif TARGETS[target.kind].family in variable.families:
        problem = f"{variable.meaning} is empty"
    else:
        problem = f"has no value for a {target.kind}"
    return Refusal(
        Reason.UNKNOWN_VARIABLE,
        field,
        f"${{{reference.name}}} {problem}",
        hint=f"write ${{{reference.name}:-default}} or use a blueprint made for {target.kind}"
        if variable
        else f"known are {', '.join(VARIABLES)}",
    )
