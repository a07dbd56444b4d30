"""The rules that a blueprint sets itself: its variables, and bounds that cannot be understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilers.annotations import VARIABLES_PREFIX
from reconcilers.blueprint import compile_blueprint
from reconcilers.errors import Refusal
from reconcilers.kinds import TARGETS
from reconcilers.layers import Layer
from reconcilers.reasons import Reason
from reconcilers.resolve import Resolved
from reconcilers.rows import BlueprintRow
from tests.reconcilers.hostile import TEXTS
from tests.reconcilers.objects import blueprint
from tests.reconcilers.permissive import OPEN, POLICIES, refused, resolved

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


names = st.from_regex(r"\A[a-z]([a-z0-9-]{0,6}[a-z0-9])?\Z")
places = st.tuples(st.sampled_from(sorted(TARGETS)), names, names)
tiers = st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,6}[a-z0-9]\Z")
WIDE = [{"name": "tier", "pattern": "[a-z0-9._-]+", "inLocations": True}]
AROUND = (
    "${tier}/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}",
    "x/${TARGET_NAMESPACE}/${tier}/${TARGET_KIND}/${TARGET_NAME}",
    "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}/${tier}",
)


@given(one=places, other=places, first=tiers, second=tiers, prefix=st.sampled_from(AROUND))
def test_no_choice_of_values_makes_two_targets_meet(
    one: tuple[str, str, str], other: tuple[str, str, str], first: str, second: str, prefix: str
) -> None:
    def location(place: tuple[str, str, str], tier: str) -> str:
        kind, namespace, name = place
        asked = {VARIABLES_PREFIX + "tier": tier}
        backend = {"s3": {"endpoint": "e", "bucket": "b", "prefix": prefix}, "storageSecretName": "s"}
        return resolved(asked, kind=kind, namespace=namespace, name=name, backend=backend, variables=WIDE).location

    assume(one != other and ".." not in first + "x" + second)
    assert location(one, first) != location(other, second)


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
