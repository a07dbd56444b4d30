"""What annotations may change of what a blueprint says, how far, and how a refusal reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers import overridable as o
from reconcilers import retention
from reconcilers.annotations import SCHEDULE
from reconcilers.bounds import PROFILE_FIELDS
from reconcilers.errors import Refusal
from reconcilers.kinds import TARGETS
from reconcilers.layers import Layer
from reconcilers.reasons import Reason
from tests.reconcilers.hostile import TEXTS
from tests.reconcilers.permissive import OPEN, POLICIES, PROFILES, attempt, refused, resolved

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
    assert "the policy daily (a number to keep is written daily=7)" in str(refused({"retention-policy": "daily"}))


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
