"""JSON schemas of everything an API server knows, from its own OpenAPI document: for kubeconform, without a download.

Stricter than the document: a field that it does not name is a mistake, not an extension.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tools.controlplane import ApiClient

LOCATION: Final = "{{ .ResourceKind }}_{{ .Group }}_{{ .ResourceAPIVersion }}.json"
"""How kubeconform is to look for a schema in the folder."""

_NUMBER_OR_TEXT: Final = (
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
)


def write_schemas(client: ApiClient, folder: Path) -> int:
    """Write a schema for each kind that the server has; how many."""
    document = client.request("GET", "/openapi/v2")
    for name, each in document["definitions"].items():
        strict = {"type": ["string", "number"]} if name in _NUMBER_OR_TEXT else _strict(each)
        (folder / f"{name}.json").write_text(json.dumps(strict))
    count = 0
    for name, each in document["definitions"].items():
        for kind in each.get("x-kubernetes-group-version-kind", ()):
            file = f"{kind['kind'].lower()}_{kind['group'] or kind['version']}_{kind['version']}.json"
            (folder / file).write_text(json.dumps({"$ref": f"{name}.json"}))
            count += 1
    return count


def _strict(each: Any) -> Any:
    if isinstance(each, list):
        return [_strict(item) for item in each]
    if not isinstance(each, dict):
        return each
    found = {key: _strict(value) for key, value in each.items()}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = found["$ref"].removeprefix("#/definitions/") + ".json"
    open_ended = each.get("x-kubernetes-preserve-unknown-fields")
    if found.get("type") == "object" and isinstance(found.get("properties"), dict) and not open_ended:
        found.setdefault("additionalProperties", False)
    return found
