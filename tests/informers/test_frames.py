"""Bytes to events: R20-R23, and the proof that the short cuts change nothing."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from informers import DecodeError, ObjectKey
from informers.frames import LineSplitter, RawEvent, count_types, decode_item, decode_line, identify
from tests.support import wirejson

MARKER = b"example.com/"

# Texts that try to look like the structure around them, or to hide the marker.
HOSTILE = [
    ',"managedFields":[',
    '"managedFields":[]',
    '\\",\\"managedFields\\":[',
    "\\",
    '\\"',
    '"}}}',
    "}}}",
    '{"type":"DELETED","object":{"kind":"x","apiVersion":"y","metadata":{"name":"z"',
    '"name":"evil","namespace":"evil","resourceVersion":"1","uid":"evil"}',
    "example.com/",
    "example.com\\/",
    "\\u0065xample.com/",
    "\u2028<>&",
    "備份 \U0001f4be",
    "\x00\x1f",
    "",
    "k8s.io/initial-events-end",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20), st.lists(st.sampled_from(HOSTILE)).map("".join))
names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)
tables = st.dictionaries(st.one_of(texts, st.just("example.com/note")), texts, max_size=4)
managed = st.lists(st.fixed_dictionaries({"manager": texts, "fieldsV1": tables}), max_size=2)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    metadata = {
        "name": draw(names),
        "generateName": draw(st.sampled_from(["", "gen-"])),
        "namespace": draw(st.one_of(st.just(""), names)),
        "uid": draw(st.sampled_from(["", "0b0e-1"])),
        "resourceVersion": draw(st.sampled_from(["1", "123456789"])),
        "labels": draw(tables),
        "annotations": draw(tables),
        "ownerReferences": draw(st.sampled_from([[], [{"kind": "X", "name": "n", "uid": "u"}]])),
        "managedFields": draw(managed),
    }
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": {"example.com/": draw(tables)}}


FORMS = {"partial": wirejson.partial, "typed": wirejson.typed, "custom": wirejson.custom}
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "like Go": wirejson.encode,
    "all escaped": lambda frame: json.dumps(frame, separators=(",", ":")).encode(),
    "slashes escaped": lambda frame: wirejson.encode(frame).replace(b"/", b"\\/"),
    "with spaces": lambda frame: json.dumps(frame, ensure_ascii=False).encode(),
}


def without_managed_fields(event: RawEvent) -> RawEvent:
    document = json.loads(json.dumps(event.document))
    document["metadata"].pop("managedFields", None)
    return event._replace(document={"metadata": document["metadata"]})


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=50, deadline=None)
@given(document=documents(), kind=st.sampled_from(["ADDED", "MODIFIED", "DELETED"]))
def test_the_short_cuts_equal_the_full_decode(form: str, encoder: str, document: dict[str, Any], kind: str) -> None:
    line = ENCODERS[encoder]({"type": kind, "object": FORMS[form](document)})
    full = decode_line(line)
    cut = decode_line(line, metadata_only=True)
    assert without_managed_fields(cut) == without_managed_fields(full)
    skimmed = decode_line(line, metadata_only=True, marker=MARKER)
    assert skimmed[:5] == full[:5]
    if skimmed.document is not None:
        assert without_managed_fields(skimmed) == without_managed_fields(full)
    metadata = document["metadata"]
    interesting = any("example.com/" in text for part in ("labels", "annotations") for text in metadata[part])
    if interesting:
        assert skimmed.document is not None, "an object with the marker is never taken for one without"


def test_the_short_cuts_are_taken() -> None:
    """What the test above compares would be equal if nothing were ever cut."""
    metadata = {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "5", "managedFields": [{"manager": "m"}]}
    plain = wirejson.event("ADDED", wirejson.partial({"metadata": metadata}))
    assert decode_line(plain, metadata_only=True, marker=MARKER).document is None
    noted = {**metadata, "annotations": {"example.com/note": "x"}}
    event = decode_line(
        wirejson.event("ADDED", wirejson.partial({"metadata": noted})), metadata_only=True, marker=MARKER
    )
    assert event.document is not None
    assert "managedFields" not in event.document["metadata"]


def test_the_marker_in_managed_fields_does_not_count() -> None:
    metadata = {"name": "a", "uid": "u", "resourceVersion": "5", "managedFields": [{"f:example.com/note": {}}]}
    line = wirejson.event("ADDED", wirejson.partial({"metadata": metadata}))
    assert decode_line(line, metadata_only=True, marker=MARKER).document is None


@settings(max_examples=100, deadline=None)
@given(document=documents(), form=st.sampled_from(sorted(FORMS)), damage=st.integers(0, 4000))
def test_r20_an_object_is_identified_rightly_or_not_at_all(document: dict[str, Any], form: str, damage: int) -> None:
    document["metadata"]["uid"] = "u"
    line = wirejson.event("MODIFIED", FORMS[form](document))
    place = damage % len(line)
    found = identify(line[:place] + b"\x00" + line[place + 1 :])
    expected = ObjectKey(document["metadata"]["namespace"], document["metadata"]["name"])
    if found is not None and b"\x00" not in found.name.encode() + found.namespace.encode():
        assert found == expected


def test_r20_both_forms_are_identified() -> None:
    document = {"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "5"}, "spec": {}}
    for form in (wirejson.partial, wirejson.custom):
        line = wirejson.event("ADDED", form(document))
        assert identify(line.replace(b"}\n", b"")) == ObjectKey("n", "a")


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b"{}",
        b'"text"',
        b'{"type":1,"object":{}}',
        b'{"type":"ADDED","object":[]}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"ADDED","object":{"metadata":[]}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"","resourceVersion":"1"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":5,"resourceVersion":"1"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":1}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","namespace":null,"resourceVersion":"1"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"},"spec":' + b"9" * 5000 + b"}}",
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff","resourceVersion":"1"}}}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("metadata_only", [True, False])
def test_whatever_is_no_event_raises_decode_error(line: bytes, metadata_only: bool) -> None:
    with pytest.raises(DecodeError):
        decode_line(line, metadata_only=metadata_only, marker=MARKER if metadata_only else None)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(line: bytes) -> None:
    for options in ({}, {"metadata_only": True}, {"metadata_only": True, "marker": MARKER}):
        with contextlib.suppress(DecodeError):
            decode_line(line, **options)
    identify(line)


def test_a_list_item_is_given_what_its_list_says() -> None:
    item: dict[str, Any] = {"metadata": {"name": "a", "resourceVersion": "1"}}
    event = decode_item(item, api_version="apps/v1", kind="Deployment")
    assert event.document == {**item, "apiVersion": "apps/v1", "kind": "Deployment"}


def test_bookmarks_and_errors() -> None:
    plain = {"metadata": {"resourceVersion": "7"}}
    end = {"metadata": {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}}
    assert not decode_line(wirejson.event("BOOKMARK", plain)).ends_initial_events
    assert decode_line(wirejson.event("BOOKMARK", end), metadata_only=True, marker=MARKER).ends_initial_events
    assert decode_line(wirejson.event("BOOKMARK", plain)).resource_version == "7"
    error = decode_line(wirejson.event("ERROR", wirejson.status(410, "Expired")), metadata_only=True, marker=MARKER)
    assert error.document is not None
    assert error.document["reason"] == "Expired"


def test_types_are_counted_with_one_name_for_everything_unknown() -> None:
    assert count_types(["ADDED", "ADDED", "ERROR", "x", "y"]) == {"ADDED": 2, "ERROR": 1, "UNKNOWN": 2}


@settings(max_examples=150)
@given(
    lines=st.lists(st.binary(min_size=0, max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    cuts=st.lists(st.integers(0, 600), max_size=12),
)
@example(lines=[b"a", b"", b" ", b"b"], cuts=[1])
def test_r23_lines_come_out_whole_wherever_the_chunks_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    splitter = LineSplitter()
    seen = [line for start, end in itertools.pairwise(places) for line in splitter.feed(data[start:end])]
    assert seen == [line for line in lines if line.strip()]
    assert splitter.fragment == 0


def test_r21_a_fragment_is_known() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"whole\npart") == [b"whole"]
    assert splitter.fragment == 4


def test_r22_the_limit() -> None:
    splitter = LineSplitter(limit=10)
    assert splitter.feed(b"0123456789") == []
    with pytest.raises(DecodeError, match="no line end within 10 bytes"):
        splitter.feed(b"0")
