"""`resolve --diff` against a real API server, with different rights."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Command, Ended, start
from tests.support.cluster import grant
from tools.controlplane import ApiClient, AuditLog, ControlPlane

BLUEPRINT = "stash.appscode.com/v1beta1/BackupBlueprint"
CONFIGURATION = "stash.appscode.com/v1beta1/BackupConfiguration"
REPOSITORY = "stash.appscode.com/v1alpha1/Repository"
DEPLOYMENT = "apps/v1/Deployment"
ANNOTATION = "stash.appscode.com/backup-blueprint"
STASH = {"apiGroups": ["stash.appscode.com"]}


class Story:
    """A namespace with a blueprint and a Deployment of its own, as files and in the cluster."""

    def __init__(self, api: ApiClient, namespace: str, folder: Path, command: Command, kubeconfig: Path) -> None:
        self.api = api
        self.namespace = namespace
        self.folder = folder
        self.kubeconfig = kubeconfig
        self._command = command
        self.blueprint: dict[str, Any] = {
            "apiVersion": "stash.appscode.com/v1beta1",
            "kind": "BackupBlueprint",
            "metadata": {"name": namespace},
            "spec": {
                "backend": {
                    "s3": {"endpoint": "s3.example.com", "bucket": "b", "prefix": "${TARGET_NAMESPACE}/${TARGET_NAME}"},
                    "storageSecretName": "storage",
                },
                "schedule": "0 1 * * *",
                "retentionPolicy": {"name": "keep", "keepLast": 3, "prune": True},
            },
        }
        pod = {
            "containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}],
        }
        self.deployment: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "namespace": namespace, "annotations": {ANNOTATION: namespace}},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {"metadata": {"labels": {"app": "a"}}, "spec": pod},
            },
        }

    def diff(self, *arguments: object, blueprint: bool = True, kubeconfig: Path | None = None) -> Ended:
        """Write the files and compare them with the cluster."""
        (self.folder / "bp.yaml").write_text(yaml.safe_dump(self.blueprint))
        (self.folder / "target.yaml").write_text(yaml.safe_dump(self.deployment))
        files = ["-b", self.folder / "bp.yaml"] if blueprint else []
        use = kubeconfig or self.kubeconfig
        return self._command(
            "resolve", *files, "-f", self.folder / "target.yaml", "--diff", "--kubeconfig", use, *arguments
        )

    def actions(self, ended: Ended) -> list[tuple[str, str, str]]:
        return [(change["action"], change["kind"], change["name"]) for change in json.loads(ended.out)["changes"]]

    def play_operator(self) -> None:
        """Apply what is resolved for the live Deployment, as the operator would."""
        live = self.api.get(DEPLOYMENT, "shop", namespace=self.namespace)
        (self.folder / "bp.yaml").write_text(yaml.safe_dump(self.blueprint))
        (self.folder / "live.json").write_text(json.dumps(live))
        space = self.api.get("v1/Namespace", self.namespace)
        (self.folder / "space.json").write_text(json.dumps(space))
        files = ("-f", self.folder / "live.json", "-f", self.folder / "space.json")
        arguments = ("resolve", "-q", "-b", self.folder / "bp.yaml", *files, "-o", "json")
        ended = self._command(*arguments)
        assert ended.code == 0, ended.err
        for item in json.loads(ended.out)["items"]:
            self.api.apply(item, manager="autobackup", force=True)


@pytest.fixture
def story(
    *, api: ApiClient, crds: list[str], namespace: str, tmp_path: Path, command: Command, kubeconfig: Path
) -> Iterator[Story]:
    story = Story(api, namespace, tmp_path, command, kubeconfig)
    yield story
    if api.find(BLUEPRINT, namespace):
        api.delete(BLUEPRINT, namespace)


def test_from_nothing_to_no_difference(story: Story, audit_log: AuditLog) -> None:
    mark = audit_log.mark()
    before = story.diff("-o", "json")
    assert before.code == 1
    assert story.actions(before) == [
        ("create", "Repository", "deploy-shop"),
        ("create", "BackupConfiguration", "deploy-shop"),
    ]
    assert "StorageSecretMissing" in before.err
    story.api.create(story.deployment)
    live = story.api.get(DEPLOYMENT, "shop", namespace=story.namespace)["metadata"]
    owner = json.loads(story.diff("-o", "json").out)["changes"][1]["after"]["metadata"]["ownerReferences"]
    assert [entry["uid"] for entry in owner] == [live["uid"]]
    assert all(entry.dry_run for entry in audit_log.writes(mark, resource="repositories"))
    assert all(entry.dry_run for entry in audit_log.writes(mark, resource="backupconfigurations"))
    assert story.api.find(REPOSITORY, "deploy-shop", namespace=story.namespace) is None

    story.play_operator()
    after = story.diff()
    assert (after.code, after.out) == (0, "")
    assert "no difference: 2 objects" in after.err


def test_a_changed_blueprint_shows_what_changes_and_nothing_else(story: Story) -> None:
    story.api.create(story.deployment)
    story.play_operator()
    story.blueprint["spec"]["schedule"] = "0 4 * * *"
    ended = story.diff()
    assert ended.code == 1
    changed = [line for line in ended.out.splitlines() if line[0] in "+-"]
    assert changed == [
        f"--- live: BackupConfiguration {story.namespace}/deploy-shop",
        f"+++ update: BackupConfiguration {story.namespace}/deploy-shop",
        "-  schedule: 0 1 * * *",
        "+  schedule: 0 4 * * *",
    ]
    assert story.diff("-o", "name").out == "backupconfiguration.stash.appscode.com/deploy-shop\n"


def test_a_changed_pod_template_shows(story: Story) -> None:
    story.api.create(story.deployment)
    story.play_operator()
    pod = story.deployment["spec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"][0]["mountPath"] = "/moved"
    (changed,) = json.loads(story.diff("-o", "json").out)["changes"]
    assert changed["after"]["spec"]["target"]["paths"] == ["/moved"]
    record = json.loads(changed["after"]["metadata"]["annotations"]["autobackup.stash.appscode.com/pod-template"])
    assert record["generation"] == 2


def test_blueprints_that_are_not_given_are_those_of_the_cluster(story: Story) -> None:
    story.api.create(story.deployment)
    missing = story.diff(blueprint=False)
    assert missing.code == 1
    assert "BlueprintNotFound" in missing.err
    story.api.create(story.blueprint)
    story.play_operator()
    assert story.diff(blueprint=False).code == 0


def test_annotations_that_kubectl_would_leave_alone_stay(story: Story) -> None:
    story.api.create(story.deployment)
    story.play_operator()
    # The file never had the annotation; it was put on with `kubectl annotate`.
    story.deployment["metadata"]["annotations"] = {}
    assert story.diff().code == 0
    # The file had it when it was applied, and has it no more.
    applied = json.dumps({"metadata": {"annotations": {ANNOTATION: "x"}}})
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": applied}
    story.api.annotate(DEPLOYMENT, "shop", last_applied, namespace=story.namespace)
    gone = story.diff("-o", "json")
    assert gone.code == 1
    assert story.actions(gone) == [("delete", "BackupConfiguration", "deploy-shop")]


def test_what_others_made_is_a_conflict(story: Story) -> None:
    story.api.create(story.deployment)
    spec = {"backend": story.blueprint["spec"]["backend"]}
    metadata = {"name": "deploy-shop", "namespace": story.namespace}
    story.api.create(
        {"apiVersion": "stash.appscode.com/v1alpha1", "kind": "Repository", "metadata": metadata, "spec": spec}
    )
    ended = story.diff()
    assert (ended.code, ended.out) == (1, "")
    assert "NameConflict" in ended.err


def test_what_the_server_refuses_is_told_in_its_words(story: Story) -> None:
    story.api.create(story.deployment)
    story.blueprint["spec"]["retentionPolicy"] = {"keepLast": 3}
    ended = story.diff()
    assert ended.code == 1
    assert "the API server refuses it" in ended.err
    assert "spec.retentionPolicy.name" in ended.err


def test_a_namespace_that_is_missing_is_told(story: Story) -> None:
    story.deployment["metadata"]["namespace"] = "not-there"
    ended = story.diff("-q")
    assert ended.code == 1
    assert "namespace not-there does not exist; create it" in ended.err


def test_the_namespace_of_the_context_is_the_default(story: Story, control_plane: ControlPlane) -> None:
    del story.deployment["metadata"]["namespace"]
    ended = story.diff("-o", "json", kubeconfig=control_plane.kubeconfig("admin", namespace=story.namespace))
    assert {change["namespace"] for change in json.loads(ended.out)["changes"]} == {story.namespace}


def test_reading_is_enough_to_see_a_difference(story: Story, control_plane: ControlPlane) -> None:
    story.api.create(story.deployment)
    story.play_operator()
    alice = control_plane.users["alice"]
    reading = {**STASH, "resources": ["repositories", "backupconfigurations"], "verbs": ["get", "list"]}
    grant(story.api, alice, [reading], namespace=story.namespace)
    kubeconfig = control_plane.kubeconfig("alice")
    same = story.diff(kubeconfig=kubeconfig)
    assert (same.code, same.out) == (0, ""), same.err
    assert "you may not list repositories everywhere" in same.err
    assert "you may not patch" in same.err
    story.blueprint["spec"]["schedule"] = "0 4 * * *"
    story.blueprint["spec"]["timeOut"] = "1h"
    ended = story.diff("-q", kubeconfig=kubeconfig)
    assert ended.code == 1
    changed = [line for line in ended.out.splitlines()[2:] if line[0] in "+-"]
    assert changed == ["-  schedule: 0 1 * * *", "+  schedule: 0 4 * * *", "+  timeOut: 1h"]


def test_without_a_right_to_read_there_is_nothing_to_compare(story: Story, control_plane: ControlPlane) -> None:
    ended = story.diff("-q", kubeconfig=control_plane.kubeconfig("stranger"))
    assert (ended.code, ended.out) == (1, "")
    assert f"list repositories in namespace {story.namespace}" in ended.err
    assert "403" in ended.err


def test_no_secret_is_read_and_none_is_shown(story: Story, audit_log: AuditLog) -> None:
    metadata = {"name": "storage", "namespace": story.namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": "hush-hush"}}
    story.api.create(secret)
    ended = story.diff()
    assert "StorageSecretMissing" not in ended.err
    assert "hush" not in ended.out + ended.err
    (story.folder / "secret.json").write_text(json.dumps(secret))
    offline = story.diff("-f", story.folder / "secret.json")
    assert "hush" not in offline.out + offline.err


@pytest.mark.parametrize("problem", ["refused", "token", "file", "context"])
def test_a_cluster_that_cannot_be_talked_to_is_3(story: Story, problem: str) -> None:
    config: Any = yaml.safe_load(story.kubeconfig.read_text())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        if problem == "refused":
            config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{taken.getsockname()[1]}"
        if problem == "token":
            config["users"][0]["user"] = {"token": "no-such-token"}
        path = story.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        arguments = ("--context", "no-such-context") if problem == "context" else ()
        ended = story.diff("-q", *arguments, kubeconfig=story.folder / "missing" if problem == "file" else path)
    assert (ended.code, ended.out) == (3, "")
    assert len(ended.err.splitlines()) == 1
    assert "no-such-token" not in ended.err


def test_the_users_own_kubeconfig_is_found_as_kubectl_finds_it(story: Story) -> None:
    story.diff()
    files = ("-b", story.folder / "bp.yaml", "-f", story.folder / "target.yaml")
    ended = start("resolve", *files, "--diff", "-o", "name", environ={"KUBECONFIG": str(story.kubeconfig)})
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "repository.stash.appscode.com/deploy-shop",
        "backupconfiguration.stash.appscode.com/deploy-shop",
    ]


@pytest.mark.cluster
def test_without_the_crds_it_says_so(tmp_path: Path, command: Command) -> None:
    with ControlPlane(audit=False) as plane:
        story = Story(plane.client("admin"), "default", tmp_path, command, plane.kubeconfig("admin"))
        ended = story.diff("-q")
    assert (ended.code, ended.out) == (1, "")
    assert "does not know Repository; install the CRDs first" in ended.err
