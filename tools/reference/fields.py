"""One page for each CRD of manifests/crds/: every field, what it means, what it may be.

The page is made from the manifest that is installed, not from the generator that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.reference.markdown import code, codes, page, prose, table

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CRDS = Path(__file__).parents[2] / "manifests" / "crds"

_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} entries",
    "maxProperties": "at most {} entries",
    "pattern": "matches `{}`",
    "format": "format {}",
}


def render_fields() -> dict[str, str]:
    """The pages by file name."""
    found = {}
    for path in sorted(CRDS.glob("*.yaml")):
        definition = yaml.load(path.read_text(), Loader=_Loader)
        found[f"fields/{definition['spec']['names']['kind'].lower()}.md"] = _render(definition)
    return found


def _render(definition: Mapping[str, Any]) -> str:
    spec = definition["spec"]
    names, version = spec["names"], next(v for v in spec["versions"] if v["storage"])
    schema = version["schema"]["openAPIV3Schema"]
    facts = [
        f"- API version: {code(spec['group'] + '/' + version['name'])}",
        f"- Scope: {spec['scope'].lower()}",
        f"- Names for kubectl: {codes([names['plural'], names['singular'], *names.get('shortNames', ())])}",
        f"- Categories: {codes(names.get('categories', ()))}",
        f"- Status subresource: {'yes' if 'status' in version.get('subresources', {}) else 'no'}",
    ]
    if version.get("selectableFields"):
        paths = [field["jsonPath"].removeprefix(".") for field in version["selectableFields"]]
        facts.append(f"- Field selectors: {codes(paths)}")
    parts = [prose(schema.get("description", "")), "\n".join(facts)]
    if schema.get("x-kubernetes-validations"):
        parts.append("\n".join(f"- {prose(rule['message'])}" for rule in schema["x-kubernetes-validations"]))
    for name, child in schema["properties"].items():
        if name in ("apiVersion", "kind", "metadata"):
            continue
        required = name in schema.get("required", ())
        parts.append(f"## {name}")
        parts.append(table(["Field", "Type", "Description"], _rows(name, child, required=required)))
    columns = [(column["name"], code(column["jsonPath"])) for column in version.get("additionalPrinterColumns", ())]
    if columns:
        parts += ["## Columns of kubectl get", table(["Column", "Field"], columns)]
    return page(f"Fields of {names['kind']}", *parts)


def _rows(path: str, schema: Mapping[str, Any], *, required: bool) -> Iterator[tuple[str, str, str]]:
    yield code(path), _type(schema), _description(schema, required=required)
    if schema.get("type") == "array":
        items = schema["items"]
        if items.get("type") == "object" and items.get("properties"):
            yield from _children(f"{path}[]", items)
        elif extra := _limits(items):
            yield code(f"{path}[]"), _type(items), prose(extra)
        return
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping) and values.get("properties"):
        yield from _children(f"{path}.*", values)
    yield from _children(path, schema)


def _children(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    needed = set(schema.get("required", ()))
    for name, child in schema.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", child, required=name in needed)


def _type(schema: Mapping[str, Any]) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, Mapping):
        return f"map of {_type(values)}"
    return kind


def _description(schema: Mapping[str, Any], *, required: bool) -> str:
    found = [("**Required.** " if required else "") + prose(schema.get("description", ""))]
    if "default" in schema:
        found.append(f"Default: {code(str(schema['default']))}.")
    if limits := _limits(schema):
        found.append(prose(limits))
    rules = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    items = schema.get("items", {}) if schema.get("type") == "array" else {}
    rules += [rule["message"] for rule in items.get("x-kubernetes-validations", ())]
    found.extend(f"<br>• {prose(text)}" for text in rules)
    return " ".join(part for part in found if part)


def _limits(schema: Mapping[str, Any]) -> str:
    found = [text.format(schema[name]) for name, text in _BOUNDS.items() if name in schema]
    if "enum" in schema:
        found.append("one of " + codes(str(value) for value in schema["enum"]))
    text = ", ".join(found)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
