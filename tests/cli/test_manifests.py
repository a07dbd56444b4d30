"""Files that people give: what is found in them, and what is said about the ones that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobackup.exits import UsageError
from autobackup.manifests import load
from tests.cli.conftest import EXAMPLES, Command, start

Files = Callable[[Mapping[str, str]], Path]

BLUEPRINT = (EXAMPLES / "blueprint-pvc.yaml").read_text()
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  annotations:
    stash.appscode.com/backup-blueprint: pvc-backup
"""


def claim(name: str = "data", **metadata: Any) -> dict[str, Any]:
    annotations = {"stash.appscode.com/backup-blueprint": "pvc-backup"}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "annotations": annotations, **metadata},
    }


def names(output: str) -> list[str]:
    return [line.partition("/")[2] for line in output.splitlines() if line.startswith("backupconfiguration")]


def test_lists_documents_json_and_directories_are_taken_apart(command: Command, files: Files) -> None:
    files(
        {
            "blueprint.json": json.dumps(yaml.safe_load(BLUEPRINT)),
            "all/b.yaml": f"---\n{CLAIM}---\n---\n# nothing\n---\n{CLAIM.replace('name: data', 'name: data2')}",
            "all/a.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim("one"), claim("two")]}),
            "all/c.yml": json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaimList",
                    "items": [{"metadata": claim("three")["metadata"]}],
                }
            ),
            "all/readme.md": "not a manifest",
            "all/deeper/x.yaml": "not: read",
        }
    )
    ended = command("resolve", "-q", "-b", "blueprint.json", "-f", "all", "-o", "name")
    assert ended.code == 0, ended.err
    assert names(ended.out) == ["pvc-one", "pvc-two", "pvc-data", "pvc-data2", "pvc-three"]


def test_stdin_may_hold_everything() -> None:
    ended = start("resolve", "-q", "-f", "-", "-o", "name", stdin=f"{BLUEPRINT}---\n{CLAIM}")
    assert (ended.code, names(ended.out)) == (0, ["pvc-data"])
    twice = start("resolve", "-b", "-", "-f", "-", stdin="")
    assert twice.code == 2
    assert "twice" in twice.err


def test_the_namespace_of_the_file_wins_over_the_flag(command: Command, files: Files) -> None:
    files(
        {"a.yaml": CLAIM, "b.yaml": CLAIM.replace("name: data", "name: data\n  namespace: own"), "bp.yaml": BLUEPRINT}
    )
    ended = command("resolve", "-q", "-b", "bp.yaml", "-f", "a.yaml", "-f", "b.yaml", "-n", "given", "-o", "json")
    found = [item["metadata"]["namespace"] for item in json.loads(ended.out)["items"]]
    assert found == ["given", "given", "own", "own"]
    ended = command("resolve", "-q", "-b", "bp.yaml", "-f", "a.yaml", "-o", "json")
    assert {item["metadata"]["namespace"] for item in json.loads(ended.out)["items"]} == {"default"}


