"""Names of generated objects, marks on them, and who must be looked at again when something changes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilers import mapping, marks
from reconcilers.errors import Refusal, clip, show
from reconcilers.keys import Key
from reconcilers.kinds import TARGETS
from reconcilers.naming import base_name, distinct_name, is_label, is_subdomain, shorten
from reconcilers.reasons import Reason
from reconcilers.rows import project_blueprint, project_configuration, project_repository
from tests.reconcilers.sights import NIGHTLY, SHOP, bc, opted_in, repo

subdomains = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?(\.[a-z0-9]{1,40}){0,3}\Z")
labels = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
keys = st.builds(Key, st.sampled_from(sorted(TARGETS)), labels, subdomains)


@pytest.mark.parametrize(
    ("kind", "namespace", "blueprint", "name"),
    [
        ("Deployment", "demo", None, "deploy-shop"),
        ("StatefulSet", "demo", None, "sts-shop"),
        ("DaemonSet", "demo", None, "ds-shop"),
        ("PersistentVolumeClaim", "demo", None, "pvc-shop"),
        ("AppBinding", "vault", None, "demo-app-shop"),
        ("Deployment", "demo", "nightly", "deploy-shop-nightly"),
        ("Deployment", "vault", "nightly", "demo-deploy-shop-nightly"),
    ],
)
def test_base_names(kind: str, namespace: str, blueprint: str | None, name: str) -> None:
    assert base_name(Key(kind, "demo", "shop"), namespace=namespace, blueprint=blueprint) == name


@given(target=keys, namespace=labels, blueprint=st.none() | subdomains, identity=st.text(max_size=20))
def test_names_are_names(target: Key, namespace: str, blueprint: str | None, identity: str) -> None:
    base = base_name(target, namespace=namespace, blueprint=blueprint)
    for name in (base, distinct_name(base, identity)):
        assert is_subdomain(name)
        assert len(name) <= 63
    assert distinct_name(base, identity) != base


@given(st.text("ab-.", min_size=60, max_size=300), st.text("ab-.", min_size=60, max_size=300))
def test_what_is_cut_stays_distinct(one: str, other: str) -> None:
    assume(one != other)
    assert shorten(one) != shorten(other)


@given(keys, subdomains, st.text("abc-", max_size=36))
def test_marks_are_read_back(target: Key, blueprint: str, uid: str) -> None:
    mark = marks.Mark(target, blueprint, uid)
    found = {"labels": marks.labels_of(mark), "annotations": marks.annotations_of(mark)}
    assert marks.read(found) == mark
    for value in found["labels"].values():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a" * 64, "\u00e9", "a\n"])
def test_no_label(name: str) -> None:
    assert not is_label(name)


def test_subdomains() -> None:
    assert all(map(is_subdomain, ["a", "a.b", "a-b.c", "x" * 253]))
    assert not any(map(is_subdomain, ["", ".", "a.", "a..b", "a.-b", "x" * 254, "a/b"]))


# texts for people


def test_a_refusal_names_field_value_and_way_out() -> None:
    refusal = Refusal(Reason.INVALID_ANNOTATION, "field", "is wrong", value="it's", hint="mend it")
    assert str(refusal) == """field "it's": is wrong; mend it"""


@given(st.text(max_size=300), st.text(max_size=3000), st.text(max_size=3000), st.text(max_size=3000))
def test_a_refusal_is_short(field: str, problem: str, value: str, hint: str) -> None:
    said = str(Refusal(Reason.INVALID_ANNOTATION, field, problem, value=value, hint=hint))
    assert len(said) <= 600


@given(st.text(max_size=200) | st.just("\U000e0001" * 200) | st.just("\x00" * 200))
def test_a_shown_value_is_printable_and_short(value: str) -> None:
    assert show(value).isprintable()
    assert len(show(value)) <= 160
    assert clip(value, 10) == value or clip(value, 10).endswith("\u2026")


def test_every_reason_is_camel_case_and_explained() -> None:
    for reason in Reason:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", reason.value)
        assert reason.__doc__
        assert reason.__doc__.endswith(".")
    assert Reason.NAME_CONFLICT.warning
    assert not Reason.CONFIGURED.warning
    assert Reason.__members__["NAME_CONFLICT"] == "NameConflict"


# who must be looked at again


def test_a_spec_of_a_blueprint_concerns_targets_and_its_status_does_not() -> None:
    world = opted_in()
    row = project_blueprint(world.objects[NIGHTLY])
    assert mapping.affects_targets(None, row)
    assert mapping.affects_targets(row, None)
    assert mapping.affects_targets(row, replace(row, spec="{}"))
    assert mapping.affects_targets(row, replace(row, uid="other")), "created anew"
    assert not mapping.affects_targets(row, replace(row, status="{}", generation=9))
    assert mapping.blueprint_key("nightly") == NIGHTLY


def test_generated_objects_concern_the_targets_of_their_marks() -> None:
    world = opted_in()
    row = project_configuration(world.objects[bc()])
    other = replace(row, mark=marks.Mark(Key("Deployment", "demo", "other"), "nightly"))
    assert list(mapping.owner_keys(None, row)) == list(mapping.owner_keys(row, None)) == [SHOP]
    assert list(mapping.owner_keys(row, row)) == [SHOP]
    assert list(mapping.owner_keys(row, other)) == [SHOP, other.mark.target] if other.mark else False
    assert list(mapping.owner_keys(replace(row, mark=None), None)) == []
    assert list(mapping.mark_index(row)) == [SHOP]
    assert list(mapping.mark_index(replace(row, mark=None))) == []
    target = world.target(SHOP)
    assert target is not None
    assert list(mapping.target_keys(None, target)) == list(mapping.target_keys(target, None)) == [SHOP]
    assert list(mapping.blueprint_index(target)) == ["nightly"]


def test_what_frees_a_name_or_a_location() -> None:
    world = opted_in()
    held, configured = project_repository(world.objects[repo()]), project_configuration(world.objects[bc()])
    for row in (held, configured):
        assert not mapping.frees_something(None, row)
        assert not mapping.frees_something(row, replace(row, fingerprint="x", deleting=True))
        assert mapping.frees_something(row, None)
        assert mapping.frees_something(row, replace(row, uid="other"))
        assert mapping.frees_something(row, replace(row, mark=None))
    assert mapping.frees_something(held, replace(held, location="elsewhere"))
