"""The option `defaults`: what the operator gives where a blueprint says nothing, in the grammar of the annotations."""

from __future__ import annotations

from dataclasses import dataclass

from reconcilers import defaults
from reconcilers.grammar import Malformed


@dataclass(frozen=True, slots=True)
class Defaults:
    """Texts such as `timeout=2h`: a list in a file, separated by `;` elsewhere."""

    allowed: str = f"name=value with the names {', '.join(defaults.NAMES)}, each written as the annotation of that name"

    def read(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError
        return _checked(tuple(value))

    def read_text(self, text: str) -> tuple[str, ...]:
        return _checked(tuple(item.strip() for item in text.split(";") if item.strip()))


def _checked(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        defaults.parse(texts)
    except Malformed:
        raise ValueError from None
    return texts
