"""What the operator tells people: reasons, conditions of a blueprint, Events.

The reasons of each condition are found by running the reconciler of blueprints, which is pure, over every kind of
situation it distinguishes.
"""

from __future__ import annotations

import inspect
import io
import tokenize
from collections.abc import Iterator

from controller import outcomes, verdict
from informers.resource import ObjectKey
from reconcilers import reasons
from reconcilers.keys import Key
from reconcilers.plan import ApplyStatus, Outcome, Plan, State
from reconcilers.ports import MOST_FAILURES, SecretSight, SecretState, SourceSight, Summary
from reconcilers.reasons import Reason
from reconcilers.rows import BlueprintRow, Condition, canonical
from reconcilers.status import CONDITIONS, PROGRESS_SECONDS, plan_blueprint
from tools.reference.markdown import code, codes, page, prose, table
from tools.reference.targets import require_same

BLUEPRINT_SECTION = "conditions of a blueprint"
_WITHOUT_EVENT = frozenset({Reason.NAMESPACE_TERMINATING})
"""Classed as quiet by `controller.verdict`: an Event in a namespace that goes away would be refused as well."""

_DISTINCT = {"s3": {"endpoint": "s3.example.com", "bucket": "b", "prefix": "${TARGET_UID}"}}
_SHARED = {"s3": {"endpoint": "s3.example.com", "bucket": "b", "prefix": "all"}}
_TARGET = Key("Deployment", "demo", "shop")
_SECRET = ObjectKey("demo", "storage")


def sections() -> dict[str, list[Reason]]:
    """The reasons under the headings that their file groups them by."""
    found: dict[str, list[Reason]] = {}
    by_name = {reason.name: reason for reason in Reason}
    heading = ""
    source = io.StringIO(inspect.getsource(reasons))
    for token in tokenize.generate_tokens(source.readline):
        if token.type == tokenize.COMMENT and token.line.strip() == token.string:
            heading = token.string.removeprefix("# ")
        elif token.type == tokenize.NAME and token.string in by_name and token.start[1] == 4:
            found.setdefault(heading, []).append(by_name[token.string])
    require_same("sections of reasons", by_name.values(), [reason for group in found.values() for reason in group])
    return found


def render_reasons() -> str:
    parts = []
    for heading, group in sections().items():
        parts.append(f"## {heading.capitalize()}")
        rows = [(code(reason.value), _type(reason), prose(reason.__doc__ or "")) for reason in group]
        parts.append(table(["Reason", "Event type", "Meaning"], rows))
    low, high = verdict.SLOW_RETRY
    return page(
        "Reasons",
        "Every condition, Event and entry in `status.failures` carries one of these; there are no others.",
        *parts,
        "## When it is tried again",
        "A change of anything the operator watches wakes the target at once. Besides that, a target that is not "
        f"configured is looked at again every {low:.0f} to {high:.0f} seconds, and a write that was not answered, or "
        "answered with an error of the server, is repeated with growing, jittered delays. A target refused with "
        f"{codes(sorted(outcomes.CONFLICTS))} is also looked at when a name or location becomes free.",
    )


def render_conditions() -> str:
    seen = reasons_of_conditions()
    rows = [
        (
            code(name),
            prose(meaning),
            ", ".join(f"{status}: {codes(found)}" for status, found in seen.get(name, {}).items()),
        )
        for name, meaning in CONDITIONS
    ]
    return page(
        "Conditions of a BackupBlueprint",
        "The operator writes the status of BackupBlueprints. It does not write the status of Repositories and "
        "BackupConfigurations: that belongs to whoever runs the backups.",
        table(["Condition", "Meaning when True", "Reasons by status"], rows),
        "`Reconciling` and `Stalled` follow kstatus: both are True only when something is not as usual. So "
        "`kubectl wait --for=condition=Ready backupblueprint/NAME` and tools that know kstatus work.",
        "The reasons are explained in [Reasons](reasons.md). Besides the conditions the status has:",
        "- `observedGeneration`: the generation of the blueprint that the status speaks of;\n"
        "- `matched`, `configured`, `failed`, `pending`: how many targets name the blueprint and how they stand;\n"
        f"- `failures`: up to {MOST_FAILURES} failing targets with reason and message; `failed` counts all of them;\n"
        f"- `storageSecrets`: storage Secrets that are missing ({code(SecretState.MISSING)}), lack keys "
        f"({code(SecretState.INCOMPLETE)}; `missingKeys` names them) or were not looked at "
        f"({code(SecretState.UNCHECKED)}).",
        f"While targets are being brought up to date the status is written at most every {PROGRESS_SECONDS:g} s.",
    )


