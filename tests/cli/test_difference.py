"""What a change looks like, and what is foreseen of an apply without asking."""

from __future__ import annotations

import json
from typing import Any

from autobackup.difference import Change, comparable, foreseen, render, unified

OURS = {
    "manager": "autobackup",
    "operation": "Apply",
    "fieldsV1": {
        "f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}, "f:annotations": {".": {}, "f:only": {}}},
        "f:spec": {"f:schedule": {}, "f:task": {"f:name": {}}, "f:target": {"f:paths": {}}},
    },
}
LIVE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "BackupConfiguration",
    "metadata": {
        "name": "x",
        "namespace": "n",
        "labels": {"a": "1", "b": "2", "theirs": "3"},
        "annotations": {"only": "ours"},
        "managedFields": [OURS, {**OURS, "manager": "other"}, {**OURS, "subresource": "status"}],
    },
    "spec": {"schedule": "old", "task": {"name": "t"}, "target": {"paths": ["/a", "/b"]}, "paused": True},
}


def test_an_apply_takes_back_what_is_ours_and_no_longer_wanted() -> None:
    wanted = {
        "apiVersion": "v1",
        "kind": "BackupConfiguration",
        "metadata": {"name": "x", "namespace": "n", "labels": {"a": "9"}},
        "spec": {"schedule": "new", "target": {"paths": ["/b"]}, "timeOut": "1h"},
    }
    after = foreseen(LIVE, wanted)
    assert after["spec"] == {"schedule": "new", "target": {"paths": ["/b"]}, "paused": True, "timeOut": "1h"}
    assert after["metadata"]["labels"] == {"a": "9", "theirs": "3"}
    assert "annotations" not in after["metadata"]


def test_an_apply_as_another_manager_takes_nothing_back() -> None:
    wanted = {"metadata": {"name": "x", "annotations": {"succeeded": "by"}}}
    after = foreseen(LIVE, wanted, manager="autobackup-succession")
    assert after["spec"] == LIVE["spec"]
    assert after["metadata"]["annotations"] == {"only": "ours", "succeeded": "by"}


def test_what_is_new_is_foreseen_as_it_is() -> None:
    assert foreseen(None, {"spec": {"a": 1}}) == {"spec": {"a": 1}}


def test_what_the_server_keeps_for_itself_is_no_difference() -> None:
    noise = {"resourceVersion": "5", "generation": 3, "uid": "u", "creationTimestamp": "t", "managedFields": []}
    noisy = {**LIVE, "metadata": {**LIVE["metadata"], **noise}, "status": {"phase": "Ready"}}
    assert comparable(noisy) == comparable(LIVE)


def change(before: object, after: object) -> Change:
    return Change("Repository", "n", "x", before, after)  # type: ignore[arg-type]


def test_actions() -> None:
    assert change(None, {}).action == "create"
    assert change({}, None).action == "delete"
    assert change({"a": 1}, {"a": 2}).action == "update"
    assert change({"a": 1, "b": 2}, {"b": 2, "a": 1}).action == "unchanged"


def test_a_diff_shows_the_fields_that_change_whatever_their_order() -> None:
    text = unified(change({"b": {"y": 1, "x": [1, 2]}, "a": "s"}, {"a": "s", "b": {"x": [1, 3], "y": 1}}))
    assert text.splitlines()[:2] == ["--- live: Repository n/x", "+++ update: Repository n/x"]
    assert [line for line in text.splitlines()[2:] if line[0] in "+-"] == ["-  - 2", "+  - 3"]


def test_other_formats() -> None:
    found = [change(None, {"a": 1}), change({"a": 1}, None)]
    assert render(found, "name") == "repository.stash.appscode.com/x\n" * 2
    loaded = json.loads(render(found, "json"))["changes"]
    assert [(c["action"], c["before"], c["after"]) for c in loaded] == [
        ("create", None, {"a": 1}),
        ("delete", {"a": 1}, None),
    ]
    assert render([], None) == ""