def test_every_object_knows_where_it_stands(files: Files) -> None:
    files({"a.yaml": f"# first\n{CLAIM}---\napiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  apiVersion: v1\n"})
    first, second = load(["a.yaml"])
    assert first.place() == "a.yaml:2"
    assert first.place("metadata", "name") == "a.yaml:5"
    assert first.place("metadata", "annotations", "missing") == "a.yaml:6"
    assert first.place("spec", "a", "b") == "a.yaml:2"
    assert second.place("kind") == "a.yaml:12"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "a: [1\nb: 2\n", "a.yaml:2: error:"),
        ("a.yaml", CLAIM + "kind: Pod\n", "a.yaml:7: error: key 'kind' is given twice, first in line 2"),
        ("a.yaml", "- a\n- b\n", "a.yaml:1: error: a list, where an object"),
        ("a.yaml", "just text\n", "a.yaml:1: error: a plain value, where an object"),
        ("a.yaml", "apiVersion: v1\n", "a.yaml:1: error: kind is missing"),
        ("a.yaml", "kind: 5\napiVersion: v1\n", "a.yaml:1: error: kind is not text"),
        ("a.yaml", "apiVersion: v1\nkind: List\nitems: [1]\n", "a.yaml:3: error: items[0] is not an object"),
        (
            "a.yaml",
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List}\n",
            "a.yaml:4: error: a list within",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: PersistentVolumeClaim\n",
            "a.yaml:1: error: PersistentVolumeClaim has no metadata",
        ),
        ("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {}\n", "a.yaml:3: error: Pod has no metadata.name"),
        (
            "a.yaml",
            CLAIM.replace("name: data", "name: 5"),
            "a.yaml:4: error: PersistentVolumeClaim has no metadata.name that is text",
        ),
        ("a.yaml", CLAIM.replace("pvc-backup", "yes"), "a.yaml:6: error: metadata.annotations"),
        ("a.yaml", CLAIM.replace("pvc-backup", "5"), "put quotes around it"),
        (
            "a.yaml",
            CLAIM.partition("  annotations")[0] + "  annotations: [a]\n",
            "a.yaml:5: error: metadata.annotations is not a mapping",
        ),
        ("a.yaml", CLAIM + "spec: 5\n", "a.yaml:7: error: spec is not a mapping"),
        ("a.yaml", CLAIM + "---\n" + CLAIM, "a.yaml:8: error: PersistentVolumeClaim"),
        (
            "a.yaml",
            CLAIM.replace("PersistentVolumeClaim", "CronJob").replace("v1", "batch/v1"),
            "but a CronJob cannot be a target; annotate one of Deployment (apps/v1)",
        ),
        (
            "a.yaml",
            CLAIM.replace("PersistentVolumeClaim", "Deployment").replace("v1", "apps/v1beta1"),
            "write apiVersion: apps/v1",
        ),
        (
            "a.yaml",
            CLAIM.replace("PersistentVolumeClaim", "Deployment").replace("v1", "extensions/v1beta1"),
            "write apiVersion: apps/v1",
        ),
        ("a.yaml", CLAIM.replace("v1", "v2"), "but a PersistentVolumeClaim of v2 cannot be a target"),
        ("a.json", '{"a": 1,}', "a.json:1:"),
        ("a.json", '{"kind": "a", "kind": "b"}', "a.json: error: key 'kind' is given twice"),
        ("a.json", '{"a":' * 5000, "a.json: error: nested deeper"),
        ("a.json", json.dumps({"kind": "Pod"}), "a.json: error: apiVersion is missing"),
        ("a.yaml", "", "found nothing"),
        (
            "a.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
            "found Service; a target is one of Deployment",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_2_and_says_where(
    command: Command, files: Files, name: str, text: str, said: str
) -> None:
    files({name: text, "bp.yaml": BLUEPRINT})
    ended = command("resolve", "-b", "bp.yaml", "-f", name)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "",
        "a/b",
        "a\nb",
        "${TARGET_NAME}",
        "'",
        '"; rm',
        "A",
        "a_b",
        "x" * 254,
        "x" * 100_000,
        "a..b",
        "é",
        "-a",
    ],
)
def test_a_name_that_no_api_server_takes_is_2(command: Command, files: Files, name: str) -> None:
    files({"a.json": json.dumps(claim(name)), "b.json": json.dumps(claim("a", namespace=name)), "bp.yaml": BLUEPRINT})
    ended = command("resolve", "-b", "bp.yaml", "-f", "a.json")
    assert (ended.code, ended.out) == (2, "")
    assert "metadata.name" in ended.err
    assert len(ended.err) < 500
    if name:  # an empty namespace is the default one
        ended = command("resolve", "-b", "bp.yaml", "-f", "b.json")
        assert (ended.code, ended.out) == (2, "")
        assert "metadata.namespace" in ended.err


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backend", []),
        ("backend", {"gcs": []}),
        ("backend", {"gcs": {"bucket": "b"}, "storageSecretName": 5}),
        ("schedule", 5),
        ("task", "pvc-backup"),
        ("task", {"name": "a", "params": {}}),
        ("task", {"name": "a", "params": ["x"]}),
        ("repoNamespace", ["a"]),
        ("retentionPolicy", "keep"),
        ("hooks", "x"),
    ],
)
def test_a_blueprint_of_the_wrong_shape_is_2(command: Command, files: Files, field: str, value: object) -> None:
    blueprint = yaml.safe_load(BLUEPRINT)
    blueprint["spec"][field] = value
    files({"a.yaml": CLAIM, "bp.json": json.dumps(blueprint)})
    ended = command("resolve", "-b", "bp.json", "-f", "a.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert f"spec.{field}" in ended.err


def test_files_that_are_not_there_or_not_text(command: Command, files: Files) -> None:
    folder = files({"bp.yaml": BLUEPRINT, "empty/readme": ""})
    (folder / "binary.yaml").write_bytes(b"kind: a\nx: \xff\xfe\n")
    for name, said in (
        ("missing.yaml", "No such file"),
        ("empty", "no file that ends in"),
        ("binary.yaml", "binary.yaml:2: error: is not UTF-8"),
        ("a\x00b", "null byte"),
        ("x" * 5000, "too long"),
    ):
        ended = command("resolve", "-b", "bp.yaml", "-f", name)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(files: Files) -> None:
    folder = files({})
    (folder / "a.yaml").write_bytes(b"\xef\xbb\xbf" + CLAIM.replace("\n", "\r\n").encode())
    (manifest,) = load(["a.yaml"])
    assert manifest.content["metadata"]["name"] == "data"
    assert manifest.place("metadata") == "a.yaml:3"


def test_arguments_that_do_not_go_together(command: Command, files: Files) -> None:
    files({"a.yaml": CLAIM, "bp.yaml": BLUEPRINT})
    for arguments, said in (
        ((), "-f"),
        (("-b", "bp.yaml"), "-f"),
        (("-f", "a.yaml"), "-b"),
        (("-b", "a.yaml", "-f", "a.yaml"), "a.yaml: holds PersistentVolumeClaim, and no BackupBlueprint"),
        (("-b", "bp.yaml", "-f", "a.yaml", "--diff", "-o", "yaml"), "--diff"),
        (("-b", "bp.yaml", "-f", "a.yaml", "--context", "x"), "--diff"),
    ):
        ended = command("resolve", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err


def test_a_huge_file_is_refused_before_it_is_parsed(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files({"a.yaml": CLAIM})
    monkeypatch.setattr("autobackup.manifests.MOST_BYTES", 50)
    with pytest.raises(UsageError, match="is larger than"):
        load(["a.yaml"])
