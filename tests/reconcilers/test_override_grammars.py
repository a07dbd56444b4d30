"""The grammars of overrides: each text is read completely or refused, and nothing else can happen."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from cronsim import CronSim
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reconcilers import retention, runtime, slots
from reconcilers import schedule as schedules
from reconcilers.annotations import SCHEDULE
from reconcilers.grammar import Malformed
from reconcilers.interval import shortest_interval
from reconcilers.overridable import OVERRIDABLE
from reconcilers.quantity import amount, seconds, spell
from tests.reconcilers.hostile import TEXTS
from tools.reference.annotationschema import render_annotation_schema

PARSERS = {"retention": retention.parse, "runtime": runtime.parse}


@pytest.mark.parametrize("parser", sorted(PARSERS))
@pytest.mark.parametrize("text", TEXTS)
def test_hostile_texts_are_refused_with_a_way_out(parser: str, text: str) -> None:
    refused: Malformed | None = None
    try:
        assert PARSERS[parser](text).canonical == text.strip()
    except Malformed as error:
        refused = error
    assert refused is None or (refused.problem and refused.hint)


@pytest.mark.parametrize("parser", sorted(PARSERS))
@given(text=st.text())
@example(text="last=" + "9" * 5000)
@example(text="last=٣")
@example(text="nice=--1")
def test_no_text_raises_anything_else(parser: str, text: str) -> None:
    try:
        found = PARSERS[parser](text)
    except Malformed:
        return
    assert PARSERS[parser](found.canonical) == found


counts = st.dictionaries(st.sampled_from(retention.COUNTS), st.integers(0, retention.MOST))
tags = st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,20}", fullmatch=True), max_size=4, unique=True)


@given(counts=counts, tags=tags)
def test_a_retention_comes_back_from_its_canonical_form(counts: dict[str, int], tags: list[str]) -> None:
    assume(counts or tags)
    asked = retention.RetentionRequest(
        tuple((name, counts[name]) for name in retention.COUNTS if name in counts), tuple(tags)
    )
    assert retention.parse(asked.canonical) == asked


def test_retention_as_people_write_it() -> None:
    found = retention.parse(" last=7, daily = 14 ,tags=release; gold")
    assert found == retention.RetentionRequest((("last", 7), ("daily", 14)), ("release", "gold"))
    assert retention.parse("long-term") == retention.RetentionRequest(policy="long-term")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "neither"),
        ("Long Term", "neither"),
        ("last", "last"),
        ("last=", "last="),
        ("last=-1", "last=-1"),
        ("last=1.5", "last=1.5"),
        ("last=1000000", "last=1000000"),
        ("lasst=1", "lasst"),
        ("last=1,last=2", "twice"),
        ("last=1,,daily=2", "empty"),
        ("tags=", "tag"),
        ("tags=a;;b", "tag"),
        ("tags=a b", "a b"),
        ("tags=--keep", "--keep"),
        ("keepLast=3", "keepLast"),
        ("prune=true", "prune"),
    ],
)
def test_bad_retention_says_what(text: str, named: str) -> None:
    if text == "last":
        assert retention.parse(text).policy == "last"
        return
    with pytest.raises(Malformed) as caught:
        retention.parse(text)
    assert named in caught.value.problem


def test_runtime_settings_as_people_write_them() -> None:
    found = runtime.parse("memory=256Mi..1Gi, cpu=..2, nice=-5, ionice=best-effort:4, priority-class=low")
    assert found.canonical == "cpu=..2,memory=256Mi..1Gi,nice=-5,ionice=best-effort:4,priority-class=low"
    assert runtime.parse("memory=1Gi").resources["memory"] == runtime.Range("1Gi", "1Gi")
    assert runtime.parse("big").profile == "big"
    assert runtime.parse("profile=big,cpu=1").canonical == "big,cpu=1"


@pytest.mark.parametrize(
    "text",
    [
        "serviceAccountName=admin",
        "securityContext={}",
        "image=evil",
        "command=sh",
        "node-selector=a",
        "tolerations=a",
        "memory=1Gi,memory=2Gi",
        "memory=512m",
        "memory=-1Gi",
        "memory=0",
        "memory=1e3",
        "memory=1Gi..1Mi",
        "memory=..",
        "memory=",
        "memory=NaN",
        "cpu=1n",
        "cpu=0",
        "cpu=infinity",
        "nice=20",
        "nice=1.0",
        "ionice=fast",
        "ionice=idle:3",
        "ionice=best-effort:8",
        "priority-class=",
        "priority-class=a,priority-class=b",
        "big,small",
        "../big",
    ],
)
def test_bad_runtime_settings(text: str) -> None:
    with pytest.raises(Malformed):
        runtime.parse(text)


@given(
    first=st.dictionaries(st.sampled_from(retention.COUNTS), st.integers(0, 5)),
    second=st.dictionaries(st.sampled_from(retention.COUNTS), st.integers(0, 5)),
)
def test_merging_larger_numbers_always_covers(first: dict[str, int], second: dict[str, int]) -> None:
    before = {retention.FIELDS[name]: number for name, number in first.items()}
    grown = tuple((name, first.get(name, 0) + number) for name, number in second.items())
    merged = retention.merge(retention.RetentionRequest(grown, ("x",)), before)
    assert retention.covers(merged, before)
    if any(second.values()):
        assert not retention.covers(before, merged)


def test_tags_are_added() -> None:
    merged = retention.merge(retention.parse("tags=b;c"), {"name": "n", "keepTags": ["a", "b"], "prune": True})
    assert merged == {"name": "n", "keepTags": ["a", "b", "c"], "prune": True}


# quantities and durations


@pytest.mark.parametrize(
    ("less", "more"),
    [("100m", "1"), ("1k", "1Ki"), ("1Gi", "2e9"), (".5", "1"), ("1M", "1Mi"), ("-1", "0"), ("1n", "1u")],
)
def test_quantities_compare(less: str, more: str) -> None:
    assert (amount(less) or 0) < (amount(more) or 0)


@pytest.mark.parametrize("text", ["", ".", "m", "1mm", "1 Gi", "0x10", "1e999", "²", "9" * 99])
def test_not_a_quantity(text: str) -> None:
    assert amount(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5), ("", None), ("5", None), ("h", None)],
)
def test_durations(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@given(length=st.integers(1, 3 * 86400 - 1))
def test_a_spelt_length_is_read_back(length: int) -> None:
    assert seconds(spell(length)) == length


# schedules


def fields() -> st.SearchStrategy[str]:
    def field(low: int, high: int) -> st.SearchStrategy[str]:
        numbers = st.integers(low, high)
        return st.one_of(
            st.just("*"),
            numbers.map(str),
            st.integers(1, high).map(lambda step: f"*/{step}"),
            st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda found: ",".join(map(str, found))),
            st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
            st.tuples(numbers, numbers, st.integers(1, high)).map(lambda t: f"{min(t[:2])}-{max(t[:2])}/{t[2]}"),
        )

    return st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)


@given(schedule=fields())
@example(schedule="0 0 29 2 *")
@example(schedule="0 0 28,1 * *")
@example(schedule="59,0 23,0 * * *")
@example(schedule="0 0 31 * 1")
def test_the_shortest_interval_is_never_longer_than_what_cronsim_finds(schedule: str) -> None:
    found = shortest_interval(schedule)
    simulated = CronSim(schedule, datetime(2024, 1, 1, tzinfo=UTC))
    try:
        times = [next(simulated) for _ in range(64)]
    except StopIteration:
        return
    assert found <= min((b - a).total_seconds() for a, b in pairwise(times))


@given(minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4), hours=st.sets(st.integers(0, 23), min_size=1))
def test_the_shortest_interval_of_a_daily_schedule_is_exact(minutes: set[int], hours: set[int]) -> None:
    schedule = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    simulated = CronSim(schedule, datetime(2024, 1, 1, tzinfo=UTC))
    times = [next(simulated) for _ in range(len(minutes) * len(hours) + 2)]
    assert shortest_interval(schedule) == min((b - a).total_seconds() for a, b in pairwise(times))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", 60),
        ("@daily", 86400),
        ("@every 90m", 5400),
        ("@monthly", 28 * 86400),
        ("0 2 * * MON,THU", 3 * 86400),
        ("0 0 29 2 *", 1461 * 86400),
        ("0 0 1 jan,feb *", 31 * 86400),
        ("30 23,0 * * *", 3600),
        ("? ? ? ? ?", 60),
        ("5/20 * * * *", 20 * 60),
    ],
)
def test_intervals(schedule: str, expected: int) -> None:
    assert schedules.problem(schedule) is None
    assert shortest_interval(schedule) == expected


@pytest.mark.parametrize(
    "text",
    ["H 2 * * *", "H H * * *", "H/15 * * * *", "H(10-20) H(1-5) * * *", "H H H * *", "H H * * H", "H,30 2 * * THU"],
)
@given(identity=st.text())
def test_a_slot_becomes_a_schedule_and_stays(text: str, identity: str) -> None:
    assert schedules.problem(text) is None
    filled = slots.fill(text, identity)
    assert not slots.has_slots(filled)
    assert schedules.problem(filled) is None
    assert slots.fill(text, identity) == filled


def test_slots_spread() -> None:
    found = {slots.fill("H 2 * * *", f"Deployment/demo/app-{number}") for number in range(500)}
    assert len(found) == 60
    with_step = {slots.fill("H/15 * * * *", str(number)) for number in range(200)}
    assert with_step == {f"{minute}-59/15 * * * *" for minute in range(15)}


@pytest.mark.parametrize(
    "text",
    [
        "H(0-60) * * * *",
        "H(9-3) * * * *",
        "H/61 * * * *",
        "H/0 * * * *",
        "h 2 * * *",
        "HH 2 * * *",
        "H-5 * * * *",
        "H H(1-40) * * *",
    ],
)
def test_bad_slots(text: str) -> None:
    assert schedules.problem(text)


def test_a_time_zone_is_refused_for_what_it_is() -> None:
    assert "time zone" in str(schedules.problem("CRON_TZ=Europe/Paris 0 2 * * *"))


# what editors are told


candidates = st.one_of(
    st.text(max_size=30),
    st.sampled_from([entry.description.example for entry in OVERRIDABLE.values()]),
    st.lists(
        st.sampled_from(
            ["memory=1Gi", " cpu = 1..2", "nice=3", "ionice=idle", "big", "last=3", "daily = 4 ", "tags=a;b"]
        ),
        min_size=1,
        max_size=4,
    ).map(",".join),
    st.sampled_from([" 7 ", "007", " true", "1h ", "2,delay=1m", " 3 , delay = 10m ", "@every 6h", "H H * * *", "a"]),
)


@pytest.mark.parametrize("key", sorted(OVERRIDABLE))
@given(text=candidates)
def test_the_pattern_for_editors_accepts_whatever_the_parser_accepts(key: str, text: str) -> None:
    entry = OVERRIDABLE[key]
    try:
        entry.parse(text)
    except Malformed:
        return
    if key != SCHEDULE or schedules.problem(" ".join(text.split())) is None:
        assert re.search(entry.pattern, text)


def test_the_schema_is_one_of_json_and_knows_every_annotation() -> None:
    schema = json.loads(render_annotation_schema())["$defs"]["annotations"]
    assert set(OVERRIDABLE) <= set(schema["properties"])
    names = schema["propertyNames"]["anyOf"]
    assert set(names[0]["enum"]) == set(schema["properties"])
    for key in ("stash.appscode.com/scheduel", "stash.appscode.com/x"):
        assert not re.search(names[1]["pattern"], key)
        assert re.search(names[2]["not"]["pattern"], key)
    assert any(re.search(pattern, "params.stash.appscode.com/args") for pattern in schema["patternProperties"])
    for pattern in (*schema["patternProperties"], names[1]["pattern"], names[2]["not"]["pattern"]):
        re.compile(pattern)