def render_events() -> str:
    on_blueprint = events_of_blueprints()
    groups = sections()
    others = [
        reason
        for heading, group in groups.items()
        for reason in group
        if heading != BLUEPRINT_SECTION and reason not in _WITHOUT_EVENT
    ]
    return page(
        "Events",
        "Events are `events.k8s.io/v1`. They are recorded on the target and on the BackupBlueprint, never on anything "
        "else, and only when something changed: the same outcome twice is one Event. After a restart nothing is told "
        "again that the blueprint's status lists already, or that an Event says that is still there. Of what a start "
        "finds besides, a hundred Events are written for each reason; metrics, log and `autobackup explain` know all. "
        "What happens again is told again, by the count of the Event or by another one.",
        "## On a target",
        table(
            ["Reason", "Type", "When"],
            [(code(reason.value), _type(reason), prose(reason.__doc__ or "")) for reason in others],
        ),
        "The action is `Apply` or `Delete` for a write, and then `related` names the object that was written. It is "
        "`Resolve` for everything else. A target that recovers gets one Event with the reason `Configured`.",
        "## On a BackupBlueprint",
        table(
            ["Reason", "Type", "When"],
            [
                (code(reason.value), " or ".join(on_blueprint[reason.value]), prose(reason.__doc__ or ""))
                for reason in groups[BLUEPRINT_SECTION]
                if reason.value in on_blueprint
            ],
        ),
        "The action is `Reconcile`. An Event is recorded when a condition turns False, when it turns True again after "
        "it was False, and when a blueprint is seen for the first time.",
    )


def events_of_blueprints() -> dict[str, list[str]]:
    """The types of the Events that a blueprint gets, by reason: every situation after every other is looked at."""
    found: dict[str, list[str]] = {}
    situations = list(_situations())
    past: list[tuple[Condition, ...]] = [(), *(_conditions_of(*situation) for situation in situations)]
    for before in past:
        for spec, summary in situations:
            for event in _plan(spec, summary, before).events:
                types = found.setdefault(event.reason, [])
                if event.type not in types:
                    types.append(event.type)
    return {reason: sorted(types) for reason, types in found.items()}


def reasons_of_conditions() -> dict[str, dict[str, list[str]]]:
    """For each condition the reasons that it carries, by its status."""
    found: dict[str, dict[str, list[str]]] = {}
    for situation in _situations():
        for condition in _conditions_of(*situation):
            reasons_seen = found.setdefault(condition.type, {}).setdefault(condition.status, [])
            if condition.reason not in reasons_seen:
                reasons_seen.append(condition.reason)
    require_same("conditions of a blueprint", found, [name for name, _ in CONDITIONS])
    return found


def _situations() -> Iterator[tuple[dict[str, object], Summary]]:
    failure = Outcome("nightly", State.FAILED, Reason.INVALID_ANNOTATION, "example")
    summaries = [
        Summary(matched=0, configured=0, pending=0, failures=(), secrets=()),
        Summary(matched=2, configured=1, pending=1, failures=(), secrets=()),
        Summary(matched=1, configured=0, pending=0, failures=((_TARGET, failure),), secrets=()),
        Summary(matched=1, configured=1, pending=0, failures=(), secrets=(), shortening=((_TARGET, "example"),)),
        *(
            Summary(matched=1, configured=1, pending=0, failures=(), secrets=((_SECRET, SecretSight(state)),))
            for state in SecretState
        ),
        *(
            Summary(matched=0, configured=0, pending=0, failures=(), secrets=(), source=SourceSight(_SECRET, problem))
            for problem in (None, "example", "")
        ),
    ]
    for backend in (_DISTINCT, _SHARED, {}):
        for summary in summaries:
            yield {"backend": backend}, summary


def _plan(spec: dict[str, object], summary: Summary, before: tuple[Condition, ...] = ()) -> Plan:
    row = BlueprintRow("nightly", "uid", 1, 1, deleting=False, spec=canonical(spec), conditions=before)
    return plan_blueprint(_View(row, summary), Key("BackupBlueprint", "", row.name))


def _conditions_of(spec: dict[str, object], summary: Summary) -> tuple[Condition, ...]:
    """The conditions that a blueprint gets in a situation, as its next look finds them."""
    found = [
        condition
        for step in _plan(spec, summary).steps
        if isinstance(step, ApplyStatus)
        for condition in step.status["conditions"]
    ]
    return tuple(Condition(c["type"], c["status"], c["reason"], c["message"], c["observedGeneration"]) for c in found)


class _View:
    """A BlueprintView of one situation."""

    def __init__(self, row: BlueprintRow, summary: Summary) -> None:
        self._row = row
        self._summary = summary

    def blueprint(self, name: str) -> BlueprintRow | None:
        return self._row

    def summary(self, blueprint: str) -> Summary:
        return self._summary


def _type(reason: Reason) -> str:
    return "Warning" if reason.warning else "Normal"
