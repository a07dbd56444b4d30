"""Why a target is backed up as it is: every setting with its value and the layer that decided it.

Contract: pure. What is explained is what a plan would apply, so it cannot differ from what the operator does. Where a
target cannot be configured as it is, the explanation says why, and shows what stays in force instead, if anything does.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autobackup import yamltext
from autobackup.objects import applied
from autobackup.tables import aligned
from informers.resource import ObjectKey
from reconcilers import annotations as asked
from reconcilers import layers, marks, origins
from reconcilers.errors import Refusal
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.layers import Layer
from reconcilers.location import locate
from reconcilers.overridable import OVERRIDABLE
from reconcilers.plan import Outcome, Plan, State
from reconcilers.rows import TargetRow

FORMATS = ("table", "json", "yaml")
_DERIVED = {
    "target.paths": "the pod template",
    "target.volumeMounts": "the pod template",
    "target.ref": "the target itself",
    "repository": "the operator",
}
"""Fields that no layer decides unless an annotation does, and where they come from."""
_LONGEST_CELL = 100


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the BackupConfiguration, its value, and who decided it."""

    field: str
    value: Any
    layer: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one target stands with one blueprint."""

    target: Key
    outcome: Outcome
    settings: tuple[Setting, ...]
    location: str = ""
    in_force: str = ""
    """The BackupConfiguration that was applied before and whose settings these are, where the plan applies none."""
    offline: bool = False

    @property
    def message(self) -> str:
        if self.offline and self.outcome.state is State.CONFIGURED:
            repository, configuration = self.outcome.repository, self.outcome.configuration
            return f"Would get Repository {repository} and BackupConfiguration {configuration}"
        return self.outcome.message

    def as_json(self) -> dict[str, Any]:
        configuration, repository = self.outcome.configuration, self.outcome.repository
        return {
            "target": {"kind": self.target.kind, "namespace": self.target.namespace, "name": self.target.name},
            "blueprint": self.outcome.blueprint,
            "state": self.outcome.state.value,
            "reason": self.outcome.reason.value,
            "message": self.message,
            **({"inForce": self.in_force} if self.in_force else {}),
            **({"backupConfiguration": str(configuration)} if configuration else {}),
            **({"repository": str(repository)} if repository else {}),
            **({"location": self.location} if self.location else {}),
            "settings": [
                {"field": found.field, "value": found.value, "from": found.layer, "source": found.source}
                for found in self.settings
            ],
            "warnings": [{"reason": note.reason.value, "message": note.message} for note in self.outcome.warnings],
        }


def explain(
    plan: Plan,
    target: Key,
    row: TargetRow | None,
    *,
    around: layers.Annotations,
    live: Mapping[tuple[str, ObjectKey], Mapping[str, Any]] | None,
) -> list[Explanation]:
    """An explanation for each blueprint that the target names. `around` are the annotations of its namespace; `live`
    are the objects that exist, by kind and key; None where there is no cluster."""
    bodies = {(step.resource.kind, step.key): step.body for step in applied(plan)}
    found = []
    for outcome in plan.outcomes:
        body = bodies.get((CONFIGURATION.kind, outcome.configuration)) if outcome.configuration else None
        in_force = ""
        if body is None:
            body = _in_force(live or {}, target, outcome.blueprint, named={each.blueprint for each in plan.outcomes})
            in_force = "{namespace}/{name}".format(**body["metadata"]) if body else ""
        repository = bodies.get((REPOSITORY.kind, outcome.repository)) if outcome.repository else None
        settings = tuple(_settings(body, row, around)) if body is not None else ()
        found.append(Explanation(target, outcome, settings, _location(repository), in_force, offline=live is None))
    return found


def _in_force(
    live: Mapping[tuple[str, ObjectKey], Mapping[str, Any]], target: Key, blueprint: str, *, named: Collection[str]
) -> Mapping[str, Any] | None:
    """The BackupConfiguration that was applied before, when there was a time at which it could be. One of a blueprint
    that the target does not name any more stays until that which it names now can take its place."""
    found = {}
    for (kind, _), obj in live.items():
        mark = marks.read(obj["metadata"]) if kind == CONFIGURATION.kind else None
        if mark is not None and mark.target == target:
            found[mark.blueprint] = obj
    return found.get(blueprint) or next((obj for name, obj in found.items() if name not in named), None)


def _settings(body: Mapping[str, Any], row: TargetRow | None, around: layers.Annotations) -> Iterator[Setting]:
    spec = body.get("spec") or {}
    decided = dict(origins.recall((body["metadata"].get("annotations") or {}).get(marks.OVERRIDES, "")))
    said = layers.wishes(row.annotations if row else (), around, namespace=row.namespace if row else "")
    for name, wish in layers.variables(said).items():
        if f"${{{name}}}" in decided:
            yield Setting(f"${{{name}}}", wish.value, wish.layer.value, wish.field)
    own = {key for key, _ in row.annotations} if row else set()
    for path, value in _flat(spec):
        layer = _layer(path, decided)
        if layer is None and (key := _own(path)) in own:
            yield Setting(path, value, Layer.TARGET.value, f"annotation {key}")
        elif layer is not None:
            yield Setting(path, value, layer.value, _source(path, layer, row))
        elif (derived := next((text for start, text in _DERIVED.items() if _within(path, start)), None)) is not None:
            yield Setting(path, value, "derived", derived)
        else:
            blueprint = (body["metadata"].get("annotations") or {}).get(marks.BLUEPRINT, "")
            yield Setting(path, value, Layer.BLUEPRINT.value, f"BackupBlueprint {blueprint}")


def _layer(path: str, decided: Mapping[str, Layer]) -> Layer | None:
    if path == "retentionPolicy.name":
        # The name follows from the numbers.
        return next((layer for start, layer in decided.items() if _within(start, "retentionPolicy")), None)
    about = max((start for start in decided if _within(path, start)), key=len, default=None)
    return None if about is None else decided[about]


def _within(path: str, start: str) -> bool:
    return path == start or path.startswith(f"{start}.")


def _own(path: str) -> str:
    """The annotation by which only a target itself could decide this field."""
    if path.startswith("task.params."):
        return asked.PARAMS_PREFIX + path.removeprefix("task.params.")
    return {"target.paths": asked.PATHS, "target.volumeMounts": asked.MOUNTS}.get(path, "")


def _source(path: str, layer: Layer, row: TargetRow | None) -> str:
    if layer is Layer.OPERATOR:
        return "the operator's configuration"
    key = next((key for key, entry in OVERRIDABLE.items() if _within(path, entry.sets)), "")
    where = f" on Namespace {row.namespace}" if layer is Layer.NAMESPACE and row else ""
    return f"annotation {key}{where}"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a spec by their paths. Parameters of a task are told apart by name; any other list is one leaf."""
    if path == "task.params":
        for param in value:
            yield f"{path}.{param.get('name')}", param.get("value")
    elif isinstance(value, Mapping) and value:
        for name in value:
            yield from _flat(value[name], f"{path}.{name}" if path else name)
    else:
        yield path, value


