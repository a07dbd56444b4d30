"""Kubernetes' own types (Affinity, Probe, VolumeSource, ...) as structural schemas for a CRD.

`core-types.json` holds them as a kube-apiserver serves them at /openapi/v3/api/v1 (see `tools.crds.extract`), cut to
what we embed and without prose. Embedding changes four things, each for a reason:
- references are resolved, quantities and ports become int-or-string: a CRD knows no $ref;
- defaults and enums are dropped: the API server applies them to the Pod or PersistentVolumeClaim that is made from the
  template; here they would refuse `${VARIABLES}` in blueprints and values that later Kubernetes releases add, and would
  write fields that nobody set into objects the operator compares with what it applied;
- every list is atomic (see `tools.crds.schema`) and every string, list and map gets a bound;
- the descriptions are our own short ones (core-descriptions.yaml): with Kubernetes' full prose a CRD outgrows the
  256 KiB that `kubectl apply` can remember in its last-applied annotation.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.crds.schema import LONG, NAME, PATH, Schema, listing, mapping, port, quantity, string, time

_HERE = Path(__file__).parent
_PREFIXES = ("io.k8s.api.core.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1.")
_DEFAULT_LENGTH = 1024
_LENGTHS = {
    "name": NAME,
    "namespace": NAME,
    "kind": NAME,
    "key": 317,  # a prefixed label key: 253 + "/" + 63
    "path": PATH,
    "mountPath": PATH,
    "subPath": PATH,
    "subPathExpr": PATH,
    "command": LONG,
    "value": LONG,
    "gmsaCredentialSpec": 65536,
    "message": LONG,
}
_ITEMS = {"command": 1024, "values": 512}
_DEFAULT_ITEMS = 256


def embed(type_name: str, description: str) -> Schema:
    """The named Kubernetes type as an object schema with our description."""
    return _describe(_convert_type(type_name), description)


def embed_items(type_name: str, description: str, *, most: int, each: tuple[Schema, ...] = ()) -> Schema:
    """An atomic list of the named type; `each` adds CEL rules to the items."""
    item = _convert_type(type_name)
    if each:
        item["x-kubernetes-validations"] = list(each)
    return listing(description, item, most=most)


def fields_of(type_name: str, *, without: frozenset[str] = frozenset()) -> dict[str, Schema]:
    """The type's fields, for a type of ours that inlines them."""
    properties: dict[str, Schema] = _convert_type(type_name)["properties"]
    return {name: schema for name, schema in properties.items() if name not in without}


def required_of(type_name: str) -> list[str]:
    return list(_types()[type_name].get("required", []))


def _convert_type(type_name: str) -> Schema:
    served = _types()[type_name]
    schema: Schema = {"type": "object"}
    schema["properties"] = {
        field: _describe(_convert(served_field, type_name=type_name, field=field), _description(type_name, field))
        for field, served_field in sorted(served["properties"].items())
    }
    if served.get("required"):
        schema["required"] = sorted(served["required"])
    if served.get("x-kubernetes-map-type") == "atomic":
        schema["x-kubernetes-map-type"] = "atomic"
    return schema


def _convert(served: dict[str, Any], *, type_name: str, field: str) -> Schema:
    reference = served.get("$ref") or next((part["$ref"] for part in served.get("allOf", [])), None)
    if reference is not None:
        return _convert_reference(reference)
    match served["type"]:
        case "string":
            return string("", most=_LENGTHS.get(field, _DEFAULT_LENGTH))
        case "array":
            items = _convert(served["items"], type_name=type_name, field=field)
            return listing("", items, most=_ITEMS.get(field, _DEFAULT_ITEMS))
        case "object":
            values = _convert(served["additionalProperties"], type_name=type_name, field="value")
            return mapping("", values=values)
        case scalar:
            return {"type": scalar} | ({"format": served["format"]} if "format" in served else {})


def _convert_reference(reference: str) -> Schema:
    name = reference.rsplit("/", 1)[-1]
    match name.rsplit(".", 1)[-1]:
        case "Quantity":
            return quantity("")
        case "IntOrString":
            return port("")
        case "Time":
            return time("")
        case short:
            return _convert_type(short)


def _describe(schema: Schema, description: str) -> Schema:
    return {"description": description} | {key: value for key, value in schema.items() if key != "description"}


def _description(type_name: str, field: str) -> str:
    texts = _descriptions()
    text = texts.get(type_name, {}).get(field) or texts["any"].get(field)
    if text is None:
        raise KeyError(f"core-descriptions.yaml has no text for {type_name}.{field}: add one")
    return text


@cache
def _types() -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads((_HERE / "core-types.json").read_text())["schemas"]
    return {_shorten(name): schema for name, schema in schemas.items()}


@cache
def _descriptions() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = yaml.safe_load((_HERE / "core-descriptions.yaml").read_text())
    return texts


def _shorten(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name
