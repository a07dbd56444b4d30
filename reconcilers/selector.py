"""Label selectors as Kubernetes has them: parsed once, matched often.

Contract: `parse` understands all of a selector or raises `ValueError`. A selector that was understood half would select
too much: who decides with it about access must be able to tell.

Source: apimachinery `pkg/apis/meta/v1/helpers.go: LabelSelectorAsSelector`, `pkg/labels/selector.go`.
"""

# ruff: noqa: TRY004  a value of the wrong type is a wrong value: who reads a selector catches one exception

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WITH_VALUES = ("In", "NotIn")
_WITHOUT_VALUES = ("Exists", "DoesNotExist")
_FIELDS = {"matchLabels", "matchExpressions"}
_PARTS = {"key", "operator", "values"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return self.key not in labels or labels[self.key] not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class Selector:
    """All of the requirements; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse(selector: Any) -> Selector:
    """A selector as it stands in an object; raises ValueError with what is wrong about it."""
    if not isinstance(selector, Mapping) or not selector.keys() <= _FIELDS:
        raise ValueError("it is not made of matchLabels and matchExpressions")
    labels, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not isinstance(labels, Mapping) or not all(_is_text(text) for pair in labels.items() for text in pair):
        raise ValueError("matchLabels is not a map of texts")
    if not isinstance(expressions, list | tuple):
        raise ValueError("matchExpressions is not a list")
    equal = [Requirement(key, "In", frozenset((value,))) for key, value in sorted(labels.items())]
    return Selector((*equal, *map(_requirement, expressions)))


def _requirement(expression: Any) -> Requirement:
    if not isinstance(expression, Mapping) or not expression.keys() <= _PARTS or not _is_text(expression.get("key")):
        raise ValueError("an expression is not made of key, operator and values")
    key, operator, values = expression["key"], expression.get("operator"), expression.get("values") or []
    if operator not in (*_WITH_VALUES, *_WITHOUT_VALUES):
        raise ValueError(f"{key} has the operator {operator}, and not In, NotIn, Exists or DoesNotExist")
    if not isinstance(values, list | tuple) or not all(map(_is_text, values)):
        raise ValueError(f"the values for {key} are not a list of texts")
    if (operator in _WITH_VALUES) != bool(values):
        raise ValueError(f"{operator} {key} {'has no' if operator in _WITH_VALUES else 'takes no'} values")
    return Requirement(key, operator, frozenset(values))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
