"""What is written into a Lease, and what is understood of one that somebody else wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.lease import Record, held_by, micro, parse_time, read, released
from informers.errors import DecodeError
from informers.resource import ObjectKey

KEY = ObjectKey("system", "autobackup")
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))


def lease(spec: Any = None, **metadata: Any) -> dict[str, Any]:
    found = {"name": "autobackup", "namespace": "system", "uid": "u", "resourceVersion": "7", **metadata}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": found, "spec": spec}


@pytest.mark.parametrize("at", [NOON, NOON.astimezone(TOKYO), NOON.astimezone(timezone(timedelta(hours=-3.5)))])
def test_times_are_utc_with_six_digits_whatever_the_zone(at: datetime) -> None:
    """The server takes no other form, and a local time with a Z behind it is wrong by the zone."""
    assert micro(at) == "2026-03-01T12:00:00.000000Z"
    assert micro(at + timedelta(microseconds=1)) == "2026-03-01T12:00:00.000001Z"


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_a_time_survives_the_way_there_and_back(at: datetime) -> None:
    assert parse_time(micro(at)) == at
    assert len(micro(at)) == 27


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.0Z",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00.000000000Z",
        "2026-03-01T21:00:00+09:00",
        "2026-03-01T12:00:00.000000+00:00",
    ],
)
def test_times_of_others_are_understood_in_whichever_form(text: str) -> None:
    assert parse_time(text) == NOON


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-01T12:00:00", "2026-13-01T12:00:00Z"])
def test_what_is_no_instant_is_none(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        "x",
        {},
        {"holderIdentity": None, "leaseDurationSeconds": None, "renewTime": None, "leaseTransitions": None},
        {"holderIdentity": 7, "leaseDurationSeconds": "15", "renewTime": {}, "leaseTransitions": True},
        {"leaseDurationSeconds": -1},
        {"leaseDurationSeconds": True},
    ],
)
def test_whatever_is_in_a_spec_it_is_read(spec: Any) -> None:
    assert read(lease(spec)).record == Record()


def test_what_is_in_it_is_read() -> None:
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 3, "renewTime": "r"}
    found = read(lease({**spec, "acquireTime": "t", "strategy": "OldestEmulationVersion"}))
    assert found.record == Record(holder="a", seconds=15.0, acquired="t", renewed="r", transitions=3)
    assert (found.revision, found.order, found.uid) == ("7", 7, "u")


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"metadata": None}, {"metadata": {}}, lease(resourceVersion="")]
)
def test_what_cannot_be_a_lease_is_an_error(document: Any) -> None:
    with pytest.raises(DecodeError):
        read(document)


def test_a_first_lease_has_no_version_and_no_uid() -> None:
    made = held_by("a", seconds=15, at=NOON, key=KEY, last=None)
    assert made["metadata"] == {"name": "autobackup", "namespace": "system"}
    assert made["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": micro(NOON),
        "renewTime": micro(NOON),
        "leaseTransitions": 0,
    }


def test_taking_counts_a_transition_and_renewing_does_not() -> None:
    taken = held_by("b", seconds=15, at=NOON, key=KEY, last=read(lease({"holderIdentity": "a", "leaseTransitions": 4})))
    assert taken["spec"]["leaseTransitions"] == 5
    renewed = held_by("b", seconds=15, at=NOON + timedelta(seconds=2), key=KEY, last=read(taken))
    assert renewed["spec"]["leaseTransitions"] == 5
    assert renewed["spec"]["acquireTime"] == micro(NOON)
    assert renewed["spec"]["renewTime"] == "2026-03-01T12:00:02.000000Z"


def test_what_we_do_not_know_is_kept_and_the_version_goes_along() -> None:
    theirs = lease(
        {"holderIdentity": "a", "preferredHolder": "x"}, labels={"team": "t"}, managedFields=[{"manager": "m"}]
    )
    for made in (held_by("b", seconds=15, at=NOON, key=KEY, last=read(theirs)), released(read(theirs), at=NOON)):
        assert made["spec"]["preferredHolder"] == "x"
        assert made["metadata"]["labels"] == {"team": "t"}
        assert (made["metadata"]["uid"], made["metadata"]["resourceVersion"]) == ("u", "7")
        assert "managedFields" not in made["metadata"]
    assert theirs["spec"] == {"holderIdentity": "a", "preferredHolder": "x"}, "the known version is not changed"


def test_released_is_held_by_nobody_for_a_second() -> None:
    made = released(read(lease({"holderIdentity": "a", "leaseTransitions": 4, "leaseDurationSeconds": 15})), at=NOON)
    assert read(made).record == Record("", 1.0, micro(NOON), micro(NOON), 4)
