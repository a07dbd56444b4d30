"""Patterns mean what regular expressions mean, and no text keeps them busy."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconcilers.pattern import Pattern, PatternError

pieces = st.recursive(
    st.sampled_from(["a", "b", ".", r"\.", "[ab]", "[^a]", "[a-c_]", r"\d", r"\W", "-", r"[\d.]", r"\["]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}"])).map("({0[0]}){0[1]}".format),
    ),
    max_leaves=6,
)


@given(pattern=pieces, text=st.text("abc.-_0[", max_size=6))
@example(pattern="(a|)(b|)", text="")
@example(pattern="(a*)*", text="aaaa")
@example(pattern="()", text="")
def test_patterns_match_as_those_of_the_standard_library(pattern: str, text: str) -> None:
    assert Pattern(pattern).matches(text) == bool(re.fullmatch(pattern, text, re.ASCII | re.DOTALL))


@given(text=st.text(r"ab\[](){}|*+?^$.-,0d", max_size=20))
def test_whatever_is_no_pattern_is_an_error_of_its_own(text: str) -> None:
    said = "matched or not"
    try:
        Pattern(text).matches("ab")
    except PatternError as error:
        said = str(error)
    assert said


@pytest.mark.parametrize("pattern", ["^(gold|silver)$", "gold|silver", "[a-z]+"])
def test_the_whole_text_must_match(pattern: str) -> None:
    assert Pattern(pattern).matches("gold")
    assert not Pattern(pattern).matches("gold\n")
    assert not Pattern(pattern).matches("gold ")
    assert not Pattern(pattern).matches("")


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "a{",
        "*",
        "a**",
        "a+?",
        r"\b",
        r"(?=a)",
        r"(?P<x>a)",
        r"\1",
        "[z-a]",
        "a{3,2}",
        "a{999}{999}",
        "x" * 300,
        *["((((a{50}){50}){50}){50})", "[^", "[]", "\\", r"[\W]", "(" * 40],
    ],
)
def test_what_is_not_understood_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)b", "(a|aa|aaa)*b"])
def test_no_text_takes_long(pattern: str) -> None:
    compiled = Pattern(pattern)
    began = time.process_time()
    assert not compiled.matches("a" * 253)
    assert time.process_time() - began < 1
