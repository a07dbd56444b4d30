"""The fingerprint of what we own is that of what we applied, if and only if an apply would change nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilers.fields import desired_fingerprint, digest, live_fingerprint, prune
from tests.reconcilers import ssa

names = st.text(alphabet='abc.:/f\u00e9"', min_size=1, max_size=4)
leaves = (
    st.booleans()
    | st.integers(-5, 5)
    | st.text(max_size=6)
    | st.lists(st.integers(0, 3) | st.text(max_size=3), max_size=3)
)
trees = st.recursive(leaves, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8)
maps = st.dictionaries(names, trees, max_size=4)
owners = st.lists(
    st.fixed_dictionaries({"uid": st.sampled_from("uvw"), "name": st.text(max_size=3)}),
    max_size=1,
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "n", "namespace": "ns"}
    labels = draw(st.dictionaries(names, st.text(max_size=4), min_size=1, max_size=3))
    metadata["labels"] = labels
    spec = draw(maps)
    if owner := draw(owners):
        metadata["ownerReferences"] = owner
    return {"apiVersion": "v1", "kind": "K", "metadata": metadata, "spec": {**spec, "always": 1}}


def applied(live: dict[str, Any] | None, body: dict[str, Any], manager: str = "autobackup") -> dict[str, Any]:
    found = ssa.apply(live, body, manager=manager, force=True)
    found["metadata"].setdefault("uid", "1")
    return found


@given(bodies())
def test_what_was_applied_is_live(body: dict[str, Any]) -> None:
    assert live_fingerprint(applied(None, body)) == desired_fingerprint(body)
    with_uid = {**body, "metadata": {**body["metadata"], "uid": "1"}}
    assert desired_fingerprint(with_uid) == desired_fingerprint(body)


@given(bodies(), bodies())
def test_a_second_apply_replaces_the_first_whatever_it_was(first: dict[str, Any], second: dict[str, Any]) -> None:
    assume(not clash(first["spec"], second["spec"]))
    live = applied(applied(None, first), second)
    assert live_fingerprint(live) == desired_fingerprint(second)
    same = ssa.leaves(first) == ssa.leaves(second)
    assert (live_fingerprint(applied(None, first)) == desired_fingerprint(second)) is same


def clash(one: Any, other: Any) -> bool:
    """Whether a field is a map in one and something else, or an empty map, in the other: no schema allows that."""
    if isinstance(one, dict) and isinstance(other, dict):
        return (not one) != (not other) or any(clash(one[k], other[k]) for k in one.keys() & other.keys())
    return isinstance(one, dict) or isinstance(other, dict)


@given(bodies(), st.data())
def test_what_others_add_does_not_matter(body: dict[str, Any], data: st.DataObject) -> None:
    live = applied(None, body)
    extra = copy.deepcopy(live)
    extra["status"] = {"phase": "Ready"}
    extra["metadata"].update(finalizers=["x"], annotations={"other": "1"}, resourceVersion="7", generation=2)
    extra["metadata"]["labels"]["not-ours"] = "x"
    extra["spec"]["not-ours"] = data.draw(trees)
    updated = ssa.update(live, extra, manager="kubectl")
    assert live_fingerprint(updated) == desired_fingerprint(body)


@given(bodies(), st.data())
def test_every_change_of_an_owned_field_is_seen(body: dict[str, Any], data: st.DataObject) -> None:
    live = applied(None, body)
    path = data.draw(st.sampled_from(sorted(ssa.leaves(body))))
    changed = copy.deepcopy(live)
    if data.draw(st.booleans()):
        ssa.remove(changed, path)
    else:
        value: Any = "changed!"
        ssa.put(changed, path, {**ssa.look(live, path), "name": value} if path[-1].startswith("k:") else value)
    assert live_fingerprint(ssa.update(live, changed, manager="kubectl")) != desired_fingerprint(body)
    stolen = copy.deepcopy(changed)
    stolen["metadata"]["managedFields"] = live["metadata"]["managedFields"]
    assert live_fingerprint(stolen) != desired_fingerprint(body), "seen even where the owner was not moved"


@given(bodies())
def test_the_order_of_keys_does_not_matter(body: dict[str, Any]) -> None:
    turned = {key: body[key] for key in reversed(body)}
    turned["spec"] = {key: body["spec"][key] for key in reversed(body["spec"])}
    assert desired_fingerprint(turned) == desired_fingerprint(body)


def test_nothing_applied_has_no_fingerprint() -> None:
    without: list[dict[str, Any]] = [{}, {"managedFields": None}, {"managedFields": []}]
    for metadata in without:
        assert live_fingerprint({"metadata": metadata}) == ""
    body = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"a": 1}}
    assert live_fingerprint(applied(None, body, manager="kubectl")) == ""


def test_only_our_apply_counts() -> None:
    body = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"a": 1}}
    live = applied(None, body)
    entry = live["metadata"]["managedFields"][0]
    for difference in ({"operation": "Update"}, {"manager": "kubectl"}, {"subresource": "status"}):
        live["metadata"]["managedFields"] = [{**entry, **difference}]
        assert live_fingerprint(live) == ""
    live["metadata"]["managedFields"] = [{**entry, "fieldsV1": None}]
    assert live_fingerprint(live) != ""


def test_a_taken_over_field_is_seen_and_won_back() -> None:
    body = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"a": 1, "b": 1}}
    live = applied(None, body)
    rival = applied(live, {**body, "spec": {"a": 2}}, manager="rival")
    assert live_fingerprint(rival) != desired_fingerprint(body)
    assert live_fingerprint(applied(rival, body)) == desired_fingerprint(body)


def test_an_empty_map_that_somebody_fills_looks_changed() -> None:
    """The one thing that field owners cannot tell; applied once more, the result is remembered."""
    body = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"a": {}}}
    live = applied(None, body)
    live["spec"]["a"]["default"] = 1
    assert live_fingerprint(live) != desired_fingerprint(body)


def test_sets_and_positions_in_field_paths() -> None:
    fields: dict[str, Any] = {
        "f:spec": {"f:set": {'v:"a"': {}, 'v:"z"': {}}, "f:at": {"i:1": {}, "i:7": {}}, "f:gone": {"f:x": {}}}
    }
    live = {
        "metadata": {"managedFields": [{"manager": "autobackup", "operation": "Apply", "fieldsV1": fields}]},
        "spec": {"set": ["b", "a"], "at": [0, 1], "gone": 5},
    }
    assert live_fingerprint(live) == digest({"spec": {"set": ["a", None], "at": [1, None], "gone": {"x": None}}})


def test_prune_drops_nulls_only() -> None:
    assert prune({"a": None, "b": {"c": None, "d": 0}, "e": [{"f": None}], "g": "", "h": []}) == {
        "b": {"d": 0},
        "e": [{}],
        "g": "",
        "h": [],
    }


@pytest.mark.parametrize("content", [{"a": "\ud800"}, {"\U0001f4a9": 1}, [], None])
def test_anything_has_a_digest(content: Any) -> None:
    assert len(digest(content)) == 24
