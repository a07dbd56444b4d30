"""Templates: one substitution, in string leaves, and nothing else moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilers.template import Leaf, Path, Reference, TemplateError, compile_tree, parse, references, render

json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


def shown(text: str, **values: str) -> str:
    tree = compile_tree(text, verbatim=lambda path: False)
    return str(render(tree, lambda path, ref: values.get(ref.name, ref.default or "?")))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${B}z", "x1y2z"),
        ("${A}${B}", "12"),
        ("$A", "$A"),
        ("$", "$"),
        ("a$", "a$"),
        ("$$", "$$"),
        ("$$A", "$$A"),
        ("$${A}", "${A}"),
        ("$${A}${A}", "${A}1"),
        ("${A}$${A}", "1${A}"),
        ("$$${A}", "$${A}"),
        ("$${$${A}}", "${${A}}"),
        ("$${", "${"),
        ("{A}", "{A}"),
        ("${N:-d}", "d"),
        ("${N:-}", "?"),
        ("${A:-d}", "1"),
        ("${N:-a:-b}", "a:-b"),
        ("${N:-/x/$y}", "/x/$y"),
        ("${_a1}", "?"),
    ],
)
def test_grammar(text: str, result: str) -> None:
    assert shown(text, A="1", B="2") == result


def test_an_empty_default_is_a_default() -> None:
    assert parse("${N:-}").references == (Reference("N", ""),)


@pytest.mark.parametrize(
    "text",
    [
        "${", "a${b", "${}", "${ A}", "${A }", "${1}", "${A-b}", "${A:b}", "${A:=b}", "${A##x}", "${A/x/y}", "${A^^}",
        "${A:-${B}}", "${${A}}", "${\u0391}", "${" + "A" * 100_000,
        "${" + "A" * 100_000 + "!}", "${A:" + "x" * 100_000 + "}",
    ],
)  # fmt: skip
def test_bad_templates_are_refused_in_a_few_words(text: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_tree({"backend": [text]}, verbatim=lambda path: False)
    assert error.value.path == ("backend", "0")
    assert len(str(error.value)) < 400


@given(st.text(alphabet="${}:-A\\\"'\n", max_size=30))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    try:
        leaf = parse(text)
    except TemplateError:
        return
    assert isinstance(leaf, Leaf)
    if "${" not in text:
        assert leaf.literal == text


@given(text=st.text(max_size=40), value=st.text(max_size=40))
def test_a_value_is_never_looked_at_again(text: str, value: str) -> None:
    literal = text.replace("${", "$ {").rstrip("$")
    assert shown(f"{literal}${{A}}", A=value) == literal + value


@given(json_trees)
def test_rendering_keeps_the_structure(tree: Any) -> None:
    try:
        compiled = compile_tree(tree, verbatim=lambda path: False)
    except TemplateError:
        return
    assert shape(render(compiled, lambda path, ref: "${A}\n\"'")) == shape(tree)


def shape(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: shape(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [shape(item) for item in tree]
    return type(tree)


@given(json_trees)
def test_a_verbatim_part_stays_as_it_is(tree: Any) -> None:
    compiled = compile_tree({"a": tree, "b": "${X}"}, verbatim=lambda path: path == ("a",))
    assert render(compiled, lambda path, ref: "v") == {"a": tree, "b": "v"}


def test_references_and_their_paths() -> None:
    tree = compile_tree({"a": ["x", "${A}/${B:-c}"], "b": {"c": "$${D}"}, "e": 5}, verbatim=lambda path: False)
    found: list[tuple[Path, Reference]] = list(references(tree))
    assert found == [(("a", "1"), Reference("A")), (("a", "1"), Reference("B", "c"))]
