"""A BackupBlueprint made ready for resolving: parsed once, checked as far as it can be without a target.

What no target could ever use (a template that does not parse, a variable that does not exist, a schedule that is no
cron expression) is a `problem` and makes the blueprint unusable as a whole. What only may go wrong is a `warning`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from informers.resource import ObjectKey
from reconcilers import permission
from reconcilers import schedule as schedules
from reconcilers.bounds import Bounds, compile_bounds
from reconcilers.declared import Declared, declared_by, misplaced
from reconcilers.errors import Refusal
from reconcilers.fields import prune
from reconcilers.kinds import TARGETS
from reconcilers.location import provider_of
from reconcilers.naming import is_label, is_subdomain
from reconcilers.permission import AllowedNamespaces
from reconcilers.reasons import Reason
from reconcilers.rows import BlueprintRow
from reconcilers.template import Leaf, Path, TemplateError, compile_tree, references
from reconcilers.variables import VARIABLES

_MOST_PROBLEMS = 10

VERBATIM: tuple[Path, ...] = (
    ("hooks",),
    ("usagePolicy",),
    ("storageSecret",),
    ("runtimeSettings", "container", "lifecycle"),
    ("runtimeSettings", "container", "livenessProbe"),
    ("runtimeSettings", "container", "readinessProbe"),
)
"""Parts of a blueprint that are never substituted: scripts, in which `${…}` belongs to the shell, and selectors."""

CONFIGURATION_FIELDS = (
    "task",
    "retentionPolicy",
    "runtimeSettings",
    "tempDir",
    "interimVolumeTemplate",
    "hooks",
    "backupHistoryLimit",
    "timeOut",
    "retryConfig",
)
"""Fields that a BackupConfiguration takes over from its blueprint as they are."""

RULES = ("overrides", "variables", permission.FIELD, "targetKinds")
"""Fields that are about the blueprint itself and are copied nowhere."""

REPOSITORY_FIELDS = ("wipeOut", "usagePolicy")
"""Fields that a Repository takes over from its blueprint as they are, besides the backend."""

DEFAULT_TARGET_KINDS = ("PersistentVolumeClaim",)
"""What becomes a target where a Namespace names the blueprint, unless the blueprint says otherwise."""

_TELLS_SECRETS_APART = ({"TARGET_UID"}, {"TARGET_KIND", "TARGET_NAME"}, {"TARGET_RESOURCE", "TARGET_NAME"})

_TELLS_APART = ({"TARGET_UID"}, {"TARGET_NAMESPACE", "TARGET_NAME"})


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A compiled blueprint. `template` is the spec with each string leaf parsed."""

    name: str
    template: Mapping[str, Any] = field(hash=False)
    problems: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    source: ObjectKey | None = None
    """The Secret that storage Secrets are copies of."""
    own_passwords: bool = False
    """Whether each repository gets a password of its own."""
    allowed: AllowedNamespaces | None = None
    """The namespaces that may use it; known even when nothing else of it can be used. None when it does not say."""
    bounds: Bounds = field(default=Bounds(), hash=False)
    variables: Mapping[str, Declared] = field(default_factory=dict, hash=False)

    target_kinds: tuple[str, ...] = DEFAULT_TARGET_KINDS
    """The kinds whose objects are targets where a Namespace names the blueprint."""

    @property
    def invalid(self) -> str:
        """All problems as one text, "" when the blueprint can be used."""
        shown = "; ".join(str(problem) for problem in self.problems[:_MOST_PROBLEMS])
        more = len(self.problems) - _MOST_PROBLEMS
        return f"{shown}; and {more} more" if more > 0 else shown


def is_location(path: Path) -> bool:
    """Whether the leaf at `path` of the spec is part of where data is kept."""
    return path[:1] == ("backend",) and path[-1] != "storageSecretName"


def provider_in(row: BlueprintRow) -> str:
    """The provider of a blueprint's backend, "" when it cannot be told."""
    try:
        return provider_of(json.loads(row.spec).get("backend") or {})
    except Refusal:
        return ""


def compile_blueprint(row: BlueprintRow) -> Blueprint:
    """The compiled blueprint of a row; remembered, because thousands of targets ask for the same one."""
    return _compile(row.name, row.spec)


@lru_cache(maxsize=512)
def _compile(name: str, spec_json: str) -> Blueprint:
    spec = json.loads(spec_json)
    allowed, kinds = permission.parse(spec), _target_kinds(spec)
    spec = prune(spec)
    try:
        plain = {field: value for field, value in spec.items() if field not in RULES}
        template = compile_tree(plain, verbatim=lambda path: path in VERBATIM)
    except TemplateError as error:
        problem = Refusal(
            Reason.INVALID_TEMPLATE,
            "spec." + ".".join(error.path),
            error.problem,
            hint="write $${ for a literal ${",
        )
        return Blueprint(name=name, template={}, problems=(problem,), allowed=allowed, target_kinds=kinds)
    bounds, variables, wrong = _rules(spec)
    return Blueprint(
        name=name,
        template=template,
        problems=(*wrong, *_problems(template, spec, variables)),
        warnings=tuple(_warnings(template, spec)),
        source=_source(spec),
        own_passwords=bool(_source(spec) and spec["storageSecret"].get("passwordPerRepository")),
        allowed=allowed,
        bounds=bounds,
        variables=variables,
        target_kinds=kinds,
    )


def source_in(row: BlueprintRow) -> ObjectKey | None:
    """The source of storage Secrets that a blueprint names."""
    return compile_blueprint(row).source


