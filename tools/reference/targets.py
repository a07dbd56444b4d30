"""What people write on targets and into blueprints, and what they find on generated objects."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

from reconcilers import annotations as asked
from reconcilers import grammar, marks, podtemplate, registry, secretcopy
from reconcilers.blueprint import CONFIGURATION_FIELDS, REPOSITORY_FIELDS, VERBATIM
from reconcilers.keys import Key
from reconcilers.kinds import TARGETS, Family
from reconcilers.naming import LONGEST, base_name
from reconcilers.overridable import OVERRIDABLE
from reconcilers.podtemplate import PodTemplate, Volume
from reconcilers.variables import VARIABLES
from tools.reference.annotationschema import NAME as SCHEMA
from tools.reference.markdown import block, code, codes, page, prose, table

_MARKS = {
    marks.MANAGED_BY: "Ownership: an object without it is never changed or deleted.",
    marks.BLUEPRINT: "The BackupBlueprint that the object was made from. In full as annotation; as label it is cut and "
    f"ends in a digest when it is longer than {LONGEST} characters.",
    marks.TARGET: "The target as kind/namespace/name. By this annotation objects are found again, not by their names.",
    marks.TARGET_KIND: "Kind of the target.",
    marks.TARGET_NAME: "Name of the target, cut as above.",
    marks.TARGET_UID: "The uid of the target that the object was last applied for; on BackupConfigurations.",
    marks.POD_TEMPLATE: "The volumes of the workload's pod template and the generation they were read at, so that the "
    "workload is not read again while its generation stays; on BackupConfigurations of workloads.",
    marks.OVERRIDES: "JSON: for each layer (operator, namespace, target) the fields that it decided; what is not "
    "listed is the blueprint's. Only where there is such a field; on BackupConfigurations.",
    marks.RETENTION_PENDING: "JSON: a retention that keeps less and waits, and since when. Only while it waits; on "
    "BackupConfigurations.",
    marks.PASSWORD: "On a Repository with a password of its own: how it was derived.",
    marks.SUCCEEDED_BY: "namespace/name of the Repository that took over because the backend changed.",
    marks.NAMESPACE_UID: "On a Repository: UID of the target's Namespace. A namespace of the same name and another UID "
    "does not inherit it; see `autobackup adopt`.",
    marks.SUSPENDED: "Why the BackupConfiguration is paused although nobody asked for that: the target may not use its "
    "blueprint.",
}

_COPY_MARKS = {
    secretcopy.SOURCE: "namespace/name of the Secret that it is a copy of.",
    secretcopy.SOURCE_VERSION: "uid and resourceVersion of the source that it was made from.",
    secretcopy.BACKENDS: "The backends whose keys it has.",
    secretcopy.KEYS: "The keys that were taken from the source.",
    secretcopy.IDENTITY: "The repository whose own password it holds, where the blueprint asks for one.",
}


def render_annotations() -> str:
    rows = [
        (
            code(found.key),
            prose(found.syntax),
            _families(found.families),
            prose(found.meaning),
            code(found.example),
        )
        for found in registry.ANNOTATIONS
    ]
    kinds = [
        (
            code(kind.resource.kind),
            code(kind.resource.api_version),
            kind.family.value,
            code(kind.short),
            "a cluster without this kind is fine" if kind.optional else "",
        )
        for kind in TARGETS.values()
    ]
    return page(
        "Annotations",
        "Put these on a target. Each is understood completely or refused with a reason; none is cleaned up.",
        table(["Key", "Value", "Targets", "Meaning", "Example"], rows),
        f"[{SCHEMA}]({SCHEMA}) is the same as a JSON Schema, for editors: begin a YAML file with "
        f"`# yaml-language-server: $schema=…/{SCHEMA}`.",
        "## What overrides the blueprint",
        "These may also stand on the Namespace, for every target in it; on the target they win. Each needs the "
        "permission of the blueprint, and is refused beyond its bounds: the last configuration that could be applied "
        "then stays in force, with an Event on the target and an entry in the status of the blueprint.",
        table(
            ["Annotation", "Permitted by", "Sets"],
            [
                (
                    code(entry.key),
                    code(f"spec.overrides.{entry.permission}")
                    + (" bounds it; free without" if entry.key == asked.SCHEDULE else ""),
                    code(f"BackupConfiguration.spec.{entry.sets}"),
                )
                for entry in OVERRIDABLE.values()
            ],
        ),
        "`H` in a schedule stands for a number that is chosen from the kind, namespace and name of the target and "
        "stays the same for ever: `H 2 * * *` is some minute after two, another for each target. `H(low-high)` and "
        "`H/step` work as well. A retention that keeps less than what is in force waits for the grace period of the "
        "blueprint (72 h unless it says otherwise); the condition `RetentionPending` shows it.",
        "## Limits",
        f"- A value has at most {grammar.LONGEST} characters.\n"
        f"- A list has at most {grammar.MOST_ITEMS} items. Blanks around items are ignored; an empty item is an "
        "error. A value that starts with `[` is read as a JSON list of strings, which allows commas in an item.\n"
        f"- A target has at most {asked._MOST_PARAMS} parameters.\n"
        "- A path is absolute and has no `..` and no control characters.\n"
        f"- Any other key under {code(asked.PREFIX)} or {code(asked.PARAMS_PREFIX)} is reported with an "
        "Event and has no effect. Keys that a Stash operator itself writes are passed over.",
        "## Kinds of targets",
        table(["Kind", "API version", "Family", "Short name", "Note"], kinds),
        "ReplicaSets and ReplicationControllers count only when no controller owns them: a Deployment copies its "
        "annotations to its ReplicaSets.",
    )


def render_variables() -> str:
    rows = [
        (code("${" + found.name + "}"), _families(found.families), prose(found.meaning), code(found.example))
        for found in VARIABLES.values()
    ]
    verbatim = codes("spec." + ".".join(path) for path in VERBATIM)
    return page(
        "Variables",
        "A BackupBlueprint may use these in every text of its `spec`. Their values come from the live target and from "
        "nowhere else; no annotation can set one. Variables that annotations may fill are declared by the blueprint "
        "itself, in `spec.variables`: see below.",
        table(["Variable", "Targets", "Value", "Example"], rows),
        "## Grammar",
        "| Text | Result |\n| --- | --- |\n"
        "| `${NAME}` | the value; an error when there is none |\n"
        "| `${NAME:-default}` | the default, plain text, when the target has no value |\n"
        "| `$${` | a literal `${` |\n"
        "| `$` before anything else | itself |",
        "Each text is substituted once. A value is never read as a template again, and can neither add a field nor "
        "close a quote.",
        "## Limits",
        f"- Not substituted, taken as they are: {verbatim}.\n"
        "- In a location (everything in `spec.backend` but `storageSecretName`) a value must be one path segment: "
        "letters, digits, `.`, `_` and `-`, with a letter or digit at both ends and no `..`. Anything else is refused "
        "with the reason `VariableRejected`.",
        "## Variables of a blueprint's own",
        f"A blueprint declares them in `spec.variables`; the annotation {code(asked.VARIABLES_PREFIX + '<name>')} of a "
        "target, or of its namespace, fills one, else its default does. Because anybody may have written the "
        "annotation, such a variable stands only\n\n"
        "- in `spec.task.params`,\n"
        "- in the `prefix` or `subPath` of the backend, if it has `inLocations: true` and a `pattern`, as a whole "
        "segment between slashes.\n\n"
        "Anywhere else it makes the blueprint unusable. A value that is not of the pattern is refused. A pattern is a "
        "regular expression that the whole value must match, made of characters, `.`, `[…]`, `\\d`, `\\w`, `\\s` and "
        "their capitals, groups, `|`, `*`, `+`, `?` and `{m,n}`; it is matched in time that grows with the value and "
        "no faster.",
    )


_NO_MARKS = ("PREFIX", "PRODUCT", "SUSPENSION")


def render_objects() -> str:
    mark = marks.Mark(Key("Deployment", "demo", "shop"), "nightly", "6f0f6a0e-8a6d-4f3b-9d0e-1d5b8f8f2c11")
    recorded = podtemplate.record(
        PodTemplate(3, (Volume("data", True, (asked.Mount("data", "/srv/data"),)),)),
    )
    example = {
        "labels": marks.labels_of(mark),
        "annotations": {**marks.annotations_of(mark), marks.POD_TEMPLATE: recorded},
    }
    on_labels = set(example["labels"])
    on_annotations = {
        *example["annotations"],
        *(
            marks.SUCCEEDED_BY,
            marks.SUSPENDED,
            marks.NAMESPACE_UID,
            marks.OVERRIDES,
            marks.RETENTION_PENDING,
            marks.PASSWORD,
        ),
    }
    known = {value for name, value in vars(marks).items() if name.isupper() and name not in _NO_MARKS}
    require_same("labels and annotations of generated objects", known, _MARKS)
    rows = [
        (
            code(key),
            " and ".join(what for what, keys in (("label", on_labels), ("annotation", on_annotations)) if key in keys),
            prose(meaning),
        )
        for key, meaning in _MARKS.items()
    ]
    names = [
        ("one blueprint", base_name(mark.target, namespace="demo")),
        ("several blueprints", base_name(mark.target, namespace="demo", blueprint="nightly")),
        ("`repoNamespace: vault`, the Repository", base_name(mark.target, namespace="vault")),
    ]
    return page(
        "Generated objects",
        "For each target and each blueprint that it names there is one Repository and one BackupConfiguration.",
        "## Labels and annotations",
        table(["Key", "Kind of mark", "Meaning"], rows),
        "A copy of a storage Secret has that label and these annotations. None says anything about a value:",
        table(["Key", "Meaning"], [(code(key), prose(meaning)) for key, meaning in _COPY_MARKS.items()]),
        "None of the target's own labels or annotations is copied. On a BackupConfiguration it looks like this:",
        block(yaml.safe_dump({"metadata": example}, sort_keys=False, width=1000), "yaml"),
        "## Names",
        table(["Deployment demo/shop with", "Name"], [(case, code(name)) for case, name in names]),
        f"A name longer than {LONGEST} characters is cut and ends in a digest of the whole. An existing object keeps "
        "its name.",
        "## Where the fields come from",
        f"- `Repository.spec`: `backend`, and {codes(REPOSITORY_FIELDS)} of the blueprint.\n"
        f"- `BackupConfiguration.spec`: {codes(CONFIGURATION_FIELDS)} of the blueprint; `schedule` of the annotation, "
        "else of the blueprint; `task.params` of the blueprint with the annotations' laid over; `repository` and "
        "`target` from what was resolved.",
        "## Owner",
        "A BackupConfiguration in the target's namespace has an ownerReference to the target, so it goes when the "
        "target goes. A Repository has none: it outlives its target, because restoring needs it.",
    )


def _families(families: Iterable[Family]) -> str:
    found = set(families)
    if found == set(Family):
        return "all"
    return ", ".join(family.value for family in Family if family in found)


def require_same(what: str, known: Iterable[str], described: Iterable[str]) -> None:
    """Refuse a table of words that does not fit the code."""
    missing, extra = set(known) - set(described), set(described) - set(known)
    if missing or extra:
        raise SystemExit(
            f"tools/reference, {what}: describe {', '.join(sorted(missing)) or 'nothing'}, "
            f"remove {', '.join(sorted(extra)) or 'nothing'}"
        )
