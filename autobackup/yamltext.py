"""YAML the way Kubernetes reads it, and text that every YAML reader reads the same way.

Contract: `read` turns text into documents of JSON values (dict, list, str, int, float, bool, None) and knows the line
of every key; `write` gives text that a YAML 1.1 and a YAML 1.2 reader understand alike.

Differences to the defaults of a YAML 1.1 library, all on purpose: a timestamp stays text and `12:30` is no number
(the readers of Kubernetes agree); a key that is there twice, a tag that JSON has no value for and a document that
contains itself are errors with their line, never a silent choice.

Invariants: reading needs no recursion, so depth is bounded by a limit and not by the stack; aliases are counted for
what they stand for, so a page of text cannot grow to gigabytes.

Source of the idea: sigs.k8s.io/yaml and the limits of go-yaml's decoder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MOST_DEPTH = 100
MOST_VALUES = 5_000_000

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {
    text: value
    for value, texts in (
        (True, "y Y yes Yes YES on On ON true True TRUE"),
        (False, "n N no No NO off Off OFF false False FALSE"),
    )
    for text in texts.split()
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_BASED_INT = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_UNUSUAL = re.compile(
    r"[^\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_NOT_FINITE = frozenset({".inf", "+.inf", "-.inf", ".nan"})
_EXACT = 2.0**53
_UNPLAIN = re.compile(r"[-+.]?[0-9][-+0-9a-fA-FxXoOtTzZ_:. ]*|[-+]?\.(inf|nan)", re.IGNORECASE)


class YamlProblem(ValueError):
    """Text that is not what a manifest may be: what is wrong, and in which line (from 1)."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One document and where its parts stand."""

    value: Any
    line: int
    lines: Mapping[tuple[int, str], int] = field(default_factory=dict, repr=False)
    """Line of each key of each mapping, by the identity of the mapping; "" is the mapping itself."""

    def line_of(self, mapping: Any, key: str = "") -> int:
        """The line of a key of a mapping of this document; that of the mapping when the key is not there."""
        found = self.lines.get((id(mapping), key)) or self.lines.get((id(mapping), ""))
        return found or self.line


def read(text: str) -> Iterator[Document]:
    """The documents of `text`, empty ones left out; raises YamlProblem."""
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            document = reader.take(event)
            if document is not None and document.value is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlProblem(mark.line + 1 if mark else 1, what or "not YAML") from None
    except yaml.YAMLError as error:
        raise YamlProblem(1, " ".join(str(error).split())) from None


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    value: Any
    line: int
    anchor: str | None
    before: int
    key: str | None = None
    merged: list[Mapping[str, Any]] = field(default_factory=list)


_MERGE = "<<"


