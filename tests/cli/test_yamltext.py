"""YAML in and out: what is written reads back as the same, whoever reads it, and nothing harmful is read."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from autobackup import yamltext
from autobackup.yamltext import MOST_DEPTH, MOST_VALUES, YamlProblem
from tools.controlplane import ControlPlane

TEXT = st.text(max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
# Texts that some reader of YAML takes for something else.
TRAPS = (
    *("y", "N", "yes", "Off", "TRUE", "null", "~", "", "=", "<<", "*a", "&a", "!x", "- a", "a: b", "a #b", "#a", "%a"),
    *(
        "1e3",
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "12:30",
        "12:30:45.5",
        "+1",
        ".5",
        "-.inf",
        ".NaN",
        "2024-01-01",
        "0.",
        "-",
    ),
    *(
        "a\nb",
        "a\nb\n",
        "\na",
        " a",
        "a ",
        "a\n \nb",
        "\ta",
        "a\tb",
        "\x00",
        "\x1b[0m",
        "\x85",
        "\u2028",
        "\ufeff",
        "é",
        "😀",
    ),
    *("---", "...", "--- a", "@every 6h", "`a`", "{a", "[a", "'", '"', "\\", "? a", ": a", "a:", "|", ">", "0 2 * * *"),
)


def read_one(text: str) -> Any:
    (document,) = yamltext.read(text)
    return document.value


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_text_stays_text_for_every_reader(trap: str, ascii_only: bool) -> None:
    value = {"key": trap, "list": [trap], "deep": {"a": {"b": trap}}, f"k{trap}": 1}
    written = yamltext.write(value, ascii_only=ascii_only)
    assert read_one(written) == value
    assert yaml.safe_load(written) == value
    assert written.isascii() or not ascii_only


@given(VALUES)
@example({"": {"": ""}})
def test_what_is_written_reads_back_as_the_same(value: Any) -> None:
    written = yamltext.write({"value": value})
    assert read_one(written) == {"value": value}
    assert yaml.safe_load(written) == {"value": value}


@given(st.text(alphabet="abc:-[]{}&*!|>'\"%@`#,?<=~ \n\t01.\\", max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    problem, values = None, []
    try:
        values = [document.value for document in yamltext.read(text)]
    except YamlProblem as found:
        problem = found
    if problem is not None:
        assert 1 <= problem.line <= text.count("\n") + 2
        assert str(problem)
    for value in values:
        assert read_one(f"a: 1\nb:\n- {json.dumps(value)}\n")["b"] == [value]


# What kubectl makes of each plain scalar.
KUBECTL: dict[str, Any] = {
    **{"y": True, "yes": True, "on": True, "n": False, "Off": False, "true": True, "~": None, "null": None, "": None},
    **{"017": 15, "0o17": 15, "0x1F": 31, "0b11": 3, "-017": -15, "-0o7": -7, "1_000": 1000, "1__0": 10, "+1": 1},
    **{"1e3": 1000, "08": 8, ".5": 0.5, "1.": 1, "1.50": 1.5, "-2.0": -2},
    **{text: text for text in ("12:30", "12:30:45", "2024-01-01", "2024-01-01T00:00:00Z", "0o8", "=", "1.2.3", "0x")},
}


@pytest.mark.parametrize(("text", "value"), KUBECTL.items())
def test_it_reads_as_kubectl_does(text: str, value: Any) -> None:
    found = read_one(f"key: {text}\n")["key"]
    assert (found, type(found)) == (value, type(value))


def test_keys_become_text_as_with_kubectl() -> None:
    assert read_one("{y: 1, n: 2, 5: 3, 1.5: 4, 0x10: 5}") == {"true": 1, "false": 2, "5": 3, "1.5": 4, "16": 5}
    assert read_one("'y': !!str 1\n!!str n: 2\n") == {"y": "1", "n": 2}


def test_documents_know_their_lines() -> None:
    first, second = yamltext.read("# a\na: 1\nb:\n  c:\n  - d: 2\n---\n---\n\nx: {w: 1,\n  z: 2}\n")
    assert (first.line, second.line) == (2, 9)
    assert first.line_of(first.value, "b") == 3
    assert first.line_of(first.value["b"], "c") == 4
    assert first.line_of(first.value["b"]["c"][0], "d") == 5
    assert second.line_of(second.value["x"], "z") == 10
    assert second.line_of(second.value["x"], "missing") == 9


def test_anchors_and_merges_are_understood() -> None:
    text = "base: &b {x: 1, w: 1}\nmore: &m {w: 2, z: 2}\nuse: {<<: [*b, *m], x: 0}\nsame: *b\n'<<': plain\n"
    value = read_one(text)
    assert value["use"] == {"x": 0, "w": 1, "z": 2}
    assert value["same"] == {"x": 1, "w": 1}
    assert value["<<"] == "plain"


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is given twice, first in line 1"),
        ("a:\n  b: 1\n  'b': 2\n", 3, "given twice"),
        ("a: &x\n  b: *x\n", 2, "alias *x contains itself"),
        ("a: *x\n", 1, "alias *x is not defined"),
        ("a: 1\n---\nb: *x\n", 3, "not defined"),
        ("[" * 100_000, 1, f"deeper than {MOST_DEPTH}"),
        ("{a: " * 100_000, 1, f"deeper than {MOST_DEPTH}"),
        ("- " * 100_000, 1, f"deeper than {MOST_DEPTH}"),
        (BOMB, 7, f"more than {MOST_VALUES} values"),
        ("a: !!python/object/apply:os.system [true]\n", 1, "has no meaning"),
        ("a: !!binary aGk=\n", 1, "has no meaning"),
        ("a: !!int x\n", 1, "has no meaning"),
        ("a: !custom {b: 1}\n", 1, "has no meaning"),
        ("? [a]\n: b\n", 1, "a key must be text"),
        ("? {a: b}\n: c\n", 1, "a key must be text"),
        ("a: &x [1]\n*x : 2\n", 2, "a key must be text"),
        ("~: 1\n", 1, "a key is missing"),
        ("<<: 1\n", 1, "<< takes a mapping"),
        ("a:\n\tb: 1\n", 2, "cannot start any token"),
        ("a: [1\nb: 2\n", 2, "expected"),
        ("a: 'b\n", 2, "quoted"),
        ("a: \x07\n", 1, "control characters"),
        ("9" * 5000, 1, "no number"),
        ("a: .inf\n", 1, "no number"),
        ("a: .NaN\n", 1, "no number"),
        ("a: 1e400\n", 1, "no number"),
    ],
)
def test_what_is_harmful_or_ambiguous_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(YamlProblem) as refused:
        list(yamltext.read(text))
    assert problem in str(refused.value)
    assert refused.value.line == line


def test_kubectl_reads_what_is_written(control_plane: ControlPlane) -> None:
    # NUL and unpaired characters cannot be in an object at all.
    values = {f"k{position}": trap for position, trap in enumerate(TRAPS) if "\x00" not in trap}
    foo = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "x"}, "spec": values}
    for ascii_only in (False, True):
        done = subprocess.run(
            [str(control_plane.program("kubectl")), "label", "--local", "-f", "-", "-o", "json", "a=b"],
            input=yamltext.write(foo, ascii_only=ascii_only).encode(),
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert json.loads(done.stdout)["spec"] == values
