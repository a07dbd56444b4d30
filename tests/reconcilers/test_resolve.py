"""Resolving a blueprint for a target: the structure stays, the identity stands where it was put, nothing gets in."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reconcilers.annotations import BLUEPRINT, PARAMS_PREFIX
from reconcilers.blueprint import compile_blueprint, schedule_of
from reconcilers.errors import Refusal
from reconcilers.kinds import TARGETS, Family
from reconcilers.reasons import Reason
from reconcilers.resolve import Resolved, needs_pod_template, resolve
from reconcilers.rows import BlueprintRow, TargetRow, canonical
from reconcilers.variables import VARIABLES, values
from tests.reconcilers.hostile import TEXTS
from tests.reconcilers.objects import PREFIX, blueprint, s3

DATABASES = [name for name, kind in TARGETS.items() if kind.family is Family.DATABASE]


def row(kind: str = "AppBinding", *, name: str = "shop", namespace: str = "demo", **more: Any) -> TargetRow:
    asked = {BLUEPRINT: "nightly", **more.pop("annotations", {})}
    more.setdefault("app_type", "kubedb.com/postgres" if kind == "AppBinding" else "")
    more.setdefault("app_version", "11.9" if kind == "AppBinding" else "")
    return TargetRow(
        kind=kind,
        namespace=namespace,
        name=name,
        uid="0a5317a8-0000-4000-8000-000000000000",
        resource_version=1,
        generation=0,
        deleting=False,
        annotations=tuple(sorted(asked.items())),
        **more,
    )


def resolved(target: TargetRow, **spec: Any) -> Resolved:
    text = canonical(blueprint(**spec)["spec"])
    found = BlueprintRow(name="nightly", uid="u", resource_version=1, generation=1, deleting=False, spec=text)
    return resolve(target, compile_blueprint(found), None)


def prefix(found: Resolved) -> str:
    return str(found.repository["backend"]["s3"]["prefix"])


# the variables


@pytest.mark.parametrize("name", sorted(VARIABLES))
@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_every_variable_has_a_value_or_a_refusal_for_every_kind(name: str, kind: str) -> None:
    target = row(kind)
    family = TARGETS[kind].family
    if family in VARIABLES[name].families:
        assert resolved(target, task={"name": f"${{{name}}}"}).configuration["task"]["name"] == values(target)[name]
        return
    with pytest.raises(Refusal) as refusal:
        resolved(target, task={"name": f"${{{name}}}"})
    assert refusal.value.reason is Reason.UNKNOWN_VARIABLE
    assert refusal.value.field == "spec.task.name"
    assert f"has no value for a {kind}" in str(refusal.value)
    assert resolved(target, task={"name": f"${{{name}:-else}}"}).configuration["task"]["name"] == "else"


@pytest.mark.parametrize(
    ("app_type", "group", "resource"),
    [("kubedb.com/postgres", "kubedb.com", "postgres"), ("postgres", "", "postgres"), ("", "", "")],
)
def test_parts_of_an_application_type(app_type: str, group: str, resource: str) -> None:
    found = values(row(app_type=app_type))
    assert (found.get("TARGET_APP_GROUP", ""), found.get("TARGET_APP_RESOURCE", "")) == (group, resource)


def test_what_the_target_leaves_empty_is_named() -> None:
    with pytest.raises(Refusal, match=r"\$\{TARGET_APP_VERSION\} spec.version of the AppBinding is empty"):
        resolved(row(app_version=""), task={"name": "${TARGET_APP_VERSION}"})


def test_values_in_the_table_of_variables_are_those_of_an_example() -> None:
    shop = values(row("Deployment"))
    for variable in VARIABLES.values():
        if Family.WORKLOAD in variable.families and variable.name not in ("TARGET_UID",):
            assert shop[variable.name] == variable.example


# the structure

strings = st.sampled_from(["", "x", "${TARGET_NAME}", "a${TARGET_UID}b", "$${X}", "${TARGET_APP_TYPE:-d}", '"}],'])
trees = st.recursive(
    st.booleans() | st.integers() | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc${}.", max_size=5), inner, max_size=3),
    max_leaves=12,
)
maps = st.dictionaries(st.text("abcd", min_size=1, max_size=3), trees, max_size=3)
FIELDS = ("task", "runtimeSettings", "hooks", "interimVolumeTemplate")


@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, maps)), st.from_regex(r"\A[a-z]([a-z0-9-]{0,8}[a-z0-9])?\Z"))
def test_the_result_has_exactly_the_structure_of_the_template(spec: dict[str, Any], name: str) -> None:
    found = resolved(row("PersistentVolumeClaim", name=name), **spec).configuration
    assert {field: shape(found[field]) for field in FIELDS} == {field: shape(spec[field]) for field in FIELDS}
    assert found["hooks"] == spec["hooks"], "scripts are never substituted"
    assert set(found) == {*FIELDS, "schedule", "retentionPolicy", "target"}


def shape(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: shape(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [shape(item) for item in tree]
    return type(tree)


@given(st.sampled_from(sorted(TARGETS)))
def test_every_field_of_the_blueprint_arrives_where_it_belongs(kind: str) -> None:
    spec = {
        "wipeOut": True,
        "usagePolicy": {"allowedNamespaces": {"from": "${TARGET_NAME}"}},
        "task": {"name": "t", "params": [{"name": "n", "value": "${TARGET_NAME}"}]},
        "runtimeSettings": {"container": {"lifecycle": {"preStop": {"exec": {"command": ["${X}"]}}}}},
        "tempDir": {"medium": "Memory"},
        "interimVolumeTemplate": {"metadata": {"name": "${TARGET_NAME}"}},
        "hooks": {"preBackup": {"exec": {"command": ["${HOME}"]}}},
        "backupHistoryLimit": 2,
        "timeOut": "1h",
        "retryConfig": {"maxRetry": 3},
    }
    found = resolved(row(kind), **spec)
    assert set(found.repository) == {"backend", "wipeOut", "usagePolicy"}
    assert found.repository["usagePolicy"] == spec["usagePolicy"]
    assert set(found.configuration) == (set(spec) - {"wipeOut", "usagePolicy"}) | {
        "schedule",
        "retentionPolicy",
        "target",
    }
    assert found.configuration["runtimeSettings"] == spec["runtimeSettings"]
    assert found.configuration["interimVolumeTemplate"]["metadata"]["name"] == "shop"


# the identity

segment = st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,12}[a-z0-9])?\Z").filter(lambda text: ".." not in text)
identities = st.tuples(st.sampled_from(sorted(TARGETS)), segment, segment)


@given(identity=identities, order=st.permutations(["${TARGET_NAMESPACE}", "${TARGET_KIND}", "${TARGET_NAME}"]))
def test_the_identity_stands_where_the_template_puts_it(identity: tuple[str, str, str], order: list[str]) -> None:
    kind, namespace, name = identity
    found = resolved(row(kind, name=name, namespace=namespace), backend=s3("/".join(["top", *order, "end"])))
    mine = {"${TARGET_NAMESPACE}": namespace, "${TARGET_KIND}": kind.lower(), "${TARGET_NAME}": name}
    assert prefix(found).split("/") == ["top", *(mine[variable] for variable in order), "end"]
    assert found.location.partition("|")[2].split("/") == prefix(found).split("/")


@given(one=identities, other=identities)
def test_two_targets_never_share_a_location(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assume(one != other)
    first, second = (
        resolved(row(kind, name=name, namespace=ns), backend=s3(PREFIX)) for kind, ns, name in (one, other)
    )
    assert first.location != second.location
    assert first.location.startswith("s3:s3.amazonaws.com:backups|stash-backup/" + one[1] + "/")


@given(
    params=st.dictionaries(st.sampled_from("abc"), st.text(max_size=30), max_size=3),
    app_type=st.text(max_size=30),
    app_version=st.text(max_size=30),
)
def test_nothing_that_a_user_writes_moves_the_location(params: dict[str, str], app_type: str, app_version: str) -> None:
    hostile = row(
        annotations={PARAMS_PREFIX + name: value for name, value in params.items() if "\x00" not in value},
        app_type=app_type,
        app_version=app_version,
    )
    assert resolved(hostile).location == resolved(row()).location


# hostile values of what a user controls: type and version of an AppBinding


@pytest.mark.parametrize("field", ["app_type", "app_version"])
def test_golden_list_of_hostile_values(field: str) -> None:
    for text in TEXTS:
        value_is_harmless(field, text)


@given(field=st.sampled_from(["app_type", "app_version"]), text=st.text(max_size=60) | st.text("./-_a${}", max_size=12))
@example("app_version", "..")
@example("app_version", "a..b")
@example("app_version", "a\u2028b")
@example("app_type", "a/b/../c")
def test_any_value_is_harmless(field: str, text: str) -> None:
    value_is_harmless(field, text)


def value_is_harmless(field: str, text: str) -> None:
    """It adds no segment, no field and no second substitution; what cannot stand in a location is refused."""
    target = row(**{field: text})
    for name in ("TARGET_APP_VERSION", "TARGET_APP_TYPE", "TARGET_APP_GROUP", "TARGET_APP_RESOURCE"):
        found = rejected_or_resolved(target, "spec.backend.s3.prefix ", backend=s3(f"top/${{{name}:-none}}/end"))
        if found is not None:
            assert re.fullmatch(r"top/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?/end", prefix(found)), prefix(found)
            assert ".." not in prefix(found)
            assert len(prefix(found)) <= 253 + 8
    plain = {"name": "t", "params": [{"name": "p", "value": "<${TARGET_APP_VERSION:-}|${TARGET_APP_TYPE:-}>"}]}
    found = rejected_or_resolved(target, "spec.task.params.0.value ", task=plain)
    if found is not None:
        task = found.configuration["task"]
        assert shape(task) == shape(plain)
        assert task["params"][0]["value"] == f"<{target.app_version}|{target.app_type}>", "put in once, as it is"
        assert not re.search(r"[\x00-\x1f\x7f]", task["params"][0]["value"])


def rejected_or_resolved(target: TargetRow, where: str, **spec: Any) -> Resolved | None:
    try:
        return resolved(target, **spec)
    except Refusal as error:
        refusal = error
    said = str(refusal)
    assert refusal.reason is Reason.VARIABLE_REJECTED
    assert said.startswith(where)
    assert said.isprintable()
    return None


@pytest.mark.parametrize("variable", ["TARGET_APP_TYPE", "TARGET_API_VERSION"])
def test_the_way_out_is_named(variable: str) -> None:
    with pytest.raises(Refusal, match=r"; use \$\{TARGET_"):
        resolved(row(), backend=s3(f"${{{variable}}}"))


def test_a_storage_secret_is_no_part_of_the_location() -> None:
    backend = s3(secret="${TARGET_NAME}-storage")
    assert resolved(row(), backend=backend).storage_secret == "shop-storage"


# overrides


def test_a_schedule_may_be_a_template() -> None:
    template = "${TARGET_APP_VERSION} 2 * * *"
    assert resolved(row(app_version="7"), schedule=template).configuration["schedule"] == "7 2 * * *"
    with pytest.raises(Refusal) as refusal:
        resolved(row(app_version="noon"), schedule=template)
    assert (refusal.value.reason, refusal.value.field) == (Reason.INVALID_SCHEDULE, "spec.schedule")
    assert "schedule" not in resolved(row(), schedule=None).configuration


def test_params_replace_and_follow() -> None:
    task = {"name": "t", "params": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}
    target = row(annotations={PARAMS_PREFIX + "c": "3", PARAMS_PREFIX + "a": "9"})
    assert resolved(target, task=task).configuration["task"]["params"] == [
        {"name": "a", "value": "9"},
        {"name": "b", "value": "2"},
        {"name": "c", "value": "3"},
    ]
    assert resolved(target).configuration["task"] == {
        "params": [{"name": "a", "value": "9"}, {"name": "c", "value": "3"}]
    }


def test_only_workloads_have_a_pod_template() -> None:
    assert [kind for kind in TARGETS if not needs_pod_template(row(kind))] == ["PersistentVolumeClaim", "AppBinding"]


# blueprints that nobody can use


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"backend": {}}, "spec.backend: configures no provider"),
        ({"backend": None}, "spec.backend: configures no provider"),
        ({"backend": {**s3(), "gcs": {"bucket": "b"}}}, "configures s3 and gcs"),
        ({"schedule": "noon"}, "spec.schedule 'noon'"),
        ({"backend": s3("${TARGET_NAMSPACE}")}, "no such variable (did you mean ${TARGET_NAMESPACE}?); known are"),
        ({"backend": s3("${target_name}")}, "no such variable (did you mean ${TARGET_NAME}?); known are"),
        ({"backend": s3("${TARGET_NOPE}")}, "spec.backend.s3.prefix: ${TARGET_NOPE} no such variable"),
        ({"backend": s3("${TARGET_NAME")}, "spec.backend.s3.prefix: '${' at character 1 is never closed"),
        ({"task": {"name": "${TARGET_NAME##x}"}}, "spec.task.name: '${TARGET_NAME##x}' at character 1"),
        (
            {"task": {"params": [{"name": "a", "value": "${HOME}"}]}},
            "spec.task.params.0.value: ${HOME} no such variable",
        ),
        ({"backupNamespace": "a/b"}, "spec.backupNamespace 'a/b'"),
    ],
)
def test_problems_of_a_blueprint(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        resolved(row(), **spec)
    assert refusal.value.reason is Reason.INVALID_BLUEPRINT
    assert said in str(refusal.value)


def test_all_problems_are_told_at_once_and_in_bounds() -> None:
    spec = blueprint(task={"name": "".join(f"${{V{i}}}" for i in range(50))}, schedule="noon")["spec"]
    found = compile_blueprint(
        BlueprintRow(name="n", uid="u", resource_version=1, generation=1, deleting=False, spec=canonical(spec))
    )
    assert len(found.problems) == 51
    assert "${V0}" in found.invalid
    assert found.invalid.endswith("and 41 more")
    with pytest.raises(Refusal) as refusal:
        resolve(row(), found, None)
    assert "mend the blueprint" in str(refusal.value)


@pytest.mark.parametrize(
    "spec", [{"backend": s3("@")}, {"task": {"name": "@"}}, {"schedule": "@"}, {"repoNamespace": "@"}]
)
def test_any_text_in_a_template_is_used_or_refused(spec: dict[str, Any]) -> None:
    for text in TEXTS:
        try:
            found = resolved(row(), **json.loads(json.dumps(spec).replace('"@"', json.dumps(text))))
        except Refusal:
            continue
        path = found.location.partition("|")[2]
        assert not {".", ".."} & set(path.split("/"))
        assert "" not in path.split("/") or not path


def test_a_literal_schedule_is_seen_before_any_target() -> None:
    compiled = compile_blueprint(
        BlueprintRow(
            name="n", uid="u", resource_version=1, generation=1, deleting=False, spec=canonical({"schedule": "@daily"})
        )
    )
    assert schedule_of(compiled.template) == "@daily"
    assert schedule_of({"schedule": ""}) is None