def _source(spec: Mapping[str, Any]) -> ObjectKey | None:
    source = (spec.get("storageSecret") or {}).get("source") or {}
    namespace, name = str(source.get("namespace") or ""), str(source.get("name") or "")
    return ObjectKey(namespace, name) if is_label(namespace) and is_subdomain(name) else None


def _target_kinds(spec: Mapping[str, Any]) -> tuple[str, ...]:
    kinds = spec.get("targetKinds")
    if not isinstance(kinds, list):
        return DEFAULT_TARGET_KINDS
    return tuple(kind for kind in TARGETS if kind in kinds)


def _rules(spec: Mapping[str, Any]) -> tuple[Bounds, dict[str, Declared], list[Refusal]]:
    """What annotations may do, and what is wrong with how the blueprint says so."""
    bounds, variables, wrong = Bounds(), dict[str, Declared](), list[Refusal]()
    try:
        bounds = compile_bounds(spec.get("overrides"))
    except Refusal as refusal:
        wrong.append(refusal)
    try:
        variables = declared_by(spec)
    except Refusal as refusal:
        wrong.append(refusal)
    return bounds, variables, wrong


def _nearest(name: str, known: Sequence[str]) -> str:
    exact = [each for each in known if each.lower() == name.lower()]
    near = exact or difflib.get_close_matches(name[:64], known, n=1)
    return f" (did you mean ${{{near[0]}}}?)" if near else ""


def _problems(template: Mapping[str, Any], spec: Mapping[str, Any], variables: Mapping[str, Declared]) -> list[Refusal]:
    known = (*VARIABLES, *variables)
    unknown = dict.fromkeys((path, ref.name) for path, ref in references(template) if ref.name not in known)
    found = [
        Refusal(
            Reason.UNKNOWN_VARIABLE,
            "spec." + ".".join(path),
            f"${{{name}}} no such variable{_nearest(name, known)}",
            hint=f"known are {', '.join(known)}; write $${{…}} for the literal text",
        )
        for path, name in unknown
    ]
    found += misplaced(template, variables)
    try:
        provider_of(spec.get("backend") or {})
    except Refusal as refusal:
        found.append(refusal)
    checks: list[Callable[[], object]] = [
        lambda: check_namespace(template, "backupNamespace", reason=Reason.INVALID_BLUEPRINT),
        lambda: check_namespace(template, "repoNamespace", reason=Reason.INVALID_BLUEPRINT),
        lambda: check_secret(template, reason=Reason.INVALID_BACKEND),
        lambda: _check_copies(template, spec),
    ]
    if isinstance(schedule := template.get("schedule"), str) and schedule:
        checks.append(lambda: schedules.check(schedule, field="spec.schedule"))
    for check in checks:
        try:
            check()
        except Refusal as refusal:
            found.append(refusal)
    return found


def _check_copies(template: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    """Copies have a name that an administrator can name in a Role, and one that holds a password is for one target."""
    if "storageSecret" not in spec:
        return
    if _source(spec) is None:
        raise Refusal(
            Reason.INVALID_BLUEPRINT,
            "spec.storageSecret.source",
            "does not name a Secret",
            hint="give its namespace and its name",
        )
    used = {ref.name for path, ref in references(template) if path == ("backend", "storageSecretName")}
    own = bool(spec["storageSecret"].get("passwordPerRepository"))
    if own and not any(needed <= used for needed in _TELLS_SECRETS_APART):
        problem = "is the same for several repositories, and each is to have a password of its own"
        hint = "put ${TARGET_KIND} and ${TARGET_NAME} into it"
    elif used and not own:
        problem = "has variables, and is to be the name of one copy in each namespace"
        hint = "write one name, or ask for passwordPerRepository"
    else:
        return
    raise Refusal(Reason.INVALID_BLUEPRINT, "spec.backend.storageSecretName", problem, hint=hint)


def check_namespace(spec: Mapping[str, Any], field: str, *, reason: Reason) -> str:
    """The namespace that `field` of a resolved spec names, "" for none. What is still a template is let pass."""
    value = spec.get(field) or ""
    if isinstance(value, str) and value and not is_label(value):
        raise Refusal(
            reason,
            f"spec.{field}",
            "cannot be the name of a namespace",
            value=value,
            hint="use at most 63 lower case letters, digits and '-'",
        )
    return value if isinstance(value, str) else ""


def check_secret(spec: Mapping[str, Any], *, reason: Reason) -> str:
    """The storage Secret that a resolved spec names, "" for none. What is still a template is let pass."""
    value = (spec.get("backend") or {}).get("storageSecretName") or ""
    if isinstance(value, str) and value and not is_subdomain(value):
        raise Refusal(
            reason,
            "spec.backend.storageSecretName",
            "cannot be the name of a Secret",
            value=value,
            hint="use at most 253 lower case letters, digits, '-' and '.'",
        )
    return value if isinstance(value, str) else ""


def _warnings(template: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    found = []
    used = {ref.name for path, ref in references(template) if is_location(path)}
    if not any(needed <= used for needed in _TELLS_APART):
        found.append(
            "spec.backend: the location has neither ${TARGET_NAMESPACE} and ${TARGET_NAME} nor ${TARGET_UID}: "
            "targets of the same name would share it"
        )
    elif "TARGET_UID" not in used and not used & {"TARGET_KIND", "TARGET_RESOURCE", "TARGET_APP_RESOURCE"}:
        found.append(
            "spec.backend: the location has no ${TARGET_KIND}: a Deployment and a StatefulSet of one name "
            "would share it"
        )
    return found


def schedule_of(template: Mapping[str, Any]) -> str | Leaf | None:
    """The schedule as the blueprint has it: text, template or nothing."""
    schedule = template.get("schedule")
    return schedule if isinstance(schedule, str | Leaf) and schedule else None
