"""`autobackup resolve` on the kinds of the story, and on what people get wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from autobackup import yamltext
from tests.cli.conftest import EXAMPLES, GOLDEN, Command, start

BLUEPRINTS = [
    argument for name in ("workload", "pvc", "postgres") for argument in ("-b", EXAMPLES / f"blueprint-{name}.yaml")
]
TARGETS = ("deployment", "statefulset", "daemonset", "pvc", "appbinding")
# What the guides of Stash show for targets of these names.
STORY = {
    "deployment": ("deploy-stash-demo", "stash-backup/demo/deployment/stash-demo"),
    "statefulset": ("sts-sts-demo", "stash-backup/demo/statefulset/sts-demo"),
    "daemonset": ("ds-dmn-demo", "stash-backup/demo/daemonset/dmn-demo"),
    "pvc": ("pvc-nfs-pvc", "stash-backup/demo/persistentvolumeclaim/nfs-pvc"),
    "appbinding": ("app-sample-postgres-1", "stash-backup/demo/postgres/sample-postgres-1"),
}

Files = Callable[[dict[str, str]], Path]


def documents(text: str) -> list[Any]:
    return [document.value for document in yamltext.read(text)]


@pytest.mark.parametrize("target", TARGETS)
def test_each_kind_gives_exactly_these_objects(command: Command, target: str) -> None:
    ended = command("resolve", *BLUEPRINTS, "-f", EXAMPLES / f"{target}.yaml")
    assert ended.code == 0, ended.err
    expected = (GOLDEN / f"{target}.yaml").read_text()
    assert ended.out == expected, f"if this is right: autobackup resolve -q … > tests/cli/golden/{target}.yaml"


@pytest.mark.parametrize("target", TARGETS)
def test_names_and_prefixes_are_those_of_stash(target: str) -> None:
    repository, configuration = documents((GOLDEN / f"{target}.yaml").read_text())
    name, prefix = STORY[target]
    assert repository["metadata"]["name"] == configuration["metadata"]["name"] == name
    backend = repository["spec"]["backend"]
    assert next(value["prefix"] for value in backend.values() if isinstance(value, dict)) == prefix


def test_a_directory_gives_all_of_them_and_json_has_the_same_content(command: Command) -> None:
    as_yaml = command("resolve", "-f", EXAMPLES)
    as_json = command("resolve", "-f", EXAMPLES, "-o", "json")
    as_names = command("resolve", "-f", EXAMPLES, "-o", "name")
    assert as_yaml.code == as_json.code == as_names.code == 0
    items = json.loads(as_json.out)["items"]
    assert items == documents(as_yaml.out) == list(yaml.safe_load_all(as_yaml.out))
    assert len(items) == 2 * len(TARGETS)
    kinds = {"Repository": "repository", "BackupConfiguration": "backupconfiguration"}
    assert as_names.out.split() == [
        f"{kinds[item['kind']]}.stash.appscode.com/{item['metadata']['name']}" for item in items
    ]


@pytest.mark.parametrize("name", ["autobackup", "kubectl-autobackup"])
def test_the_installed_programs_do_the_same(programs: Path, name: str) -> None:
    manifest = (EXAMPLES / "pvc.yaml").read_text()
    ended = start("resolve", *BLUEPRINTS, "-f", "-", program=programs / name, stdin=manifest)
    assert (ended.code, ended.out) == (0, (GOLDEN / "pvc.yaml").read_text())


NAMESPACE_THAT_ASKS = """\
apiVersion: v1
kind: Namespace
metadata:
  name: default
  labels: {team: a}
  annotations:
    stash.appscode.com/backup-blueprint: nightly
"""
SHARED = """\
apiVersion: stash.appscode.com/v1beta1
kind: BackupBlueprint
metadata: {name: nightly}
spec:
  allowedNamespaces: {selector: {matchLabels: {team: a}}}
  targetKinds: [PersistentVolumeClaim]
  backend:
    s3: {endpoint: s3.example.com, bucket: b, prefix: "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"}
    storageSecretName: storage
  schedule: "0 2 * * *"
  retentionPolicy: {name: keep, keepLast: 5, prune: true}
"""
CLAIMS = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: spare}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {stash.appscode.com/backup-blueprint: nightly}
spec:
  template:
    spec:
      containers:
        - {name: main, image: i, volumeMounts: [{name: data, mountPath: /srv}]}
      volumes:
        - {name: data, persistentVolumeClaim: {claimName: data}}
"""


def test_a_namespace_among_the_files_says_who_is_a_target_and_who_is_allowed(
    command: Command, files: Callable[[Mapping[str, str]], Path]
) -> None:
    files({"bp.yaml": SHARED, "space.yaml": NAMESPACE_THAT_ASKS, "claims.yaml": CLAIMS})
    ended = command("resolve", "-b", "bp.yaml", "-f", "space.yaml", "-f", "claims.yaml", "-o", "name")
    assert ended.code == 0, ended.err
    assert [line.partition("/")[2] for line in ended.out.split()] == ["deploy-web"] * 2 + ["pvc-spare"] * 2
    assert "namespace-uid" not in command("resolve", "-b", "bp.yaml", "-f", "space.yaml", "-f", "claims.yaml").out

    unknown = command("resolve", "-b", "bp.yaml", "-f", "claims.yaml")
    assert unknown.code == 1
    assert "NamespaceUnknown" in unknown.err
    assert "give the Namespace with -f" in unknown.err
