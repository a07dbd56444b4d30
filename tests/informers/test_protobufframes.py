"""Events in protobuf: equal to those in JSON, whatever an object carries, and one error for whatever is none."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from informers import DecodeError, ObjectKey
from informers.frames import RawEvent, decode_line
from informers.protobuf import Malformed, read_fields
from informers.protobufframes import FrameSplitter, decode_frame, identify_frame
from tests.support import wirejson, wireproto
from tests.support.wireproto import integer, run

MARKER = b"example.com/"
KINDS = st.sampled_from(["ADDED", "MODIFIED", "DELETED"])

HOSTILE = ["example.com/", '"\\', "\x00\x12\x1a", '"\x00*', "備份 \U0001f4be", "k8s\x00", "", "x" * 200]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
names = st.one_of(
    st.from_regex(r"[a-z0-9]([-a-z0-9.:]{0,20}[a-z0-9])?", fullmatch=True),
    st.integers(100, 253).map(lambda size: "n" * size),
)
tables = st.dictionaries(st.one_of(texts, st.just("example.com/note")), texts, max_size=4)
moments = st.one_of(
    st.none(), st.datetimes().map(lambda moment: f"{moment.year:04}-{moment.strftime('%m-%dT%H:%M:%SZ')}")
)
owners = st.fixed_dictionaries(
    {"apiVersion": texts, "kind": texts, "name": texts, "uid": texts},
    optional={"controller": st.booleans(), "blockOwnerDeletion": st.booleans()},
)


@st.composite
def metadata(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "name": draw(names),
        "generateName": draw(st.sampled_from(["", "gen-"])),
        "namespace": draw(st.one_of(st.just(""), names)),
        "uid": draw(st.sampled_from(["", "0b0e-1", "93a8d5a5-8f5e-4a45-8bde-35fb7a7ee1a2"])),
        "resourceVersion": draw(st.sampled_from(["1", "123456789", "8888"])),
        "generation": draw(st.integers(0, 2**63 - 1)) or None,
        "creationTimestamp": draw(moments),
        "deletionTimestamp": draw(moments),
        "deletionGracePeriodSeconds": draw(st.one_of(st.none(), st.integers(0, 300))),
        "labels": draw(tables),
        "annotations": draw(st.one_of(tables, st.just({"large": "x" * 300_000}))),
        "ownerReferences": draw(st.lists(owners, max_size=2)),
        "finalizers": draw(st.lists(texts, max_size=2)),
        "managedFields": draw(st.lists(st.fixed_dictionaries({"manager": texts, "fieldsV1": tables}), max_size=2)),
    }


def both(kind: str, document: dict[str, Any]) -> tuple[bytes, bytes]:
    """The same event, in JSON and in protobuf."""
    status = document.get("kind") == "Status"
    line = wirejson.event(kind, document if status else wirejson.partial(document))
    (frame,) = FrameSplitter().feed(wireproto.event(kind, document))
    return line, frame


def plain(event: RawEvent) -> RawEvent:
    document = json.loads(json.dumps(event.document))
    document["metadata"].pop("managedFields", None)
    return event._replace(document=document)


@settings(max_examples=150, deadline=None)
@given(meta=metadata(), kind=KINDS)
def test_both_encodings_give_equal_events(meta: dict[str, Any], kind: str) -> None:
    line, frame = both(kind, {"metadata": meta})
    full = decode_frame(frame)
    assert full == plain(decode_line(line))
    skimmed = decode_frame(frame, marker=MARKER)
    assert skimmed[:5] == full[:5]
    if skimmed.document is not None:
        assert skimmed == full
    if any(MARKER.decode() in text for part in ("labels", "annotations") for text in meta[part]):
        assert skimmed.document is not None, "an object with the marker is never taken for one without"


def test_the_short_cut_is_taken() -> None:
    """What the test above compares would be equal if nothing were ever cut."""
    uid = "93a8d5a5-8f5e-4a45-8bde-35fb7a7ee1a2"
    meta = {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": "58", "managedFields": [{"manager": "m"}]}
    for given_ in (meta, {**meta, "namespace": ""}, {**meta, "generateName": "a-", "labels": {"a": "b" * 500}}):
        _, frame = both("ADDED", {"metadata": given_})
        event = decode_frame(frame, marker=MARKER)
        assert event == ("ADDED", given_["namespace"], "a", uid, "58", None)
    _, frame = both("ADDED", {"metadata": {**meta, "annotations": {"example.com/note": "x"}}})
    document = decode_frame(frame, marker=MARKER).document
    assert document is not None
    assert "managedFields" not in document["metadata"]


def test_managed_fields_are_skipped_by_their_length() -> None:
    """Nobody looks into them: they could be anything."""
    known = {"name": "a", "uid": "93a8d5a5", "resourceVersion": "5", "annotations": {"example.com/note": "x"}}
    meta = wireproto.metadata(known) + run(17, b"\xff" * 3000) * 3
    frame = wireproto.frame("ADDED", wireproto.wrapped("meta.k8s.io/v1", "PartialObjectMetadata", run(1, meta)))
    document = decode_frame(frame, marker=MARKER).document
    assert document is not None
    assert document["metadata"] == known


def test_fields_of_a_newer_server_are_skipped() -> None:
    unknown = (
        integer(40, 5) + run(41, "x") + wireproto.varint(42 << 3 | 1) + bytes(8) + wireproto.varint(365) + bytes(4)
    )
    meta = wireproto.metadata({"name": "a", "uid": "u", "resourceVersion": "5"}) + unknown
    raw = wireproto.wrapped("meta.k8s.io/v1", "PartialObjectMetadata", run(1, meta) + unknown) + unknown
    frame = run(1, "ADDED") + run(2, run(1, raw) + unknown) + unknown
    assert decode_frame(frame)[:5] == ("ADDED", "", "a", "u", "5")


def test_bytes_that_are_no_utf8_are_replaced_as_go_replaces_them() -> None:
    entry = run(12, run(1, "example.com/note") + run(2, b"a\xe5\x82b\xff\xed\xa0\x80"))
    meta = wireproto.metadata({"name": "a", "uid": "u", "resourceVersion": "5"}) + entry
    raw = wireproto.wrapped("meta.k8s.io/v1", "PartialObjectMetadata", run(1, meta))
    document = decode_frame(wireproto.frame("ADDED", raw)).document
    assert document is not None
    assert document["metadata"]["annotations"] == {"example.com/note": "a" + "\ufffd" * 2 + "b" + "\ufffd" * 4}


@pytest.mark.parametrize("namespace", ["", "n"])
def test_a_bookmark_ends_the_initial_events(namespace: str) -> None:
    for noted, ends in (({"k8s.io/initial-events-end": "true"}, True), ({}, False)):
        meta = {"resourceVersion": "77", "annotations": noted, "namespace": namespace}
        line, frame = both("BOOKMARK", {"metadata": meta})
        event = decode_frame(frame, marker=MARKER)
        assert event.ends_initial_events is ends
        assert event.resource_version == "77"
        assert event[:5] == decode_line(line)[:5]


@settings(max_examples=50, deadline=None)
@given(
    code=st.integers(0, 599),
    reason=texts,
    message=texts,
    causes=st.lists(st.fixed_dictionaries({"reason": texts, "message": texts, "field": texts}), max_size=2),
    seconds=st.integers(0, 100),
)
def test_an_error_says_the_same(code: int, reason: str, message: str, causes: list[Any], seconds: int) -> None:
    details = {"name": "n", "causes": causes, "retryAfterSeconds": seconds}
    status = wirejson.status(code, reason, message, **details)
    line, frame = both("ERROR", status)
    told, expected = decode_frame(frame, marker=MARKER).document, decode_line(line).document
    assert told is not None
    assert expected is not None
    # Go leaves out what is empty, which the test's JSON does not.
    assert _filled(told) == _filled(expected)


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner) for key, inner in value.items() if inner not in ("", 0, [], {})}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value


GOOD = wireproto.event(
    "MODIFIED",
    {
        "metadata": {
            "name": "a",
            "namespace": "n",
            "uid": "93a8d5a5-8f5e-4a45-8bde-35fb7a7ee1a2",
            "resourceVersion": "58",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"l": "m"},
            "annotations": {"example.com/note": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "u", "controller": True}],
            "managedFields": [{"manager": "m"}],
        }
    },
)[4:]


@settings(max_examples=600, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.integers(0, len(GOOD)),
)
@example(places=[(0, 0)], cut=0)
def test_damage_raises_one_error_or_nothing(places: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(GOOD)
    for place, byte in places:
        damaged[place] = byte
    for frame in (bytes(damaged), bytes(damaged[:cut]), GOOD[:cut], GOOD[cut:]):
        for marker in (None, MARKER, b"nothing.like.it"):
            with contextlib.suppress(DecodeError):
                decode_frame(frame, marker=marker)
        identify_frame(frame)


@settings(max_examples=300, deadline=None)
@given(frame=st.binary(max_size=200))
def test_noise_raises_one_error_or_nothing(frame: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_frame(frame, marker=MARKER)
    identify_frame(frame)
    with contextlib.suppress(Malformed):
        assert sum(1 for _ in read_fields(frame)) <= len(frame), "each step consumes something"


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_r20_an_object_is_identified_rightly_or_not_at_all(place: int) -> None:
    for byte in (0, 0x22, 0x2A, 0x7F, 0xFF):
        found = identify_frame(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])
        name_at, namespace_at = GOOD.index(b"\n\x01a") + 2, GOOD.index(b"\x1a\x01n") + 2
        if place not in (name_at, namespace_at):
            assert found in (None, ObjectKey("n", "a"))
    assert identify_frame(GOOD) == ObjectKey("n", "a")


def test_r20_an_undecodable_frame_is_identified() -> None:
    """Damage behind the head, where an annotation may be anything."""
    place = GOOD.index(b"example.com/note") - 1
    damaged = GOOD[:place] + b"\xff" + GOOD[place + 1 :]
    with pytest.raises(DecodeError, match="Malformed"):
        decode_frame(damaged)
    assert identify_frame(damaged) == ObjectKey("n", "a")


def _with(meta: bytes, *, kind: str = "ADDED") -> bytes:
    return wireproto.frame(kind, wireproto.wrapped("meta.k8s.io/v1", "PartialObjectMetadata", run(1, meta)))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x0b",
        b"\xff" * 20,
        b'{"type":"ADDED","object":{}}',
        run(1, "ADDED"),
        integer(1, 5) + run(2, run(1, b"k8s\0")),
        run(1, "") + run(2, run(1, b"k8s\0")),
        run(1, "ADDED") + integer(2, 5),
        run(1, "ADDED") + run(2, integer(1, 5)),
        wireproto.frame("ADDED", b"{}"),
        wireproto.frame("ADDED", b"k8s\0"),
        wireproto.frame("ADDED", b"k8s\0" + integer(1, 1)),
        wireproto.frame("ADDED", b"k8s\0" + run(2, integer(1, 1))),
        _with(b""),
        _with(run(1, "a")),
        _with(run(6, "5")),
        _with(integer(1, 7) + run(6, "5")),
        _with(run(1, "a") + integer(6, 5)),
        _with(run(1, "a") + run(6, "5") + run(7, "x")),
        _with(run(1, "a") + run(6, "5") + integer(12, 1)),
        _with(run(1, "a") + run(6, "5") + run(12, integer(1, 1))),
        _with(run(1, "a") + run(6, "5") + run(8, integer(1, 1 << 62))),
        _with(run(1, "a") + run(6, "5") + b"\x3c"),
        _with(run(1, "a") + run(6, "5") + b"\x41"),
        _with(run(1, "a") + run(6, "5") + b"\x38" + b"\xff" * 10 + b"\x01"),
    ],
)
def test_whatever_is_no_event_raises_decode_error(frame: bytes) -> None:
    for marker in (None, MARKER):
        with pytest.raises(DecodeError):
            decode_frame(frame, marker=marker)


@settings(max_examples=100, deadline=None)
@given(frames=st.lists(st.binary(min_size=1, max_size=300), max_size=5), data=st.data())
def test_r23_chunk_borders_mean_nothing(frames: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)
    splitter, seen = FrameSplitter(), []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        seen += splitter.feed(wire[:size])
        wire = wire[size:]
    assert seen == frames
    assert splitter.fragment == 0


def test_r21_a_cut_frame_is_a_fragment() -> None:
    wire = wireproto.event("ADDED", {"metadata": {"name": "a", "resourceVersion": "5"}})
    for cut in range(1, len(wire)):
        splitter = FrameSplitter()
        assert splitter.feed(wire[:cut]) == []
        assert splitter.fragment == cut
    assert FrameSplitter().feed(b"\0\0\0\0" + wire) == [wire[4:]], "an empty frame says nothing"


def test_r22_a_frame_has_a_bound() -> None:
    splitter = FrameSplitter(limit=10)
    assert splitter.feed(b"\0\0\0\x0a" + b"x" * 10) == [b"x" * 10]
    with pytest.raises(DecodeError, match="FrameTooLong"):
        splitter.feed(b"\0\0\0\x0b")
    large = FrameSplitter()
    (frame,) = both(
        "ADDED", {"metadata": {"name": "a", "resourceVersion": "5", "annotations": {"a": "x" * (3 << 20)}}}
    )[1:]
    wire = len(frame).to_bytes(4, "big") + frame
    whole = [done for at in range(0, len(wire), 1 << 16) for done in large.feed(wire[at : at + (1 << 16)])]
    assert whole == [frame]