def _location(repository: Mapping[str, Any] | None) -> str:
    if repository is None:
        return ""
    try:
        return str(locate(repository["spec"]["backend"], namespace=repository["metadata"]["namespace"]))
    except Refusal:
        return ""


def render(found: list[Explanation], output: str, *, ascii_only: bool = False) -> str:
    """Explanations in one of `FORMATS`."""
    items = [each.as_json() for each in found]
    if output == "json":
        return json.dumps(items, indent=2, ensure_ascii=ascii_only) + "\n"
    if output == "yaml":
        return "---\n".join(yamltext.write(item, ascii_only=ascii_only) for item in items)
    return "\n".join(_text(each) for each in found)


def _text(found: Explanation) -> str:
    outcome = found.outcome
    what = f"{found.target}" + (f", blueprint {outcome.blueprint}" if outcome.blueprint else "")
    lines = [f"{what}: {outcome.reason}", f"  {found.message}"]
    if found.location:
        lines.append(f"  Data goes to {found.location}")
    lines += [f"  {note.reason}: {note.message}" for note in outcome.warnings]
    if not found.settings:
        return "\n".join([*lines, "  Nothing is applied for it."]) + "\n"
    if outcome.state is not State.CONFIGURED:
        lines.append(f"  What was applied before stays in force, BackupConfiguration {found.in_force}:")
    rows = [("FIELD", "VALUE", "FROM", "SOURCE")]
    rows += [(each.field, _cell(each.value), each.layer, each.source) for each in found.settings]
    return "\n".join(lines) + "\n\n" + "".join(f"  {line}\n" for line in aligned(rows).splitlines())


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
