"""Patterns of user variables: regular expressions that are matched in time that grows with the text and no faster.

The pattern comes from a blueprint, the text from an annotation: from two people, of whom the second may mean harm. A
matcher that goes back and tries again, such as that of the standard library, can be kept busy for years by a text of
fifty characters, and the operator has one thread. This one follows all ways at once.

Understood are characters, `.`, `[…]`, `\\d`, `\\w`, `\\s` and their capitals, groups, `|`, `*`, `+`, `?` and `{m,n}`.
The whole text must match; `^` at the beginning and `$` at the end may be written and change nothing.

Source: Thompson's construction, as Cox describes it in "Regular Expression Matching: the Virtual Machine Approach".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_LONGEST = 256
_MOST_STEPS = 1024
_CLASSES = {
    "d": (("0", "9"),),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
    "s": ((" ", " "), ("\t", "\r")),
}
_PLAIN = frozenset(r"\.[](){}|*+?^$/-_:,@ ")
_REPEAT = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}", re.A)


class PatternError(ValueError):
    """A text that is no pattern: what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Characters:
    """One character of these ranges, or of none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def accepts(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True, slots=True)
class _Fork:
    """Go on at both."""

    first: int
    second: int


_Step = _Characters | _Fork
_Program = list[_Step]


class Pattern:
    """A compiled pattern."""

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise PatternError(f"is longer than {_LONGEST} characters")
        self._program = _Parser(text).parse()

    def matches(self, text: str) -> bool:
        """Whether the whole text is of the pattern."""
        end = len(self._program)
        at = self._follow({0})
        for character in text:
            at = self._follow(
                {
                    position + 1
                    for position in at
                    if position < end
                    and isinstance(step := self._program[position], _Characters)
                    and step.accepts(character)
                }
            )
            if not at:
                return False
        return end in at

    def _follow(self, positions: set[int]) -> set[int]:
        """Every position that is reached without a character."""
        found: set[int] = set()
        waiting = list(positions)
        while waiting:
            position = waiting.pop()
            if position in found:
                continue
            found.add(position)
            step = self._program[position] if position < len(self._program) else None
            if isinstance(step, _Fork):
                waiting += [step.first, step.second]
        return found


@lru_cache(maxsize=512)
def compiled(text: str) -> Pattern:
    """The pattern, remembered; raises PatternError."""
    return Pattern(text)


class _Parser:
    """Recursive descent; each method returns a program whose jumps are relative to its own beginning."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("^")
        if self._text.endswith("$") and not self._text.endswith("\\$"):
            self._text = self._text[:-1]
        self._at = 0

    def parse(self) -> _Program:
        found = self._alternatives(0)
        if self._at < len(self._text):
            raise PatternError(f"has a ')' at character {self._at + 1} that nothing opens")
        return found

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _alternatives(self, depth: int) -> _Program:
        if depth > 16:
            raise PatternError("has groups within groups more than 16 deep")
        found = self._sequence(depth)
        while self._peek() == "|":
            self._at += 1
            found = _either(found, self._sequence(depth))
        return found

    def _sequence(self, depth: int) -> _Program:
        found: _Program = []
        while self._peek() not in ("", "|", ")"):
            found = _then(found, self._repeated(self._one(depth)))
        return found

    def _one(self, depth: int) -> _Program:
        character = self._peek()
        self._at += 1
        if character == "(":
            if self._text.startswith("?:", self._at):
                self._at += 2
            found = self._alternatives(depth + 1)
            if self._peek() != ")":
                raise PatternError("has a group that is never closed")
            self._at += 1
            return found
        if character == "[":
            return [self._class()]
        if character == ".":
            return [_Characters((), negated=True)]
        if character == "\\":
            return [self._escape()]
        if character in "*+?{}]^$":
            raise PatternError(f"has {character!r} at character {self._at} with nothing before it; write \\{character}")
        return [_Characters(((character, character),))]

    def _escape(self) -> _Characters:
        character = self._peek()
        self._at += 1
        if character.lower() in _CLASSES and character:
            return _Characters(_CLASSES[character.lower()], negated=character.isupper())
        if character not in _PLAIN or not character:
            raise PatternError(f"has '\\{character}', which is not understood")
        return _Characters(((character, character),))

    def _class(self) -> _Characters:
        negated = self._peek() == "^"
        self._at += negated
        ranges: list[tuple[str, str]] = []
        while (character := self._peek()) != "]" or not ranges:
            if not character:
                raise PatternError("has a '[' that is never closed")
            self._at += 1
            if character == "\\":
                escaped = self._escape()
                if escaped.negated:
                    raise PatternError("has a negated class within '[…]', which is not understood")
                ranges += escaped.ranges
                continue
            if character == "[":
                raise PatternError("has a '[' within '[…]'; write \\[")
            last = self._text[self._at + 1 : self._at + 2]
            if self._peek() == "-" and last not in ("", "]"):
                self._at += 2
                if last == "\\" or last < character:
                    raise PatternError(f"has the range {character}-{last}, which is not understood")
                ranges.append((character, last))
            else:
                ranges.append((character, character))
        self._at += 1
        return _Characters(tuple(ranges), negated)

    def _repeated(self, one: _Program) -> _Program:
        character = self._peek()
        bounds = _REPEAT.match(self._text, self._at)
        if character == "{" and not bounds:
            raise PatternError(f"has a '{{' at character {self._at + 1} that is no number of times; write \\{{")
        if character not in "*+?{" or not character:
            return one
        self._at = bounds.end() if bounds and character == "{" else self._at + 1
        if self._peek() in ("*", "+", "?", "{") and self._peek():
            raise PatternError(f"repeats what is repeated at character {self._at + 1}, which is not understood")
        if character == "{" and bounds:
            least = int(bounds[1])
            most = int(bounds[3]) if bounds[3] else (None if bounds[2] else least)
            return _times(one, least, most)
        return {"*": _star(one), "+": _then(one, _star(one)), "?": _maybe(one)}[character]


def _check_size(program: _Program) -> _Program:
    if len(program) > _MOST_STEPS:
        raise PatternError(f"is too large: it has more than {_MOST_STEPS} steps when its repetitions are written out")
    return program


def _moved(program: _Program, by: int) -> _Program:
    return [_Fork(s.first + by, s.second + by) if isinstance(s, _Fork) else s for s in program]


def _then(first: _Program, second: _Program) -> _Program:
    return _check_size([*first, *_moved(second, len(first))])


def _either(first: _Program, second: _Program) -> _Program:
    # fork, first, jump to the end, second
    end = len(first) + len(second) + 2
    between = len(first) + 2
    return _check_size([_Fork(1, between), *_moved(first, 1), _Fork(end, end), *_moved(second, between)])


def _star(one: _Program) -> _Program:
    end = len(one) + 2
    return _check_size([_Fork(1, end), *_moved(one, 1), _Fork(0, 0)])


def _maybe(one: _Program) -> _Program:
    return _check_size([_Fork(1, len(one) + 1), *_moved(one, 1)])


def _times(one: _Program, least: int, most: int | None) -> _Program:
    if most is not None and most < least:
        raise PatternError(f"repeats from {least} to {most} times")
    if len(one) * max(least, most or 0) > _MOST_STEPS:
        raise PatternError(f"is too large: it has more than {_MOST_STEPS} steps when its repetitions are written out")
    found: _Program = []
    for _ in range(least):
        found = _then(found, one)
    if most is None:
        return _then(found, _star(one))
    for _ in range(most - least):
        found = _then(found, _maybe(one))
    return found
