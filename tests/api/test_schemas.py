"""What holds for every CRD, read off the generator's output: no server is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api import stash_fields
from tools.crds.__main__ import DIRECTORY, stale, write
from tools.crds.definition import Kind
from tools.crds.kinds import KINDS

Schema = dict[str, Any]

# Defaults that Stash's own CRDs have; any other would put fields into objects that nobody wrote there.
DEFAULTS = {
    "spec.driver": "Restic",
    "spec.hooks.postBackup.executionPolicy": "Always",
    "spec.hooks.postRestore.executionPolicy": "Always",
    "spec.retryConfig.maxRetry": 1,
    "spec.secret.kind": "Secret",
    "spec.tlsSecret.kind": "Secret",
    "spec.usagePolicy.allowedNamespaces.from": "Same",
}
# The annotation that client-side `kubectl apply` writes has to hold the whole definition.
LAST_APPLIED_LIMIT = 262144


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


def schemas_of(kind: Kind) -> Iterator[tuple[str, Schema]]:
    """Every schema of spec and status with its path; items are `[]`, values of maps `{}`."""
    for part in ("spec", "status"):
        schema = kind.schema()["properties"].get(part)
        if schema is not None:
            yield from _walk(part, schema)


def _walk(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _walk(f"{path}.{name}", child)
    if "items" in schema:
        yield from _walk(f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from _walk(f"{path}{{}}", schema["additionalProperties"])


def test_committed_files_are_what_the_generator_writes() -> None:
    assert stale(DIRECTORY) == []


def test_a_stale_directory_is_found_out(tmp_path: Path) -> None:
    write(tmp_path)
    assert stale(tmp_path) == []
    first, second, *_ = sorted(tmp_path.iterdir())
    first.write_text(first.read_text() + "# edited\n")
    second.unlink()
    (tmp_path / "other.yaml").write_text("")
    assert stale(tmp_path) == [f"{first.name}: differs", f"{second.name}: is missing", "other.yaml: no such kind"]


def test_every_field_is_described(kind: Kind) -> None:
    undescribed = [
        path
        for path, schema in schemas_of(kind)
        if not path.endswith(("[]", "{}")) and not schema.get("description", "").endswith(".")
    ]
    assert undescribed == []


def test_every_text_list_and_map_is_bounded(kind: Kind) -> None:
    unbounded = [path for path, schema in schemas_of(kind) if not _bounded(schema)]
    assert unbounded == []


def _bounded(schema: Schema) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return "maxLength" in schema
    match schema["type"]:
        case "string":
            return "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        case "array":
            return "maxItems" in schema
        case "object":
            return "properties" in schema or "maxProperties" in schema or _is_foreign(schema)
        case "integer" | "boolean":
            return True
        case other:
            pytest.fail(f"no bound is known for the type {other}")


def _is_foreign(schema: Schema) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields"))


def test_only_the_parameters_of_an_app_binding_keep_unknown_fields(kind: Kind) -> None:
    foreign = [path for path, schema in schemas_of(kind) if _is_foreign(schema)]
    assert foreign == (["spec.parameters"] if kind.kind == "AppBinding" else [])


def test_lists_are_atomic_but_for_conditions(kind: Kind) -> None:
    for path, schema in schemas_of(kind):
        if schema.get("type") != "array":
            continue
        if path.startswith("status") and path.endswith(".conditions"):
            assert (schema["x-kubernetes-list-type"], schema["x-kubernetes-list-map-keys"]) == ("map", ["type"]), path
        else:
            assert schema["x-kubernetes-list-type"] == "atomic", path
            assert "x-kubernetes-list-map-keys" not in schema, path


def test_defaults_are_those_of_stash(kind: Kind) -> None:
    found = {path: schema["default"] for path, schema in schemas_of(kind) if "default" in schema}
    assert found.items() <= DEFAULTS.items()


def test_rules_have_messages_that_say_what_to_do(kind: Kind) -> None:
    rules = [(path, rule) for path, schema in schemas_of(kind) for rule in _rules(schema)]
    for path, rule in rules:
        assert rule["message"].isprintable(), path
        assert 20 < len(rule["message"]) <= 200, (path, rule["message"])
        assert not rule["message"].endswith("."), (path, rule["message"])


def test_no_rule_stands_in_the_way_of_a_status(kind: Kind) -> None:
    """A status that is refused hides what went wrong."""
    assert [path for path, schema in schemas_of(kind) if path.startswith("status") and _rules(schema)] == []


def _rules(schema: Schema) -> list[Schema]:
    return schema.get("x-kubernetes-validations", [])


def test_fits_into_what_kubectl_apply_remembers(kind: Kind) -> None:
    assert len(json.dumps(kind.definition())) < LAST_APPLIED_LIMIT


def test_every_kind_is_found_by_the_category(kind: Kind) -> None:
    assert "autobackup" in kind.definition()["spec"]["names"]["categories"]


def test_status_is_a_subresource_where_there_is_one(kind: Kind) -> None:
    version = kind.definition()["spec"]["versions"][0]
    assert ("subresources" in version) == ("status" in kind.schema()["properties"])
    assert (kind.kind == "AppBinding") == ("subresources" not in version)


def test_has_every_field_of_stash(kind: Kind) -> None:
    """Field names are Stash's interface: a manifest written for it must find each of them here."""
    ours = {path for path, _ in schemas_of(kind)}
    wanted = set(stash_fields.paths(kind.kind))
    assert len(wanted) > 10
    assert wanted - ours == set()
