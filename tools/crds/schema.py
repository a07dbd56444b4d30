"""The few words that our CustomResourceDefinitions are written in.

Contract: every function returns a fresh structural OpenAPI v3 schema (a plain dict), as the API server wants it in a
CRD. Every string, list and map carries a bound, because the API server prices CEL rules by the largest object that
could pass; every field carries a description, because `kubectl explain` is the manual.

Lists are atomic unless `by` names their keys, and only `conditions` use it: one writer owns a list as a whole, so what
the operator applied and what it reads back compare as equal without knowledge of merge keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

NAME = 253  # the longest object name (DNS subdomain)
LABEL = 63  # the longest DNS label: namespaces, containers
PATH = 4096  # the longest file path Linux takes
LONG = 32768  # commands, messages, environment values

# What the API server's own Quantity parser takes, as a pattern (resource.MustParse in k8s.io/apimachinery).
QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


def rule(expression: str, message: str) -> Schema:
    """One CEL validation; the message says what to do, not what was wrong with the expression."""
    return {"rule": expression, "message": message}


def string(
    description: str,
    *,
    most: int = NAME,
    least: int | None = None,
    enum: Sequence[str] = (),
    default: str | None = None,
    format: str | None = None,  # noqa: A002 - the OpenAPI keyword
    rules: Iterable[Schema] = (),
) -> Schema:
    schema: Schema = {"description": description, "type": "string"}
    if format is not None:
        schema["format"] = format
    if enum:
        schema["enum"] = list(enum)
    elif format != "date-time":
        schema["maxLength"] = most
    if least is not None:
        schema["minLength"] = least
    if default is not None:
        schema["default"] = default
    return _ruled(schema, rules)


def time(description: str) -> Schema:
    return string(description, format="date-time")


def boolean(description: str) -> Schema:
    return {"description": description, "type": "boolean"}


def integer(
    description: str,
    *,
    bits: int = 32,
    least: int | None = None,
    most: int | None = None,
    default: int | None = None,
) -> Schema:
    schema: Schema = {"description": description, "type": "integer", "format": f"int{bits}"}
    if least is not None:
        schema["minimum"] = least
    if most is not None:
        schema["maximum"] = most
    if default is not None:
        schema["default"] = default
    return schema


def quantity(description: str) -> Schema:
    return _number_or_text(description, most=64) | {"pattern": QUANTITY}


def port(description: str) -> Schema:
    return _number_or_text(description, most=LABEL)


def record(
    description: str,
    fields: Mapping[str, Schema],
    *,
    required: Sequence[str] = (),
    rules: Iterable[Schema] = (),
    atomic: bool = False,
) -> Schema:
    schema: Schema = {"description": description, "type": "object", "properties": dict(sorted(fields.items()))}
    if required:
        schema["required"] = sorted(required)
    if atomic:
        schema["x-kubernetes-map-type"] = "atomic"
    return _ruled(schema, rules)


def listing(
    description: str,
    items: Schema,
    *,
    most: int,
    least: int | None = None,
    by: Sequence[str] = (),
    rules: Iterable[Schema] = (),
) -> Schema:
    schema: Schema = {"description": description, "type": "array", "items": _bare(items), "maxItems": most}
    if least is not None:
        schema["minItems"] = least
    schema["x-kubernetes-list-type"] = "map" if by else "atomic"
    if by:
        schema["x-kubernetes-list-map-keys"] = list(by)
    return _ruled(schema, rules)


def strings(
    description: str,
    *,
    most: int = 256,
    each: int = PATH,
    rules: Iterable[Schema] = (),
    each_rules: Iterable[Schema] = (),
) -> Schema:
    return listing(description, string("", most=each, rules=each_rules), most=most, rules=rules)


def mapping(description: str, *, values: Schema | None = None, most: int = 256, each: int = PATH) -> Schema:
    """A map of any keys; `values` describes one value, text of at most `each` characters unless given."""
    return {
        "description": description,
        "type": "object",
        "additionalProperties": _bare(values if values is not None else string("", most=each)),
        "maxProperties": most,
    }


def anything(description: str) -> Schema:
    """An object that belongs to somebody else: kept as it comes, never pruned."""
    return {"description": description, "type": "object", "x-kubernetes-preserve-unknown-fields": True}


def with_rules(schema: Schema, *rules: Schema) -> Schema:
    return _ruled(dict(schema), rules)


def _number_or_text(description: str, *, most: int) -> Schema:
    return {
        "description": description,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "maxLength": most,
        "x-kubernetes-int-or-string": True,
    }


def _bare(items: Schema) -> Schema:
    """Items are explained by the list that holds them: an empty description is dropped."""
    return {key: value for key, value in items.items() if key != "description" or value}


def _ruled(schema: Schema, rules: Iterable[Schema]) -> Schema:
    added = list(rules)
    if added:
        schema["x-kubernetes-validations"] = [*schema.get("x-kubernetes-validations", []), *added]
    return schema
