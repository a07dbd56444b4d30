"""What a blueprint permits annotations to change (`spec.overrides`), and variables that they fill (`spec.variables`).

Everything is closed until it is named, and every number that may be asked for has an upper bound. Quantities are
compared by the operator: CEL knows them only since Kubernetes 1.29.
"""

from __future__ import annotations

from tools.crds import core, rules
from tools.crds.execution import ionice, nice
from tools.crds.policies import KEEPS, retention_policy
from tools.crds.schema import (
    LABEL,
    NAME,
    Schema,
    boolean,
    integer,
    listing,
    mapping,
    quantity,
    record,
    rule,
    string,
    strings,
    with_rules,
)
from tools.crds.targets import arguments

_NAMED = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
_VARIABLE = "^[A-Za-z]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?$"


def overrides() -> Schema:
    return record(
        "What annotations of a target or of its namespace may set otherwise, and how far. What is not named here is "
        "refused; only the schedule is free, as in Stash, unless it is bounded here.",
        {
            "schedule": record(
                "Bounds of the annotation stash.appscode.com/schedule.",
                {
                    "allowed": boolean("Whether a schedule of its own is permitted. True when unset, as in Stash."),
                    "minInterval": _duration("The shortest time between two runs, for example 1h."),
                },
            ),
            "retention": _retention(),
            "runtime": _runtime(),
            "exclude": boolean("Whether stash.appscode.com/exclude may leave files out of a backup."),
            "backupHistoryLimit": _numbers("Bounds of stash.appscode.com/backup-history-limit.", least=0, most=10000),
            "timeOut": _limits(
                "Bounds of stash.appscode.com/timeout.",
                {
                    "min": _duration("The shortest time limit."),
                    "max": _duration("The longest time limit."),
                },
            ),
            "retry": record(
                "Bounds of stash.appscode.com/retry.",
                {
                    "maxRetry": integer("The most attempts that may be asked for.", least=0, most=1000),
                    "minDelay": _duration("The shortest time between two attempts."),
                },
                required=["maxRetry"],
            ),
            "paused": boolean("Whether stash.appscode.com/paused may stop scheduled backups."),
            "backupArgs": arguments(
                "Arguments of restic that stash.appscode.com/backup-args may name, each as a whole."
            ),
        },
    )


def _duration(description: str) -> Schema:
    return string(description, most=64, rules=rules.positive_duration("a bound"))


def _limits(description: str, fields: dict[str, Schema]) -> Schema:
    return record(description, fields, required=["max"])


def _numbers(description: str, *, least: int, most: int) -> Schema:
    return record(
        description,
        {
            "min": integer("The least that may be asked for.", least=least, most=most),
            "max": integer("The most that may be asked for.", least=least, most=most),
        },
        required=["max"],
        rules=[rule("!has(self.min) || self.min <= self.max", "min is more than max: exchange them")],
    )


def _retention() -> Schema:
    return record(
        "Bounds of the annotation stash.appscode.com/retention-policy. Given as {} it permits longer retention.",
        {
            "allowShorter": boolean(
                "Whether fewer snapshots than by spec.retentionPolicy may be kept. Policies listed here may be shorter "
                "in any case."
            ),
            "minimum": _counts("The least of each number that may be asked for."),
            "maximum": _counts("The most of each number that may be asked for."),
            "gracePeriod": string(
                "How long a retention that keeps less waits before it takes effect; 72h when unset.",
                most=64,
                rules=[rules.delay("gracePeriod")],
            ),
            "policies": listing(
                "Policies that the annotation may name; each replaces spec.retentionPolicy as a whole.",
                retention_policy(),
                most=16,
                rules=[_named("policies"), _once("policies")],
            ),
        },
    )


def _counts(description: str) -> Schema:
    return record(
        description,
        {
            f"keep{keep}": with_rules(
                integer(f"Bound of {keep.lower()}.", bits=64),
                rule("self >= 0", "a number of snapshots must not be negative"),
            )
            for keep in KEEPS
        },
    )


def _runtime() -> Schema:
    return record(
        "Bounds of the annotation stash.appscode.com/runtime-settings.",
        {
            "cpu": _quantities("Processor"),
            "memory": _quantities("Memory"),
            "nice": _numbers("Niceness, from -20 (first) to 19 (last).", least=-20, most=19),
            "ionice": listing(
                "Scheduling classes of the disk that may be asked for.",
                string("", enum=("none", "real-time", "best-effort", "idle")),
                most=4,
            ),
            "priorityClasses": strings(
                "PriorityClasses that may be asked for.",
                most=32,
                each=NAME,
                each_rules=[rules.object_name("a priority class")],
            ),
            "profiles": listing(
                "Settings that the annotation may name. A profile says where a pod runs and what it may use, never who "
                "it is.",
                record(
                    "",
                    {
                        "name": string("Name of the profile.", most=LABEL),
                        "pod": record(
                            "Settings of the pod; each replaces that of spec.runtimeSettings.",
                            {
                                "nodeSelector": mapping("Labels of the nodes that the pod may run on.", each=1024),
                                "tolerations": core.embed_items("Toleration", "Taints that are tolerated.", most=64),
                                "priorityClassName": string("PriorityClass of the pod."),
                            },
                        ),
                        "container": record(
                            "Settings of the container.",
                            {
                                "resources": core.embed(
                                    "ResourceRequirements", "Processor, memory and other resources."
                                ),
                                "nice": nice(),
                                "ionice": ionice(),
                            },
                        ),
                    },
                    required=["name"],
                ),
                most=16,
                rules=[_named("profiles"), _once("profiles")],
            ),
        },
    )


def _quantities(what: str) -> Schema:
    return record(
        f"{what} that may be asked for, as request or limit.",
        {"min": quantity("The least."), "max": quantity("The most.")},
        required=["max"],
    )


def _named(what: str) -> Schema:
    return rule(
        f"self.all(one, one.name.matches('{_NAMED}'))",
        f"a name in {what} cannot be named by an annotation: use lower case letters, digits, '-' and '.'",
    )


def _once(what: str) -> Schema:
    return rule(
        "self.all(one, self.filter(other, other.name == one.name).size() == 1)",
        f"a name in {what} is listed twice: keep one entry for each",
    )


def variables() -> Schema:
    return listing(
        "Variables that annotations blueprint.stash.appscode.com/<name> of a target or its namespace may fill. They "
        "may stand in spec.task.params, and in the prefix or subPath of the backend if the variable is for locations.",
        record(
            "",
            {
                "name": string(
                    "Name, used as ${name}.",
                    most=LABEL,
                    rules=[
                        rule(
                            f"self.matches('{_VARIABLE}') && !self.startsWith('TARGET_')",
                            "the name of a variable has letters, digits and '_', begins with a letter and not with "
                            "TARGET_, which belongs to the facts of the target",
                        )
                    ],
                ),
                "description": string("What the variable is for, for people to read.", most=1024),
                "default": string("The value without an annotation. Without a default the annotation is needed."),
                "pattern": string(
                    "Regular expression that a value must match as a whole: characters, [...], groups, |, *, +, ? and "
                    "{m,n}.",
                    most=256,
                ),
                "inLocations": boolean(
                    "Whether the variable may stand in the path of a location, as a whole segment. Needs a pattern."
                ),
            },
            required=["name"],
            rules=[
                rule(
                    "!has(self.inLocations) || !self.inLocations || (has(self.pattern) && self.pattern != '')",
                    "a variable that may stand in locations needs a pattern: say which values it may have",
                )
            ],
        ),
        most=32,
        rules=[_once("variables")],
    )
