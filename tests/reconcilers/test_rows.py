"""Rows: what is kept of an object, that odd objects are no obstacle, and that equal means equal."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers import marks
from reconcilers.annotations import BLUEPRINT
from reconcilers.kinds import TARGETS
from reconcilers.location import PROVIDERS
from reconcilers.rows import (
    TargetRow,
    project_blueprint,
    project_configuration,
    project_repository,
    target_projection,
)
from tests.reconcilers.objects import blueprint, opting_in, repository, target
from tests.reconcilers.sights import SHOP, bc, opted_in, repo

METADATA = {"name": "n", "namespace": "ns", "uid": "u", "resourceVersion": "7"}


def live(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "uid": "u", "resourceVersion": "7", "generation": 3}}


def project(obj: dict[str, Any]) -> TargetRow | None:
    return target_projection(obj["kind"]).project(live(obj))


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_what_is_kept_of_a_target(kind: str) -> None:
    found = project(target(kind))
    assert found is not None
    assert (found.key, found.uid, found.resource_version) == ((kind, "demo", "shop"), "u", 7)
    assert found.annotations == ((BLUEPRINT, "nightly"),)
    assert found.ref.api_version == TARGETS[kind].resource.api_version
    assert (found.app_type, found.app_version) == (
        ("kubedb.com/postgres", "11.9") if kind == "AppBinding" else ("", "")
    )
    assert found.generation == (0 if kind in ("AppBinding", "PersistentVolumeClaim") else 3)


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_what_is_not_annotated_is_not_kept(kind: str) -> None:
    for found in ({}, {"app": "x"}, {"stash.appscode.com/schedule": "@daily"}):
        assert project(target(kind, annotated=found)) is None


def test_a_change_that_does_not_matter_leaves_the_row_equal() -> None:
    one = live(target("PersistentVolumeClaim"))
    other = copy.deepcopy(one)
    other["metadata"].update(resourceVersion="9", labels={"x": "y"}, generation=5, finalizers=["x"])
    other["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    row = target_projection("PersistentVolumeClaim").project
    assert row(one) == row(other)
    other["metadata"]["annotations"]["stash.appscode.com/schedule"] = "@daily"
    assert row(one) != row(other)


def test_blueprints_of_a_row() -> None:
    for value, names in (("a, b", ("a", "b")), ("", ()), ("A", ()), ("[", ())):
        found = project(target(annotated=opting_in(value)))
        assert found is not None
        assert found.blueprints == names


def test_what_is_kept_of_our_objects() -> None:
    world = opted_in()
    world.back_up(repo())
    held = project_repository(world.objects[repo()])
    assert held.mark == marks.Mark(SHOP, "nightly")
    assert held.location == "s3:s3.amazonaws.com:backups|stash-backup/demo/deployment/shop"
    assert (held.has_snapshots, held.storage_secret, held.succeeded_by) == (True, "storage", "")
    assert held.created
    configured = project_configuration(world.objects[bc()])
    assert configured.fingerprint
    assert configured.pod_template.startswith('{"generation":1')


@pytest.mark.parametrize(
    ("status", "holds"),
    [
        ({}, False),
        ({"phase": "Ready"}, False),
        ({"snapshotCount": 0}, False),
        ({"snapshotCount": 1}, True),
        ({"firstBackupTime": "2024-05-01T00:00:00Z"}, True),
        ({"lastBackupTime": "2024-05-01T00:00:00Z"}, True),
    ],
)
def test_a_repository_that_holds_snapshots(status: dict[str, Any], holds: bool) -> None:
    obj = live(repository("r"))
    obj["status"] = status
    assert project_repository(obj).has_snapshots is holds


def test_of_foreign_objects_only_name_and_location_are_kept() -> None:
    found = project_repository(live(repository("mine")))
    assert (found.mark, found.storage_secret, found.fingerprint) == (None, "", "")
    assert found.location.endswith("|elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        {"labels": None},
        {"labels": {marks.MANAGED_BY: "helm"}},
        {"annotations": None},
        {"annotations": {marks.TARGET: "Deployment"}},
        {"annotations": {marks.TARGET: "/demo/shop"}},
        {"annotations": {marks.TARGET: "Deployment/demo/"}},
    ],
)
def test_without_all_marks_an_object_is_not_ours(change: dict[str, Any]) -> None:
    world = opted_in()
    obj = copy.deepcopy(world.objects[bc()])
    obj["metadata"].update(change)
    assert project_configuration(obj).mark is None


def test_a_location_that_cannot_be_told_is_none() -> None:
    world = opted_in()
    for backend in ({}, {"rest": {"url": "http://[::1"}}, {"s3": {"bucket": "b", "prefix": "../x"}}, None):
        obj = copy.deepcopy(world.objects[repo()])
        obj["spec"]["backend"] = backend
        assert project_repository(obj).location == ""


# odd but possible

texts = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | texts
some_annotations = st.none() | st.dictionaries(
    st.sampled_from([BLUEPRINT, marks.TARGET, marks.BLUEPRINT, marks.POD_TEMPLATE, marks.SUCCEEDED_BY, "x"]), texts
)
metadata = st.fixed_dictionaries(
    {name: st.just(value) for name, value in METADATA.items()},
    optional={
        "annotations": some_annotations,
        "labels": st.none() | st.just({marks.MANAGED_BY: marks.PRODUCT}) | st.dictionaries(texts, texts, max_size=2),
        "ownerReferences": st.none() | st.lists(st.fixed_dictionaries({"uid": texts}), max_size=1),
        "managedFields": st.none() | st.just([]),
        "generation": st.none() | st.integers(0, 9),
        "deletionTimestamp": st.none() | st.just("2024-05-01T00:00:00Z"),
        "creationTimestamp": st.none(),
    },
)
backends = st.dictionaries(
    st.sampled_from(PROVIDERS), st.none() | st.dictionaries(st.sampled_from(["bucket", "url", "prefix"]), scalars)
)
conditions = st.lists(
    st.dictionaries(st.sampled_from(["type", "status", "reason", "message", "lastTransitionTime"]), texts), max_size=2
)
objects = st.fixed_dictionaries(
    {"metadata": metadata},
    optional={
        "spec": st.none()
        | st.fixed_dictionaries({}, optional={"backend": st.none() | backends, "type": scalars, "version": scalars}),
        "status": st.none()
        | st.fixed_dictionaries({}, optional={"conditions": st.none() | conditions, "snapshotCount": scalars}),
    },
)


@given(objects)
@example({"metadata": {**METADATA, "labels": {marks.MANAGED_BY: marks.PRODUCT}, "annotations": {marks.TARGET: "D/a/b"}},
          "spec": {"backend": {"rest": {"url": "http://[::1"}}}})  # fmt: skip
@example({"metadata": {**METADATA, "annotations": {BLUEPRINT: ""}}, "spec": None})
def test_odd_objects_are_projected(obj: dict[str, Any]) -> None:
    for kind in TARGETS:
        row = target_projection(kind).project(obj)
        assert row is None or hash(row)
    for other in (project_blueprint(obj), project_repository(obj), project_configuration(obj)):
        assert hash(other)
        assert other.deleting is bool(obj["metadata"].get("deletionTimestamp"))


def test_a_blueprint_row_is_equal_when_only_times_differ() -> None:
    obj = live(blueprint())
    condition = {"type": "Ready", "status": "True", "reason": "x", "message": "", "observedGeneration": 1}
    obj["status"] = {"matched": 1, "conditions": [{**condition, "lastTransitionTime": "2024-05-01T00:00:00Z"}]}
    other = copy.deepcopy(obj)
    other["status"]["conditions"][0]["lastTransitionTime"] = "2025-05-01T00:00:00Z"
    assert project_blueprint(obj) == project_blueprint(other)
    other["status"]["matched"] = 2
    assert project_blueprint(obj) != project_blueprint(other)
