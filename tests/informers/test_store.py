"""The store against a dictionary of the truth, and its rules one by one: S1-S10."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from informers import Added, Deleted, Delta, ObjectKey, Store, Updated


@dataclass(frozen=True, slots=True)
class Thing:
    namespace: str
    name: str
    uid: str = "u1"
    value: str = "v"
    resource_version: int = field(default=1, compare=False)


KEY = ObjectKey("ns", "a")
A = Thing("ns", "a")


def by_value(thing: Thing) -> tuple[str, ...]:
    if thing.value == "broken":
        raise ValueError("no index for this one")
    return tuple(thing.value.split("+"))


def make() -> Store[Thing]:
    return Store({"value": by_value, "uid": lambda thing: (thing.uid,)})


def changes(store: Store[Any], scope: str, draft: Any, **rest: Any) -> list[Any]:
    return [delta for delta in store.replace(scope, draft, **rest) if delta is not None]


def test_s1_another_uid_is_another_object() -> None:
    store = make()
    store.upsert(A)
    second = replace(A, uid="u2", resource_version=2)
    assert store.upsert(second) == (Deleted(A, final_state_unknown=True), Added(second, initial=False))
    assert store.index("uid", "u1") == ()
    assert changes(store, "", store.draft("", [replace(A, uid="u3")]), revision=3) == [
        Deleted(second, final_state_unknown=True),
        Added(replace(A, uid="u3"), initial=False),
    ]


def test_s3_replace_tells_deletes_first_and_the_rest_in_list_order() -> None:
    store = make()
    changes(store, "", store.draft("", [A, Thing("ns", "b"), Thing("ns", "c")]), revision=1, initial=True)
    changed = Thing("ns", "c", value="w", resource_version=9)
    deltas = changes(
        store, "", store.draft("", [Thing("ns", "z"), changed, Thing("ns", "b"), Thing("ns", "y")]), revision=9
    )
    assert deltas == [
        Deleted(A, final_state_unknown=True),
        Added(Thing("ns", "z"), initial=False),
        Updated(Thing("ns", "c"), changed),
        Added(Thing("ns", "y"), initial=False),
    ]
    assert store.equal == 1
    assert store.last_sync_rv() == 9


def test_s6_an_equal_relisted_row_is_not_an_update_but_its_version_is_kept() -> None:
    store = make()
    store.upsert(A)
    assert changes(store, "", store.draft("", [replace(A, resource_version=50)]), revision=50) == []
    assert store.get(KEY).resource_version == 50  # type: ignore[union-attr]


def test_s7_an_older_row_never_replaces_a_newer_one() -> None:
    store = make()
    newer = replace(A, resource_version=5)
    store.upsert(newer)
    assert store.upsert(replace(A, value="old", resource_version=4)) == ()
    assert store.upsert(replace(A, uid="u0", resource_version=4)) == ()
    assert store.remove(KEY, uid="u1", revision=4) == ()
    assert store.get(KEY) is newer
    assert store.stale == 3


def test_s7_versions_that_are_no_numbers_are_accepted() -> None:
    store = make()
    store.upsert(replace(A, resource_version=5))
    unknown = replace(A, value="w", resource_version=0)
    assert len(store.upsert(unknown)) == 1
    assert len(store.remove(KEY, uid="u1", revision=0)) == 1


def test_a_delete_of_another_life_is_a_tombstone() -> None:
    store = make()
    store.upsert(A)
    assert store.remove(KEY, uid="u9", revision=7) == (Deleted(A, final_state_unknown=True),)
    store.upsert(A)
    assert store.remove(KEY, uid="u1", revision=7) == (Deleted(A, final_state_unknown=False),)
    assert store.remove(KEY, uid="u1", revision=7) == ()


def test_s8_the_mark_moves_forward_only_but_for_a_replace() -> None:
    store = make()
    assert store.last_sync_rv() == 0
    store.advance("", 7)
    store.advance("", 5)
    assert store.last_sync_rv() == store.last_sync_rv("any") == 7
    changes(store, "", store.draft("", ()), revision=3)
    assert store.last_sync_rv() == 3


def test_s8_marks_of_several_namespaces() -> None:
    store = make()
    store.advance("one", 7)
    store.advance("two", 5)
    assert (store.last_sync_rv("one"), store.last_sync_rv("two"), store.last_sync_rv()) == (7, 5, 5)
    assert store.last_sync_rv("three") == 0


def test_s9_an_index_function_that_raises_costs_one_entry() -> None:
    failures: list[tuple[str, ObjectKey]] = []
    store: Store[Thing] = Store(
        {"value": by_value, "uid": lambda thing: (thing.uid,)},
        on_index_failure=lambda index, key, error: failures.append((index, key)),
    )
    broken = replace(A, value="broken")
    store.upsert(broken)
    assert failures == [("value", KEY)]
    assert store.get(KEY) is broken
    assert store.index("uid", "u1") == (broken,)
    store.upsert(replace(A, value="mended", resource_version=2))
    assert len(store.index("value", "mended")) == 1


def test_s9_values_that_cannot_be_looked_up_are_such_a_failure() -> None:
    failures: list[str] = []
    bad: Any = lambda thing: ([],)  # noqa: E731
    store: Store[Thing] = Store({"bad": bad}, on_index_failure=lambda index, key, error: failures.append(index))
    store.upsert(A)
    assert failures == ["bad"]


def test_s9_values_that_nobody_has_any_more_are_forgotten() -> None:
    store = make()
    for number in range(100):
        store.upsert(replace(A, value=f"v{number}", resource_version=number + 1))
    assert store.index_values("value") == ("v99",)
    store.remove(KEY, uid="u1", revision=1000)
    assert store.index_values("value") == ()
    assert store.index_values("uid") == ()


def test_an_index_answers_in_the_order_of_arrival() -> None:
    store = make()
    names = ["m", "a", "z", "b"]
    for name in names:
        store.upsert(Thing("ns", name))
    assert [thing.name for thing in store.index("value", "v")] == names


def test_reads_are_snapshots() -> None:
    store = make()
    store.upsert(A)
    rows, found = store.rows(), store.index("value", "v")
    store.remove(KEY, uid="u1", revision=2)
    assert list(rows) == [A]
    assert found == (A,)


def test_r20_rows_that_are_kept_through_a_replace() -> None:
    store = make()
    changes(store, "", store.draft("", [A, Thing("ns", "b"), Thing("ms", "c")]), revision=1)
    assert changes(store, "", store.draft("", ()), revision=2, keep={KEY}) == [
        Deleted(Thing("ns", "b"), final_state_unknown=True),
        Deleted(Thing("ms", "c"), final_state_unknown=True),
    ]
    assert changes(store, "", store.draft("", ()), revision=3, keep_missing=True) == []
    assert list(store.rows()) == [A]
    assert store.index("value", "v") == (A,)


def test_an_unknown_index_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        make().index("nothing", "x")


def test_rows_are_frozen() -> None:
    with pytest.raises(AttributeError):
        A.value = "x"  # type: ignore[misc]


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of changes: what the deltas say, the store says, and the dictionary says, is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.store = make()
        self.truth: dict[ObjectKey, Thing] = {}
        self.told: dict[ObjectKey, Thing] = {}
        self.revision = 0

    keys = st.builds(ObjectKey, st.sampled_from(["n1", "n2"]), st.sampled_from(["a", "b", "c"]))
    values = st.sampled_from(["x", "y", "x+y", "broken"])
    uids = st.sampled_from(["u1", "u2"])

    def row(self, key: ObjectKey, uid: str, value: str) -> Thing:
        self.revision += 1
        return Thing(key.namespace, key.name, uid, value, self.revision)

    def hear(self, deltas: list[Delta[Thing]] | tuple[Delta[Thing], ...]) -> None:
        for delta in deltas:
            if isinstance(delta, Deleted):
                key = ObjectKey(delta.row.namespace, delta.row.name)
                assert self.told.pop(key) == delta.row
            elif isinstance(delta, Added):
                key = ObjectKey(delta.row.namespace, delta.row.name)
                assert key not in self.told
                self.told[key] = delta.row
            else:
                key = ObjectKey(delta.new.namespace, delta.new.name)
                assert self.told[key] == delta.old != delta.new
                assert delta.old.uid == delta.new.uid
                self.told[key] = delta.new

    @rule(key=keys, uid=uids, value=values)
    def upsert(self, key: ObjectKey, uid: str, value: str) -> None:
        self.truth[key] = self.row(key, uid, value)
        self.hear(self.store.upsert(self.truth[key]))

    @rule(key=keys, uid=uids, value=values, age=st.integers(1, 3))
    def upsert_late(self, key: ObjectKey, uid: str, value: str, age: int) -> None:
        known = self.truth.get(key)
        if known is not None and known.resource_version > age:
            stale = Thing(key.namespace, key.name, uid, value, known.resource_version - age)
            assert self.store.upsert(stale) == ()

    @rule(key=keys, uid=uids)
    def remove(self, key: ObjectKey, uid: str) -> None:
        self.truth.pop(key, None)
        self.revision += 1
        self.hear(self.store.remove(key, uid=uid, revision=self.revision))

    @rule(
        scope=st.sampled_from(["", "n1", "n2", "n3"]),
        content=st.dictionaries(keys, st.tuples(uids, values)),
        keep=st.sets(keys),
        keep_missing=st.booleans(),
    )
    def replace(
        self, scope: str, content: dict[ObjectKey, tuple[str, str]], keep: set[ObjectKey], keep_missing: bool
    ) -> None:
        rows = {key: self.row(key, *what) for key, what in content.items() if scope in ("", key.namespace)}
        for key in list(self.truth):
            if scope in ("", key.namespace) and key not in rows and key not in keep and not keep_missing:
                del self.truth[key]
        self.truth |= rows
        deltas = changes(
            self.store,
            scope,
            self.store.draft(scope, rows.values()),
            revision=self.revision,
            keep=keep,
            keep_missing=keep_missing,
        )
        kinds = [isinstance(delta, Deleted) for delta in deltas]
        assert kinds == sorted(kinds, reverse=True), "deletes first"
        self.hear(deltas)
        assert self.store.last_sync_rv(scope) == self.revision

    @invariant()
    def all_agree(self) -> None:
        assert {ObjectKey(row.namespace, row.name): row for row in self.store.rows()} == self.truth == self.told
        assert len(self.store) == len(self.truth)
        for key, row in self.truth.items():
            found = self.store.get(key)
            assert found is not None
            assert found.resource_version == row.resource_version
        for scope in ("", "n1", "n2", "n3"):
            assert self.store.holds(scope) == any(scope in ("", key.namespace) for key in self.truth)

    @invariant()
    def indexes_agree(self) -> None:
        expected: dict[str, set[Thing]] = {}
        for row in self.truth.values():
            for value in () if row.value == "broken" else by_value(row):
                expected.setdefault(value, set()).add(row)
        assert set(self.store.index_values("value")) == set(expected)
        for value, rows in expected.items():
            assert set(self.store.index("value", value)) == rows
        assert set(self.store.index_values("uid")) == {row.uid for row in self.truth.values()}


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
