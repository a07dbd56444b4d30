"""Policies that a blueprint copies: retention, use of a Repository by other namespaces, history, time limit, retry."""

from __future__ import annotations

from reconcilers.kinds import TARGETS
from tools.crds import core, rules
from tools.crds.schema import NAME, Schema, boolean, integer, listing, record, rule, string, strings, with_rules

KEEPS = ("Last", "Hourly", "Daily", "Weekly", "Monthly", "Yearly")


def retention_policy() -> Schema:
    counts = " || ".join(f"(has(self.keep{keep}) && self.keep{keep} > 0)" for keep in KEEPS)
    return record(
        "Which snapshots are kept; the others are forgotten after each backup. One rule is enough to keep a snapshot.",
        {
            "name": string("Name of the policy, for people to read."),
            "keepLast": _keep("Number of the newest snapshots to keep."),
            "keepHourly": _keep("Number of hours for which the newest snapshot is kept."),
            "keepDaily": _keep("Number of days for which the newest snapshot is kept."),
            "keepWeekly": _keep("Number of weeks for which the newest snapshot is kept."),
            "keepMonthly": _keep("Number of months for which the newest snapshot is kept."),
            "keepYearly": _keep("Number of years for which the newest snapshot is kept."),
            "keepTags": strings(
                "Tags whose snapshots are all kept.",
                most=64,
                each=NAME,
                each_rules=[rule("self != ''", "a tag to keep must not be empty: name the tag or remove the entry")],
            ),
            "prune": boolean("Remove the data that no snapshot uses any more. Needed to get space back."),
            "dryRun": boolean("Only report what would be removed."),
        },
        required=["name", "prune"],
        rules=[
            rule(
                f"{counts} || (has(self.keepTags) && self.keepTags.size() > 0)",
                "keep at least one snapshot: set one of keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, "
                "keepYearly to 1 or more, or name keepTags",
            )
        ],
    )


def _keep(description: str) -> Schema:
    return with_rules(
        integer(description, bits=64),
        rule("self >= 0", "a number of snapshots to keep must not be negative: use 0 or leave it out for no such rule"),
    )


def namespace_selector(description: str) -> Schema:
    selector = core.embed("LabelSelector", description)
    requirement = selector["properties"]["matchExpressions"]["items"]
    selector["properties"]["matchExpressions"]["maxItems"] = 64
    requirement["x-kubernetes-validations"] = [
        rule(
            "self.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist']",
            "operator must be In, NotIn, Exists or DoesNotExist",
        ),
        rule(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
            "operators In and NotIn need values: list at least one",
        ),
        rule(
            "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0",
            "operators Exists and DoesNotExist take no values: remove them",
        ),
    ]
    return selector


def usage_policy() -> Schema:
    return record(
        "Which namespaces may use the Repository. Without it, only its own.",
        {
            "allowedNamespaces": record(
                "Namespaces whose BackupConfigurations and RestoreSessions may name the Repository.",
                {
                    "from": string(
                        "Same: the Repository's own. All: every namespace. Selector: namespaces whose labels match.",
                        enum=("All", "Selector", "Same"),
                        default="Same",
                    ),
                    "selector": namespace_selector(
                        "Labels of the namespaces that may use the Repository, when from is Selector."
                    ),
                },
                rules=[
                    rule(
                        "!has(self.from) || self.from != 'Selector' || has(self.selector)",
                        "from is Selector but there is no selector: add labels of namespaces, or use Same or All",
                    )
                ],
            )
        },
    )


def allowed_namespaces() -> Schema:
    return record(
        "Namespaces whose targets may name the blueprint: those that names or selector allow, and with neither none. "
        "Without the field, every namespace may, unless the operator is configured to require it. Not to be confused "
        "with usagePolicy, which is copied to the Repository.",
        {
            "names": strings(
                "Names of namespaces.",
                most=256,
                each=NAME,
                each_rules=[rules.matching(rules.DNS_LABEL, "a name must be that of a namespace", empty=False)],
            ),
            "selector": namespace_selector(
                "Labels of namespaces; an empty selector is every namespace. Whoever may label a Namespace decides."
            ),
        },
    )


def target_kinds() -> Schema:
    return listing(
        "Kinds whose objects become targets where a Namespace has the annotation stash.appscode.com/backup-blueprint "
        "with the name of this blueprint. PersistentVolumeClaim when unset.",
        string("", enum=tuple(TARGETS)),
        most=len(TARGETS),
        rules=[rule("self.all(kind, self.exists_one(other, other == kind))", "targetKinds must not name a kind twice")],
    )


def history_limit() -> Schema:
    return integer(
        "Number of finished BackupSessions to keep, with what belongs to them. 1 when unset.", least=0, most=10000
    )


def time_limit(what: str, *, templated: bool = False) -> Schema:
    return string(
        f"Longest time that {what} may take, for example 30m or 2h; then it fails. No limit when unset.",
        most=64,
        rules=rules.positive_duration("timeOut", templated=templated),
    )


def retry_config(*, templated: bool = False) -> Schema:
    return record(
        "How often a failed backup is tried again. Never when unset.",
        {
            "maxRetry": integer("Number of further attempts.", least=0, most=1000, default=1),
            "delay": string(
                "Time to wait before the next attempt, for example 30s or 10m. None when unset.",
                most=64,
                rules=[rules.delay("delay", templated=templated)],
            ),
        },
    )


def schedule(description: str, *, templated: bool = False) -> Schema:
    message = (
        "schedule must have five cron fields (minute hour day month weekday, for example '0 2 * * *') or be a "
        "descriptor such as '@daily' or '@every 6h'"
    )
    return string(
        description,
        rules=[
            rules.matching(rules.SCHEDULE, message, templated=templated),
            *([rules.closed_braces("schedule")] if templated else []),
        ],
    )
