"""The grammar of every annotation: what is understood, what is refused, and how it is said."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers.annotations import (
    BLUEPRINT,
    MOUNTS,
    PARAMS_PREFIX,
    PATHS,
    Mount,
    Request,
    blueprint_names,
    parse,
    relevant,
)
from reconcilers.errors import Refusal
from reconcilers.kinds import TARGETS
from reconcilers.overridable import OVERRIDABLE
from reconcilers.registry import ANNOTATIONS, without_effect
from tests.reconcilers.hostile import TEXTS

KINDS = sorted(TARGETS)
SURROGATES = re.compile(r"[\ud800-\udfff]")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("nightly", ("nightly",)),
        (" nightly ", ("nightly",)),
        ("a,b", ("a", "b")),
        ("b , a", ("b", "a")),
        ("a,b,a", ("a", "b")),
        ('["a", "b.c"]', ("a", "b.c")),
        ("x" * 253, ("x" * 253,)),
    ],
)
def test_blueprint_names(value: str, names: tuple[str, ...]) -> None:
    assert blueprint_names(value) == names


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("/a", ("/a",)),
        ("/a, /b ", ("/a", "/b")),
        ("/a/,/a", ("/a",)),
        ("//a//b/./c/", ("/a/b/c",)),
        ("/", ("/",)),
        ("//", ("/",)),
        ("/./", ("/",)),
        ('["/with,comma", "/b"]', ("/with,comma", "/b")),
        ("/with blank", ("/with blank",)),
        ("/a..b", ("/a..b",)),
        ("/${HOME}", ("/${HOME}",)),
    ],
)
def test_target_paths(value: str, paths: tuple[str, ...]) -> None:
    assert parse({PATHS: value}, kind="Deployment").paths == paths


@pytest.mark.parametrize(
    ("value", "mounts"),
    [
        ("data:/srv", (Mount("data", "/srv"),)),
        ("data:/srv/, logs:/log:nginx/access", (Mount("data", "/srv"), Mount("logs", "/log", "nginx/access"))),
        ('["data:/srv,x"]', (Mount("data", "/srv,x"),)),
        ("data:/srv,data:/srv", (Mount("data", "/srv"),)),
        ("data:/a,data:/b", (Mount("data", "/a"), Mount("data", "/b"))),
    ],
)
def test_volume_mounts(value: str, mounts: tuple[Mount, ...]) -> None:
    assert parse({MOUNTS: value}, kind="StatefulSet").mounts == mounts


@pytest.mark.parametrize(
    "value",
    [
        "data", "data:", ":/srv", "data:srv", "data:/srv:", "data:/srv:/abs", "data:/srv:a/../b", "data:/srv:..",
        "data:/../srv", "data:/srv:a:b", "Data:/srv", "da ta:/srv", "data:/srv,other:/srv", "data:/srv,data:/srv/:x",
        "data:/srv:a\nb", "data:/s\x00v", "-data:/srv", "x" * 64 + ":/srv",
    ],
)  # fmt: skip
def test_bad_volume_mounts(value: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse({MOUNTS: value}, kind="Deployment")
    assert refusal.value.field == MOUNTS


def test_what_a_family_does_not_know_is_not_read() -> None:
    bad = {PATHS: "relative", MOUNTS: "nonsense", PARAMS_PREFIX + "args": "x"}
    assert parse(bad, kind="PersistentVolumeClaim") == Request(params=(("args", "x"),))
    assert parse({PARAMS_PREFIX + "args": "x" * 10_000}, kind="Deployment") == Request()


def test_params_are_taken_as_they_are() -> None:
    found = parse({PARAMS_PREFIX + "b": " a,b\n ${X} ", PARAMS_PREFIX + "a": ""}, kind="AppBinding")
    assert found.params == (("a", ""), ("b", " a,b\n ${X} "))


def test_bounds() -> None:
    for values, kind in (
        ({PATHS: ",".join(f"/{i}" for i in range(65))}, "Deployment"),
        ({f"{PARAMS_PREFIX}p{i}": "x" for i in range(33)}, "AppBinding"),
        ({PARAMS_PREFIX + "a": "x" * 4097}, "AppBinding"),
    ):
        with pytest.raises(Refusal):
            parse(values, kind=kind)


@pytest.mark.parametrize("kind", ["Deployment", "AppBinding", "PersistentVolumeClaim"])
@pytest.mark.parametrize("key", [BLUEPRINT, PATHS, MOUNTS, PARAMS_PREFIX + "args"])
def test_golden_list_of_hostile_values(key: str, kind: str) -> None:
    """Understood completely or refused in a few words; what is understood holds nothing that was not asked for."""
    assert len(TEXTS) >= 60
    for text in TEXTS:
        understood_or_refused(key, text, kind)


def understood_or_refused(key: str, text: str, kind: str) -> None:
    try:
        names = blueprint_names(text) if key == BLUEPRINT else ()
        found = parse({key: text}, kind=kind)
    except Refusal as refusal:
        said = str(refusal)
        assert said.startswith(key)
        assert said.isprintable(), said
        assert "; " in said
        return
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name) for name in names)
    assert len(names) <= 64
    for path in found.paths or ():
        assert is_plain_path(path)
    for mount in found.mounts or ():
        assert is_plain_path(mount.mount_path)
        assert not mount.sub_path.startswith("/")
        assert ".." not in mount.sub_path.split("/")
    assert found.params in ((), (("args", text),))
    assert not SURROGATES.search(json.dumps([found.params, found.paths], ensure_ascii=False))


def is_plain_path(path: str) -> bool:
    segments = path.split("/")
    return (
        path.startswith("/")
        and (path == "/" or (not path.endswith("/") and "" not in segments[1:]))
        and ".." not in segments
        and "." not in segments
        and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", path)
    )


@given(
    key=st.sampled_from([BLUEPRINT, PATHS, MOUNTS, PARAMS_PREFIX + "args"]),
    text=st.one_of(
        st.text(max_size=60),
        st.text(alphabet='/.:,[]" ab*0123-@', max_size=40),
        st.lists(st.text(max_size=8), max_size=4).map(json.dumps),
        st.from_regex(r"\A[a-z]{0,3}:(/[a-z.]{0,3}){0,3}(:[a-z./]{0,6})?\Z"),
    ),
    kind=st.sampled_from(KINDS),
)
@example(PATHS, '["/\\ud800"]', "Deployment")
def test_any_text_is_understood_or_refused(key: str, text: str, kind: str) -> None:
    understood_or_refused(key, text, kind)


@given(st.dictionaries(st.text(max_size=80), st.text(max_size=80)))
@example({"stash.appscode.com/tag": "x", "stash.appscode.com/target-paths": "y", "params.stash.appscode.com/tag": "z"})
def test_relevant_forgets_what_is_not_ours(found: dict[str, str]) -> None:
    kept = relevant(found)
    assert list(kept) == sorted(kept)
    assert dict(kept).items() <= found.items()
    assert all("stash.appscode.com/" in key for key, _ in kept)
    assert {description.key for description in ANNOTATIONS} & found.keys() <= dict(kept).keys()


def test_params_named_like_bookkeeping_are_kept() -> None:
    assert relevant({PARAMS_PREFIX + "tag": "x"}) == ((PARAMS_PREFIX + "tag", "x"),)


def test_thousands_of_unknown_annotations_are_told_in_a_few_lines() -> None:
    assert without_effect(["stash.appscode.com/delete"], kind="Deployment") == (
        "annotation stash.appscode.com/delete is not known",
    ), "what the keys have in common makes none of them near"
    told = without_effect([BLUEPRINT, *(f"stash.appscode.com/{i}" for i in range(5000))], kind="Deployment")
    assert len(told) == 9
    assert told[-1].startswith("4992 more annotations")


def test_every_annotation_has_its_reference_and_a_good_example() -> None:
    for description in ANNOTATIONS:
        assert description.families
        assert description.meaning.endswith(".")
        for kind, target in TARGETS.items():
            if target.family in description.families and description.key != BLUEPRINT:
                parse({description.key.replace("<name>", "args"): description.example}, kind=kind)
    for key, entry in OVERRIDABLE.items():
        assert re.fullmatch(entry.pattern, entry.description.example), key
        entry.parse(entry.description.example)
    assert blueprint_names(ANNOTATIONS[0].example)
