"""A JSON Schema of the annotations, for editors: completion, a description of each, and a line under a slip.

It is about the grammar. Whether a blueprint permits a value is known where the blueprint is: `autobackup resolve`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from reconcilers import annotations as asked
from reconcilers import grammar
from reconcilers.overridable import OVERRIDABLE
from reconcilers.registry import ANNOTATIONS

NAME = "annotations.schema.json"


def render_annotation_schema() -> str:
    """The schema of a manifest whose `metadata.annotations` may hold our annotations."""
    annotations: dict[str, Any] = {
        "type": "object",
        "properties": {
            found.key: _value(found.key, f"{found.syntax}. {found.meaning}", found.example)
            for found in ANNOTATIONS
            if "<" not in found.key
        },
        "patternProperties": {
            f"^{re.escape(prefix)}": _value("", f"{found.syntax}. {found.meaning}", found.example)
            for found in ANNOTATIONS
            for prefix, rest in [found.key.split("<")[:2] if "<" in found.key else (found.key, "")]
            if rest
        },
        "propertyNames": {
            "anyOf": [
                {"enum": [found.key for found in ANNOTATIONS if "<" not in found.key]},
                {"pattern": f"^{re.escape(asked.PREFIX)}({'|'.join(asked._BOOKKEEPING)})"},
                {"not": {"pattern": f"^{re.escape(asked.PREFIX)}"}},
            ]
        },
        "additionalProperties": {"type": "string"},
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A manifest with annotations of automatic backup",
        "type": "object",
        "properties": {
            "metadata": {"type": "object", "properties": {"annotations": {"$ref": "#/$defs/annotations"}}},
        },
        "$defs": {"annotations": annotations},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _value(key: str, description: str, example: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "string",
        "description": description,
        "maxLength": grammar.LONGEST,
        "examples": [example],
    }
    if key in OVERRIDABLE:
        found["pattern"] = OVERRIDABLE[key].pattern
    return found
