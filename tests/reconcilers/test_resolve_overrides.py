"""What annotations may change of what a blueprint says, how far, and how a refusal reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers import defaults, retention
from reconcilers import overridable as o
from reconcilers.annotations import BLUEPRINT, PREFIX, SCHEDULE, VARIABLES_PREFIX
from reconcilers.blueprint import compile_blueprint
from reconcilers.bounds import PROFILE_FIELDS
from reconcilers.errors import Refusal
from reconcilers.grammar import Malformed
from reconcilers.kinds import TARGETS
from reconcilers.layers import Layer
from reconcilers.reasons import Reason
from reconcilers.resolve import Resolved, resolve
from reconcilers.rows import BlueprintRow, TargetRow, canonical
from tests.reconcilers.hostile import TEXTS
from tests.reconcilers.objects import blueprint

PROFILES = [
    {
        "name": "big",
        "pod": {
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "backup", "operator": "Exists"}],
            "priorityClassName": "batch",
        },
        "container": {"resources": {"limits": {"memory": "8Gi"}}, "nice": {"adjustment": 5}},
    }
]
POLICIES = [{"name": "long-term", "keepMonthly": 24, "prune": True}, {"name": "brief", "keepLast": 1, "prune": False}]
OPEN: dict[str, Any] = {
    "schedule": {"minInterval": "15m"},
    "retention": {
        "allowShorter": True,
        "minimum": {"keepLast": 2},
        "maximum": {"keepDaily": 365},
        "gracePeriod": "24h",
        "policies": POLICIES,
    },
    "runtime": {
        "memory": {"min": "128Mi", "max": "4Gi"},
        "cpu": {"max": 2},
        "nice": {"min": 0, "max": 19},
        "ionice": ["best-effort", "idle"],
        "priorityClasses": ["low"],
        "profiles": PROFILES,
    },
    "exclude": True,
    "backupHistoryLimit": {"max": 20},
    "timeOut": {"min": "10m", "max": "6h"},
    "retry": {"maxRetry": 5, "minDelay": "1m"},
    "paused": True,
    "backupArgs": ["--one-file-system", "--exclude-caches"],
}


def resolved(
    annotations: dict[str, str] | None = None,
    around: dict[str, str] | None = None,
    *,
    kind: str = "PersistentVolumeClaim",
    **spec: Any,
) -> Resolved:
    spec = {"overrides": OPEN, **spec}
    asked = {BLUEPRINT: "nightly", **{_full(key): value for key, value in (annotations or {}).items()}}
    target = TargetRow(
        kind=kind,
        namespace="demo",
        name="shop",
        uid="u",
        resource_version=1,
        generation=0,
        deleting=False,
        annotations=tuple(sorted(asked.items())),
    )
    text = canonical(blueprint(**spec)["spec"])
    row = BlueprintRow(name="nightly", uid="u", resource_version=1, generation=1, deleting=False, spec=text)
    above = tuple(sorted((_full(key), value) for key, value in (around or {}).items()))
    return resolve(target, compile_blueprint(row), None, around=above)


def _full(key: str) -> str:
    return key if "/" in key else PREFIX + key


def refused(*args: Any, **more: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        resolved(*args, **more)
    return caught.value


def attempt(*args: Any, **more: Any) -> Resolved | Refusal:
    try:
        return resolved(*args, **more)
    except Refusal as refusal:
        return refusal


# what is permitted


@pytest.mark.parametrize("key", sorted(set(o.OVERRIDABLE) - {SCHEDULE}))
def test_nothing_is_permitted_unless_the_blueprint_says_so(key: str) -> None:
    found = refused({key: o.OVERRIDABLE[key].description.example}, overrides=None)
    assert found.reason is Reason.OVERRIDE_NOT_PERMITTED
    said = str(found)
    assert said.startswith(f"{key} ")
    assert "blueprint nightly does not permit" in said
    assert f"spec.overrides.{o.OVERRIDABLE[key].permission}" in said


@pytest.mark.parametrize("spec", [None, {}, {"retention": {}}])
def test_a_schedule_needs_no_permission_as_in_stash(spec: Any) -> None:
    found = resolved({"schedule": "*/5 * * * *"}, overrides=spec)
    assert found.configuration["schedule"] == "*/5 * * * *"
    assert found.origins == {"schedule": Layer.TARGET}


def test_a_blueprint_can_forbid_schedules() -> None:
    found = refused({"schedule": "@daily"}, overrides={"schedule": {"allowed": False}})
    assert found.reason is Reason.OVERRIDE_NOT_PERMITTED
    assert "spec.overrides.schedule.allowed" in str(found)


def test_schedules_keep_the_shortest_interval() -> None:
    assert resolved({"schedule": "*/15 * * * *"}).configuration["schedule"] == "*/15 * * * *"
    found = refused({"schedule": "0,10 * * * *"})
    assert found.reason is Reason.OVERRIDE_OUT_OF_BOUNDS
    assert str(found) == (
        "stash.appscode.com/schedule '0,10 * * * *': runs every 10m at times, and the shortest interval is 15m "
        "(blueprint nightly, spec.overrides.schedule.minInterval); stay within the bound; what was applied before "
        "stays in force"
    )


def test_slots_are_filled_wherever_the_schedule_comes_from() -> None:
    by_blueprint = resolved(schedule="H 2 * * *").configuration["schedule"]
    assert by_blueprint.endswith(" 2 * * *")
    assert "H" not in by_blueprint
    assert resolved({"schedule": "H 2 * * *"}).configuration["schedule"] == by_blueprint


def test_retention_is_merged_by_number() -> None:
    found = resolved({"retention-policy": "daily=14,tags=gold"}).configuration["retentionPolicy"]
    assert found == {
        "name": "last-5-daily-14",
        "keepLast": 5,
        "keepDaily": 14,
        "keepTags": ["gold"],
        "prune": True,
    }


def test_a_listed_policy_replaces_the_whole() -> None:
    found = resolved({"retention-policy": "long-term"})
    assert found.configuration["retentionPolicy"] == POLICIES[0]
    assert found.origins == {"retentionPolicy": Layer.TARGET}
    assert "it lists long-term, brief" in str(refused({"retention-policy": "short-term"}))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("last=1", "keeps last=1, and the least is 2 (blueprint nightly, spec.overrides.retention.minimum.keepLast)"),
        ("daily=366", "keeps daily=366, and the most is 365"),
    ],
)
def test_retention_has_a_floor_and_a_ceiling(value: str, said: str) -> None:
    found = refused({"retention-policy": value})
    assert found.reason is Reason.OVERRIDE_OUT_OF_BOUNDS
    assert said in str(found)


def test_retention_may_only_be_lengthened_unless_the_blueprint_says_otherwise() -> None:
    longer_only = {"retention": {}}
    assert (
        resolved({"retention-policy": "last=6"}, overrides=longer_only).configuration["retentionPolicy"]["keepLast"]
        == 6
    )
    found = refused({"retention-policy": "last=4,yearly=9"}, overrides=longer_only)
    assert found.reason is Reason.OVERRIDE_OUT_OF_BOUNDS
    assert "keeps last=4, and less than 5 of the blueprint, and retention may only be lengthened" in str(found)
    assert "keeps nothing" in str(
        refused({"retention-policy": "last=0"}, overrides={"retention": {"allowShorter": True}})
    )


def test_memory_and_processor_within_bounds() -> None:
    found = resolved(
        {"runtime-settings": "memory=256Mi..1Gi,cpu=500m,nice=3,ionice=idle,priority-class=low"},
        runtimeSettings={
            "pod": {"serviceAccountName": "backup", "priority": 7},
            "container": {"resources": {"limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"}}},
        },
    )
    assert found.configuration["runtimeSettings"] == {
        "pod": {"serviceAccountName": "backup", "priorityClassName": "low"},
        "container": {
            "resources": {
                "requests": {"memory": "256Mi", "cpu": "500m"},
                "limits": {"memory": "1Gi", "cpu": "500m", "ephemeral-storage": "1Gi"},
            },
            "nice": {"adjustment": 3},
            "ionice": {"class": 3},
        },
    }
    assert found.origins["runtimeSettings.container.resources.limits.memory"] is Layer.TARGET


@pytest.mark.parametrize(
    ("value", "reason", "said"),
    [
        ("memory=64Mi", Reason.OVERRIDE_OUT_OF_BOUNDS, "asks for memory of 64Mi, which is less than 128Mi"),
        ("memory=1Gi..8Gi", Reason.OVERRIDE_OUT_OF_BOUNDS, "asks for memory of 8Gi, which is more than 4Gi"),
        ("cpu=2001m", Reason.OVERRIDE_OUT_OF_BOUNDS, "asks for cpu of 2001m, which is more than 2"),
        ("nice=-1", Reason.OVERRIDE_OUT_OF_BOUNDS, "asks for nice=-1, which is less than 0"),
        ("ionice=real-time", Reason.OVERRIDE_NOT_PERMITTED, "it lists best-effort, idle"),
        ("priority-class=system-node-critical", Reason.OVERRIDE_NOT_PERMITTED, "it lists low"),
        ("huge", Reason.OVERRIDE_NOT_PERMITTED, "does not permit the profile huge; it lists big"),
        ("serviceAccountName=admin", Reason.INVALID_ANNOTATION, "has 'serviceAccountName=admin'"),
    ],
)
def test_runtime_settings_beyond_bounds(value: str, reason: Reason, said: str) -> None:
    found = refused({"runtime-settings": value})
    assert found.reason is reason
    assert said in str(found)


def test_a_request_above_a_limit_of_the_blueprint_is_refused() -> None:
    found = refused(
        {"runtime-settings": "memory=2Gi.."},
        runtimeSettings={"container": {"resources": {"limits": {"memory": "1Gi"}}}},
    )
    assert "memory would have a request of 2Gi and a limit of 1Gi" in str(found)
    assert "memory=REQUEST..LIMIT" in str(found)


def test_a_profile_and_what_is_said_beside_it() -> None:
    found = resolved({"runtime-settings": "big,cpu=..1"}).configuration["runtimeSettings"]
    assert found["pod"] == PROFILES[0]["pod"]
    assert found["container"]["resources"] == {"limits": {"memory": "8Gi", "cpu": "1"}}


def test_the_rest() -> None:
    found = resolved(
        {
            "exclude": "*.tmp, cache",
            "backup-history-limit": "7",
            "timeout": "90m",
            "retry": "3,delay=5m",
            "paused": "true",
            "backup-args": "--exclude-caches",
        }
    )
    assert found.configuration["target"]["exclude"] == ["*.tmp", "cache"]
    assert found.configuration["target"]["args"] == ["--exclude-caches"]
    assert found.configuration["backupHistoryLimit"] == 7
    assert found.configuration["timeOut"] == "90m"
    assert found.configuration["retryConfig"] == {"maxRetry": 3, "delay": "5m"}
    assert found.configuration["paused"] is True
    assert set(found.origins.values()) == {Layer.TARGET}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("backup-history-limit", "21", "more than 20"),
        ("timeout", "5m", "less than 10m"),
        ("timeout", "7h", "more than 6h"),
        ("retry", "6", "more than 5"),
        ("retry", "1,delay=1s", "less than 1m"),
        ("backup-args", "--exclude-caches,--password-command=id", "'--password-command=id'"),
        ("paused", "yes", "neither true nor false"),
        ("exclude", "--files-from=/etc/passwd", "pattern"),
    ],
)
def test_the_rest_beyond_bounds(key: str, value: str, said: str) -> None:
    assert said in str(refused({key: value}))


# precedence


def test_the_target_wins_over_its_namespace_and_that_over_the_blueprint() -> None:
    around = {"schedule": "@weekly", "timeout": "2h", "paused": "true"}
    found = resolved({"schedule": "@monthly"}, around, timeOut="1h", backupHistoryLimit=3)
    assert found.configuration["schedule"] == "@monthly"
    assert found.configuration["timeOut"] == "2h"
    assert found.configuration["backupHistoryLimit"] == 3
    assert found.origins == {"schedule": Layer.TARGET, "timeOut": Layer.NAMESPACE, "paused": Layer.NAMESPACE}


def test_what_the_target_replaces_is_not_judged() -> None:
    assert resolved({"timeout": "1h"}, {"timeout": "nonsense"}).configuration["timeOut"] == "1h"


def test_a_refusal_over_the_namespace_names_it() -> None:
    said = str(refused({}, {"timeout": "7h"}))
    assert said.startswith("stash.appscode.com/timeout on Namespace demo '7h': ")


def test_paths_of_a_namespace_mean_nothing() -> None:
    assert resolved({}, {"target-paths": "/etc", "backup-blueprint": "x"}).origins == {}


def test_without_annotations_nothing_differs() -> None:
    plain = resolved(overrides=None)
    assert resolved() == plain
    assert plain.origins == {}


# the operator's defaults


def with_defaults(*texts: str, annotations: dict[str, str] | None = None, **spec: Any) -> Resolved:
    asked = {BLUEPRINT: "nightly", **{_full(key): value for key, value in (annotations or {}).items()}}
    target = TargetRow(
        kind="PersistentVolumeClaim",
        namespace="demo",
        name="shop",
        uid="u",
        resource_version=1,
        generation=0,
        deleting=False,
        annotations=tuple(sorted(asked.items())),
    )
    text = canonical(blueprint(overrides=OPEN, **spec)["spec"])
    row = BlueprintRow(name="nightly", uid="u", resource_version=1, generation=1, deleting=False, spec=text)
    return resolve(target, compile_blueprint(row), None, defaults=defaults.parse(texts))


EVERY_DEFAULT = (
    "schedule=H 5 * * *",
    "timeout=2h",
    "retry=3,delay=1m",
    "backup-history-limit=4",
    "runtime-settings=memory=256Mi..1Gi,cpu=..1,nice=5,ionice=idle",
)


def test_the_operator_fills_what_the_blueprint_leaves_open() -> None:
    found = with_defaults(*EVERY_DEFAULT, schedule=None).configuration
    assert found["schedule"].endswith(" 5 * * *")
    assert (found["timeOut"], found["backupHistoryLimit"]) == ("2h", 4)
    assert found["retryConfig"] == {"maxRetry": 3, "delay": "1m"}
    assert found["runtimeSettings"]["container"] == {
        "resources": {"requests": {"memory": "256Mi"}, "limits": {"memory": "1Gi", "cpu": "1"}},
        "nice": {"adjustment": 5},
        "ionice": {"class": 3},
    }


def test_the_blueprint_wins_over_the_operator_and_the_target_over_both() -> None:
    runtime_settings = {"container": {"resources": {"limits": {"memory": "2Gi"}}, "nice": {"adjustment": 0}}}
    found = with_defaults(
        *EVERY_DEFAULT,
        annotations={"retry": "1", "runtime-settings": "cpu=2"},
        timeOut="1h",
        runtimeSettings=runtime_settings,
    )
    assert found.configuration["schedule"] == "0 2 * * *"
    assert found.configuration["timeOut"] == "1h"
    assert found.configuration["retryConfig"] == {"maxRetry": 1, "delay": "1m"}
    assert found.configuration["runtimeSettings"]["container"] == {
        "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi", "cpu": "2"}},
        "nice": {"adjustment": 0},
        "ionice": {"class": 3},
    }
    assert found.origins == {
        "backupHistoryLimit": Layer.OPERATOR,
        "retryConfig.maxRetry": Layer.TARGET,
        "retryConfig.delay": Layer.OPERATOR,
        "runtimeSettings.container.ionice": Layer.OPERATOR,
        "runtimeSettings.container.resources.limits.cpu": Layer.TARGET,
        "runtimeSettings.container.resources.requests.cpu": Layer.TARGET,
    }


@pytest.mark.parametrize(
    "text",
    ["timeout", "timeout=soon", "paused=true", "schedule=at noon", "runtime-settings=big", "exclude=*", "", "=1"],
)
def test_what_cannot_be_a_default(text: str) -> None:
    with pytest.raises(Malformed):
        defaults.parse([text])


# what can never be reached

FIELDS = {
    "schedule",
    "retentionPolicy",
    "runtimeSettings",
    "target",
    "backupHistoryLimit",
    "timeOut",
    "retryConfig",
    "paused",
}
ALLOWED = {
    ("pod", "nodeSelector"),
    ("pod", "tolerations"),
    ("pod", "priorityClassName"),
    ("pod", "priority"),
    ("container", "nice"),
    ("container", "ionice"),
    ("container", "resources"),
}
RUNTIME = {
    "pod": {"serviceAccountName": "backup", "securityContext": {"runAsUser": 1000}, "priority": 3},
    "container": {"securityContext": {"privileged": False}, "env": [{"name": "A", "value": "b"}]},
}
values = st.one_of(
    st.sampled_from(TEXTS),
    st.text(max_size=40),
    st.sampled_from(
        ["memory=1Gi", "big", "big,nice=1", "cpu=1..2", "priority-class=low", "last=9", "long-term", "true", "7", "30m"]
    ),
)


@given(
    annotations=st.dictionaries(st.sampled_from(sorted(o.OVERRIDABLE)), values),
    around=st.dictionaries(st.sampled_from(sorted(o.OVERRIDABLE)), values),
    kind=st.sampled_from(sorted(TARGETS)),
)
@example({o.RUNTIME: "big,memory=1Gi,priority-class=low"}, {}, "Deployment")
def test_only_what_is_allowed_can_differ(annotations: dict[str, str], around: dict[str, str], kind: str) -> None:
    plain = resolved(kind=kind, runtimeSettings=RUNTIME)
    found = attempt(annotations, around, kind=kind, runtimeSettings=RUNTIME)
    if isinstance(found, Refusal):
        assert str(found).isprintable()
        assert len(str(found)) <= 600
        assert any(str(found).startswith(key) for key in o.OVERRIDABLE)
        return
    assert found.repository == plain.repository
    assert found.location == plain.location
    assert found.storage_secret == plain.storage_secret
    changed = {name for name in found.configuration if found.configuration[name] != plain.configuration.get(name)}
    assert changed <= FIELDS
    for part, before in RUNTIME.items():
        after = found.configuration["runtimeSettings"][part]
        differing = {name for name in before | after if before.get(name) != after.get(name)}
        assert {(part, name) for name in differing} <= ALLOWED
    target = dict(found.configuration["target"])
    target.pop("exclude", None)
    assert set(target.pop("args", ())) <= set(OPEN["backupArgs"])
    assert target == plain.configuration["target"]


def test_every_kind_of_bound_is_within_what_is_allowed() -> None:
    assert {(part, name) for part, names in PROFILE_FIELDS.items() for name in names} <= ALLOWED


@given(counts=st.dictionaries(st.sampled_from(retention.COUNTS), st.integers(0, 30), min_size=1))
def test_without_leave_to_shorten_every_snapshot_of_the_blueprint_is_kept(counts: dict[str, int]) -> None:
    before = {"name": "n", "keepLast": 5, "keepDaily": 7, "keepTags": ["x"], "prune": True}
    text = ",".join(f"{name}={number}" for name, number in counts.items())
    found = attempt({"retention-policy": text}, retentionPolicy=before, overrides={"retention": {}})
    if isinstance(found, Refusal):
        assert found.reason is Reason.OVERRIDE_OUT_OF_BOUNDS
        assert any(counts.get(name, 99) < least for name, least in (("last", 5), ("daily", 7)))
        return
    assert retention.covers(found.configuration["retentionPolicy"], before)


# variables

VARIABLES = [
    {"name": "tier", "default": "silver", "pattern": "gold|silver", "inLocations": True},
    {"name": "args", "pattern": "[a-z ]*"},
]
PREFIX_WITH_TIER = "b/${tier}/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"


def with_tier(annotations: dict[str, str] | None = None, around: dict[str, str] | None = None) -> Resolved:
    backend = {"s3": {"endpoint": "e", "bucket": "b", "prefix": PREFIX_WITH_TIER}, "storageSecretName": "s"}
    return resolved(annotations, around, backend=backend, variables=VARIABLES)


def test_a_variable_comes_from_target_namespace_or_default() -> None:
    key = VARIABLES_PREFIX + "tier"
    prefixes = [
        found.repository["backend"]["s3"]["prefix"].split("/")[1]
        for found in (with_tier(), with_tier({}, {key: "gold"}), with_tier({key: "silver"}, {key: "gold"}))
    ]
    assert prefixes == ["silver", "gold", "silver"]
    assert with_tier({}, {key: "gold"}).origins == {"${tier}": Layer.NAMESPACE}


@pytest.mark.parametrize("value", [*TEXTS, "", "Gold", "gold\n", "gold/..", "a" * 300])
def test_a_value_is_of_the_pattern_or_refused(value: str) -> None:
    with pytest.raises(Refusal) as caught:
        with_tier({VARIABLES_PREFIX + "tier": value})
    assert caught.value.reason is Reason.VARIABLE_REJECTED
    assert str(caught.value).startswith(VARIABLES_PREFIX + "tier")


def test_no_annotation_sets_what_identifies_the_target() -> None:
    found = with_tier({VARIABLES_PREFIX + "TARGET_NAME": "other", VARIABLES_PREFIX + "TARGET_NAMESPACE": "kube-system"})
    assert found.location == with_tier().location


def test_a_variable_without_a_value_says_how_to_give_one() -> None:
    task = {"name": "pvc-backup", "params": [{"name": "args", "value": "${args}"}]}
    found = refused({}, task=task, variables=VARIABLES)
    assert found.reason is Reason.UNKNOWN_VARIABLE
    assert f"set the annotation {VARIABLES_PREFIX}args on the target or its namespace" in str(found)
    given = resolved({VARIABLES_PREFIX + "args": "a b"}, task=task, variables=VARIABLES)
    assert given.configuration["task"]["params"] == [{"name": "args", "value": "a b"}]


MISPLACED: list[tuple[dict[str, Any], str]] = [
    ({"backend": {"s3": {"endpoint": "${tier}", "bucket": "b", "prefix": "p"}}}, "must not stand here"),
    ({"backend": {"s3": {"endpoint": "e", "bucket": "${tier}", "prefix": "p"}}}, "must not stand here"),
    ({"backend": {"rest": {"url": "https://x/${tier}"}}}, "must not stand here"),
    ({"backend": {"s3": {"endpoint": "e", "bucket": "b", "prefix": "${tier}-${TARGET_NAME}"}}}, "whole segment"),
    ({"backend": {"s3": {"endpoint": "e", "bucket": "b", "prefix": "x${tier}"}}}, "whole segment"),
    ({"backend": {"s3": {"endpoint": "e", "bucket": "b", "prefix": "${args}/x"}}}, "not declared for locations"),
    ({"runtimeSettings": {"pod": {"serviceAccountName": "${tier}"}}}, "must not stand here"),
    ({"task": {"name": "${tier}"}}, "must not stand here"),
    ({"backupNamespace": "${tier}"}, "must not stand here"),
    ({"interimVolumeTemplate": {"metadata": {"name": "${tier}"}}}, "must not stand here"),
]


@pytest.mark.parametrize(("spec", "said"), MISPLACED)
def test_a_variable_stands_only_where_it_can_do_no_harm(spec: dict[str, Any], said: str) -> None:
    found = refused({}, variables=VARIABLES, **spec)
    assert found.reason is Reason.INVALID_BLUEPRINT
    assert said in str(found)


# blueprints that cannot be used

WRONG: list[tuple[str, Any]] = [
    ("overrides", {"retention": {"minimum": {"keepLast": "two"}}}),
    ("overrides", {"retention": {"gracePeriod": "three days"}}),
    ("overrides", {"retention": {"policies": [{"name": "x", "prune": True}]}}),
    ("overrides", {"retention": {"policies": [POLICIES[0], POLICIES[0]]}}),
    ("overrides", {"runtime": {"memory": {"min": "4Gi", "max": "1Gi"}}}),
    ("overrides", {"runtime": {"memory": {"max": "lots"}}}),
    ("overrides", {"runtime": {"profiles": [{"name": "x", "pod": {"serviceAccountName": "admin"}}]}}),
    ("overrides", {"runtime": {"ionice": ["fast"]}}),
    ("overrides", {"schedule": {"minInterval": "often"}}),
    ("overrides", {"everything": True}),
    ("overrides", {"paused": "yes"}),
    ("overrides", ["schedule"]),
    ("variables", [{"name": "TARGET_NAME"}]),
    ("variables", [{"name": "a-b"}]),
    ("variables", [{"name": "a"}, {"name": "a"}]),
    ("variables", [{"name": "a", "inLocations": True}]),
    ("variables", [{"name": "a", "pattern": "(a"}]),
    ("variables", [{"name": "a", "pattern": "a", "default": "b"}]),
    ("variables", ["a"]),
    ("variables", {"a": "b"}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_bound_that_cannot_be_understood_closes(field: str, value: Any) -> None:
    found = refused({}, **{"overrides": None, field: value})
    assert found.reason is Reason.INVALID_BLUEPRINT
    assert f"spec.{field}" in str(found)


shapes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*OPEN, "min", "max", "name", "policies", "pod"]), inner, max_size=3)
    ),
)


@given(shapes)
def test_any_shape_of_overrides_compiles_or_is_a_problem(value: Any) -> None:
    text = json.dumps(blueprint(overrides=value, variables=value)["spec"])
    row = BlueprintRow(name="any", uid="u", resource_version=1, generation=1, deleting=False, spec=text)
    compile_blueprint(row)
