"""What the grammars of overrides share: one error, lists of `name=value`, whole numbers, yes and no.

A parser takes the text of an annotation and gives back a typed value, or raises `Malformed` and nothing else, whatever
the text is. It knows nothing of blueprints: whether a value is allowed is decided by `reconcilers.bounds`.
"""

from __future__ import annotations

import json
import re

LONGEST = 4096
MOST_ITEMS = 64
_NUMBER = re.compile(r"[0-9]{1,9}", re.A)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")


class Malformed(ValueError):
    """A text that is not of the grammar: what is wrong, and how it is written."""

    def __init__(self, problem: str, *, hint: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def check_text(text: str) -> str:
    """The text, if it is short and holds no control characters."""
    if len(text) > LONGEST:
        raise Malformed(f"is longer than {LONGEST} characters", hint="shorten it")
    if _CONTROL.search(text):
        raise Malformed("has control characters or line breaks", hint="write it on one line")
    return text


def split(text: str) -> list[str]:
    """The items of a list separated by commas, without the blanks around them."""
    items = [item.strip() for item in check_text(text).split(",")]
    if not all(items):
        raise Malformed("has an empty item", hint="remove the stray comma, or remove the annotation")
    if len(items) > MOST_ITEMS:
        raise Malformed(f"has {len(items)} items, more than {MOST_ITEMS}", hint="shorten it")
    return items


def listed(text: str) -> list[str]:
    """The items of a list separated by commas, or of a JSON list of strings, which may hold commas."""
    if len(text) > LONGEST:
        raise Malformed(f"is longer than {LONGEST} characters", hint="shorten it")
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            loaded = json.loads(stripped)
        except (ValueError, RecursionError):
            loaded = None
        if not isinstance(loaded, list) or not all(isinstance(item, str) for item in loaded):
            raise Malformed(
                "starts like a JSON list but is not a list of strings",
                hint='write ["first", "second"], or first,second',
            )
        items = [str(item) for item in loaded]
    else:
        items = [item.strip() for item in stripped.split(",")]
    if not items or any(not item.strip() for item in items):
        raise Malformed("has an empty item", hint="remove the stray comma, or remove the annotation")
    if len(items) > MOST_ITEMS:
        raise Malformed(f"has {len(items)} items, more than {MOST_ITEMS}", hint="name fewer")
    return items


def number(text: str, *, what: str) -> int:
    """A whole number from 0."""
    found = check_text(text).strip()
    if not _NUMBER.fullmatch(found):
        raise Malformed(f"is not {what}", hint="write a whole number such as 10")
    return int(found)


def truth(text: str) -> bool:
    """`true` or `false`."""
    found = check_text(text).strip()
    if found not in ("true", "false"):
        raise Malformed("is neither true nor false", hint="write true or false, in quotes where it is YAML")
    return found == "true"