class _Reader:
    """Builds values from events, one at a time."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._lines: dict[tuple[int, str], int] = {}
        self._values = 0
        self._document: Document | None = None

    def take(self, event: Any) -> Document | None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.DocumentStartEvent():
                self._stack, self._anchors, self._lines, self._document = [], {}, {}, None
            case yaml.DocumentEndEvent():
                return self._document
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.AliasEvent():
                if event.anchor not in self._anchors:
                    open_ones = {entry.anchor for entry in self._stack}
                    what = "contains itself" if event.anchor in open_ones else "is not defined"
                    raise YamlProblem(line, f"alias *{event.anchor} {what}")
                value, size = self._anchors[event.anchor]
                self._count(size, line)
                self._put(value, line)
        return None

    def _open(self, event: Any, line: int) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag and event.tag not in (_TAG + "map", _TAG + "seq", "!"):
            raise YamlProblem(line, f"tag {event.tag} has no meaning in a manifest")
        if len(self._stack) >= MOST_DEPTH:
            raise YamlProblem(line, f"nested deeper than {MOST_DEPTH} levels")
        if self._expects_key():
            raise YamlProblem(line, "a key must be text, not a mapping or a list")
        entry = _Open({} if is_mapping else [], line, event.anchor, self._values)
        self._count(1, line)
        if is_mapping:
            self._lines[id(entry.value), ""] = line
        self._stack.append(entry)

    def _close(self) -> None:
        entry = self._stack.pop()
        for other in entry.merged:
            for key, value in other.items():
                entry.value.setdefault(key, value)
        if entry.anchor:
            self._anchors[entry.anchor] = (entry.value, self._values - entry.before)
        self._put(entry.value, entry.line)

    def _scalar(self, event: Any, line: int) -> None:
        self._count(1, line)
        if self._expects_key():
            plain = event.implicit[0] and event.value == _MERGE
            self._key(_MERGE if plain else _key_text(event, line), line, merge=plain)
            return
        value = _scalar_value(event, line)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, line)

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _key(self, key: str, line: int, *, merge: bool) -> None:
        entry = self._stack[-1]
        if not merge:
            first = self._lines.get((id(entry.value), key)) if key else None
            if key in entry.value:
                raise YamlProblem(line, f"key {key[:80]!r} is given twice, first in line {first or entry.line}")
            if key:
                self._lines[id(entry.value), key] = line
        entry.key = key if not merge else "\x00" + key

    def _put(self, value: Any, line: int) -> None:
        if not self._stack:
            self._document = Document(value, line, self._lines)
            return
        entry = self._stack[-1]
        if isinstance(entry.value, list):
            entry.value.append(value)
        elif entry.key is None:
            if not isinstance(value, str):  # an alias in the place of a key
                raise YamlProblem(line, "a key must be text, not a mapping or a list")
            self._key(value, line, merge=False)
        elif entry.key == "\x00" + _MERGE:
            entry.key = None
            parts = value if isinstance(value, list) else [value]
            if not all(isinstance(part, dict) for part in parts):
                raise YamlProblem(line, "<< takes a mapping or a list of mappings")
            entry.merged.extend(parts)
        else:
            entry.value[entry.key] = value
            entry.key = None

    def _count(self, size: int, line: int) -> None:
        self._values += size
        if self._values > MOST_VALUES:
            raise YamlProblem(line, f"more than {MOST_VALUES} values, aliases counted for what they stand for")


def _key_text(event: Any, line: int) -> str:
    value = _scalar_value(event, line)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        raise YamlProblem(line, "a key is missing before ':'")
    return str(value)


def _scalar_value(event: Any, line: int) -> Any:
    text: str = event.value
    if event.tag and event.tag != "!":
        return _tagged(event.tag.removeprefix(_TAG), text, line)
    if not event.implicit[0]:
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    return _number(text, line)


def _number(text: str, line: int) -> Any:
    try:
        if _INT.fullmatch(text):
            return int(text.replace("_", ""))
        if _BASED_INT.fullmatch(text):
            digits = text.replace("_", "").lstrip("-+")
            octal = digits[1:2] not in ("b", "x", "o")
            whole = int(digits, 8) if octal else int(digits, 0)
            return -whole if text.startswith("-") else whole
        if text.lower() in _NOT_FINITE:
            raise ValueError
        if _FLOAT.fullmatch(text):
            value = float(text.replace("_", ""))
            # JSON has one kind of number, and no infinity.
            return int(value) if value.is_integer() and abs(value) < _EXACT else _finite(value)
    except (ValueError, OverflowError):
        raise YamlProblem(line, f"{text[:40]!r} is no number that can be used") from None
    return text


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value


def _tagged(tag: str, text: str, line: int) -> Any:
    if tag == "str":
        return text
    if tag == "null" and text in _NULL:
        return None
    if tag == "bool" and text in _BOOL:
        return _BOOL[text]
    if tag in ("int", "float"):
        value = _number(text, line)
        if not isinstance(value, str):
            return float(value) if tag == "float" else value
    raise YamlProblem(line, f"tag !!{tag[:80]} with value {text[:40]!r} has no meaning in a manifest")


class _Dumper(yaml.SafeDumper):
    """Block style, no aliases, and quotes wherever any reader might see something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _UNUSUAL.search(text):
        style = '"'
    elif "\n" in text and " \n" not in text:
        style = "|"
    elif text in _NULL or text in _BOOL or _UNPLAIN.fullmatch(text) or text in (_MERGE, "="):
        style = "'"
    return dumper.represent_scalar(_TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write(value: Any, *, ascii_only: bool = False) -> str:
    """`value` as one YAML document, without a separator before it."""
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=not ascii_only,
        width=10**6,
    )
    return text
