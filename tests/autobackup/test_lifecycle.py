"""What happens when: each situation in the life of an annotated target, on a real API server."""

from __future__ import annotations

import pytest

from tests.autobackup.stage import CONFIGURATION, REPOSITORY, SECONDS, Stage
from tests.support.cluster import create_namespace, grant, remove_namespace, unique_name
from tools.controlplane import OPERATOR, ApiClient, AuditLog, ControlPlane, wait_for

OWN = "autobackup.stash.appscode.com/"


def unchanged(before: dict[str, object], after: dict[str, object]) -> bool:
    return before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "short", "prefix_kind"),
    [
        ("Deployment", "deploy", "deployment"),
        ("StatefulSet", "sts", "statefulset"),
        ("DaemonSet", "ds", "daemonset"),
        ("ReplicaSet", "replicaset", "replicaset"),
        ("ReplicationController", "rc", "replicationcontroller"),
        ("PersistentVolumeClaim", "pvc", "persistentvolumeclaim"),
        ("AppBinding", "app", "appbinding"),
    ],
)
def test_annotated_target_gets_both_objects(stage: Stage, kind: str, short: str, prefix_kind: str) -> None:
    blueprint = stage.blueprint()
    target = stage.create(kind, "shop", {"app.kubernetes.io/instance": "do-not-copy"})
    stage.annotate(kind, "shop", blueprint=blueprint)

    repository, configuration = stage.configured(f"{short}-shop")
    assert repository["metadata"]["name"] == f"{short}-shop"
    assert repository["spec"]["backend"]["s3"]["prefix"] == f"backups/{stage.namespace}/{prefix_kind}/shop"
    assert repository["spec"]["backend"]["storageSecretName"] == "storage"
    assert "ownerReferences" not in repository["metadata"], "a Repository must outlive its target"
    spec = configuration["spec"]
    assert spec["schedule"] == "0 2 * * *"
    assert spec["retentionPolicy"] == {"name": "keep-5", "keepLast": 5, "prune": True}
    assert spec["target"]["ref"] == {"apiVersion": target["apiVersion"], "kind": kind, "name": "shop"}
    owner = configuration["metadata"]["ownerReferences"]
    assert [o["uid"] for o in owner] == [target["metadata"]["uid"]]
    for made in (repository, configuration):
        assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "autobackup"
        assert made["metadata"]["annotations"][OWN + "target"] == f"{kind}/{stage.namespace}/shop"
        assert "app.kubernetes.io/instance" not in made["metadata"]["labels"]
    if kind in ("PersistentVolumeClaim", "AppBinding"):
        assert "paths" not in spec["target"]
    else:
        assert spec["target"]["paths"] == ["/srv/data"]
        assert spec["target"]["volumeMounts"] == [{"name": "data", "mountPath": "/srv/data"}]
    assert stage.settled(blueprint, matched=1, configured=1, failed=0)["observedGeneration"] == 1
    stage.event("shop", "RepositoryCreated")
    stage.event("shop", "BackupConfigurationCreated")


def test_nothing_is_written_to_the_target(stage: Stage, audit_log: AuditLog) -> None:
    mark = audit_log.mark()
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("deploy-shop")
    stage.settled(blueprint, configured=1)
    written = audit_log.writes(mark, user=OPERATOR)
    assert {event.resource for event in written} <= {
        "repositories",
        "backupconfigurations",
        "backupblueprints",
        "events",
        "selfsubjectaccessreviews",
    }


def test_new_volume_costs_two_writes_and_no_read(stage: Stage, audit_log: AuditLog) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "first", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-first")
    stage.settled(blueprint, configured=1)
    mark = audit_log.mark()
    stage.create("PersistentVolumeClaim", "second", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-second")
    stage.settled(blueprint, configured=2)
    written = [
        (event.verb, event.resource, event.name)
        for event in audit_log.writes(mark, user=OPERATOR, namespace=stage.namespace)
        if event.resource in ("repositories", "backupconfigurations")
    ]
    assert written == [("patch", "repositories", "pvc-second"), ("patch", "backupconfigurations", "pvc-second")]
    assert not audit_log.requests(mark, user=OPERATOR, namespace=stage.namespace, verbs={"get", "list"})


def test_blueprint_created_late(stage: Stage) -> None:
    name = unique_name("late")
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": name})
    event = stage.event("data", "BlueprintNotFound")
    assert event["type"] == "Warning"
    assert name in event["note"]
    stage.blueprint(name)
    stage.configured("pvc-data")
    stage.event("data", "Configured")


def test_blueprint_edit_reaches_every_target(stage: Stage) -> None:
    blueprint = stage.blueprint()
    for kind, name in (("Deployment", "a"), ("PersistentVolumeClaim", "b"), ("StatefulSet", "c")):
        stage.create(kind, name, {"stash.appscode.com/backup-blueprint": blueprint})
    stage.settled(blueprint, configured=3)
    uids = {c["metadata"]["name"]: c["metadata"]["uid"] for c in stage.configurations()}
    retention = {"name": "keep-9", "keepLast": 9, "prune": True}
    stage.blueprint(blueprint, schedule="30 4 * * *", retentionPolicy=retention)
    wait_for(
        lambda: all(
            c["spec"]["schedule"] == "30 4 * * *" and c["spec"]["retentionPolicy"] == retention
            for c in stage.configurations()
        ),
        SECONDS,
        what="the edit to arrive",
    )
    assert uids == {c["metadata"]["name"]: c["metadata"]["uid"] for c in stage.configurations()}
    status = stage.settled(blueprint, configured=3)
    assert status["observedGeneration"] == 2


def test_field_removed_from_blueprint_is_removed_from_targets(stage: Stage) -> None:
    blueprint = stage.blueprint(timeOut="2h", backupHistoryLimit=3)
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    _, configuration = stage.configured("pvc-data")
    assert configuration["spec"]["timeOut"] == "2h"
    stage.blueprint(blueprint)
    wait_for(
        lambda: "timeOut" not in (stage.find_configuration("pvc-data") or {})["spec"], SECONDS, what="timeOut to go"
    )


def test_blueprint_deleted_keeps_what_runs(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    repository, configuration = stage.configured("pvc-data")
    stage.delete_blueprint(blueprint)
    stage.event("data", "BlueprintNotFound")
    assert unchanged(repository, stage.configured("pvc-data")[0])
    assert unchanged(configuration, stage.configured("pvc-data")[1])
    stage.annotate("PersistentVolumeClaim", "data", blueprint=None)
    stage.gone("pvc-data")


def test_schedule_annotation_overrides_and_returns(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-data")

    def schedule() -> str:
        return str((stage.find_configuration("pvc-data") or {})["spec"]["schedule"])

    stage.annotate("PersistentVolumeClaim", "data", schedule="*/15 * * * *")
    wait_for(lambda: schedule() == "*/15 * * * *", SECONDS, what="the schedule of the annotation")
    stage.annotate("PersistentVolumeClaim", "data", schedule=None)
    wait_for(lambda: schedule() == "0 2 * * *", SECONDS, what="the schedule of the blueprint")


def test_paths_and_mounts_annotations(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("deploy-shop")
    stage.annotate("Deployment", "shop", target_paths="/data/a, /data/b", volume_mounts="data:/data:sub")
    target = wait_for(
        lambda: (
            (found := (stage.find_configuration("deploy-shop") or {})["spec"]["target"])["paths"] != ["/srv/data"]
            and found
        ),
        SECONDS,
        what="the paths of the annotation",
    )
    assert target["paths"] == ["/data/a", "/data/b"]
    assert target["volumeMounts"] == [{"name": "data", "mountPath": "/data", "subPath": "sub"}]


def test_params_annotations_reach_the_task(stage: Stage) -> None:
    blueprint = stage.blueprint(task={"name": "dump-${TARGET_APP_VERSION}", "params": [{"name": "args", "value": "x"}]})
    stage.create("AppBinding", "db", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("app-db")
    stage.annotate("AppBinding", "db", params_args="--all-databases, --quick")
    wait_for(
        lambda: (
            (stage.find_configuration("app-db") or {})["spec"]["task"]
            == {"name": "dump-11.9", "params": [{"name": "args", "value": "--all-databases, --quick"}]}
        ),
        SECONDS,
        what="the parameter",
    )


def test_switch_to_another_blueprint_keeps_data_in_place(stage: Stage) -> None:
    first = stage.blueprint()
    second = stage.blueprint(prefix="elsewhere/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}")
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": first})
    old, configuration = stage.configured("pvc-data")
    had_backup(stage.api, old)
    stage.annotate("PersistentVolumeClaim", "data", blueprint=second)
    wait_for(
        lambda: (stage.find_configuration("pvc-data") or {})["spec"]["repository"]["name"] != "pvc-data",
        SECONDS,
        what="the BackupConfiguration to use a new Repository",
    )
    new, moved = stage.configured("pvc-data")
    assert moved["metadata"]["uid"] == configuration["metadata"]["uid"]
    assert new["spec"]["backend"]["s3"]["prefix"].startswith("elsewhere/")
    kept = wait_for(
        lambda: (
            (found := stage.find_repository("pvc-data"))
            and OWN + "succeeded-by" in found["metadata"]["annotations"]
            and found
        ),
        SECONDS,
        what="the old Repository to be marked",
    )
    assert kept["spec"] == old["spec"]
    # And back: the old Repository, with its data, serves again.
    stage.annotate("PersistentVolumeClaim", "data", blueprint=first)
    wait_for(
        lambda: (stage.find_configuration("pvc-data") or {})["spec"]["repository"]["name"] == "pvc-data",
        SECONDS,
        what="the old Repository to serve again",
    )
    wait_for(
        lambda: OWN + "succeeded-by" not in (stage.find_repository("pvc-data") or {})["metadata"]["annotations"],
        SECONDS,
        what="its mark to go",
    )


def test_changed_backend_without_data_is_followed_in_place(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    old, _ = stage.configured("pvc-data")
    stage.blueprint(blueprint, prefix="new/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}")
    wait_for(
        lambda: (stage.find_repository("pvc-data") or {})["spec"]["backend"]["s3"]["prefix"].startswith("new/"),
        SECONDS,
        what="the Repository to follow",
    )
    assert [r["metadata"]["uid"] for r in stage.repositories()] == [old["metadata"]["uid"]]


def test_switch_to_a_missing_blueprint_loses_nothing(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    before = stage.configured("pvc-data")
    stage.annotate("PersistentVolumeClaim", "data", blueprint=unique_name("typo"))
    stage.event("data", "BlueprintNotFound")
    assert all(map(unchanged, before, stage.configured("pvc-data")))


def test_opt_out_and_return(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("StatefulSet", "db", {"stash.appscode.com/backup-blueprint": blueprint})
    repository, configuration = stage.configured("sts-db")
    stage.annotate("StatefulSet", "db", blueprint=None)
    stage.gone("sts-db")
    stage.event("db", "BackupConfigurationDeleted")
    kept = stage.find_repository("sts-db")
    assert kept is not None
    assert unchanged(repository, kept)
    stage.settled(blueprint, matched=0)
    stage.annotate("StatefulSet", "db", blueprint=blueprint)
    again, new = stage.configured("sts-db")
    assert unchanged(repository, again)
    assert new["metadata"]["uid"] != configuration["metadata"]["uid"]


@pytest.mark.parametrize("key", ["target_paths", "volume_mounts"])
def test_only_the_blueprint_annotation_opts_out(stage: Stage, key: str) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.annotate("Deployment", "shop", target_paths="/srv/data/x", volume_mounts="data:/srv/data")
    _, configuration = stage.configured("deploy-shop")
    stage.annotate("Deployment", "shop", **{key: None})
    wait_for(
        lambda: (
            (stage.find_configuration("deploy-shop") or configuration)["metadata"]["uid"]
            == configuration["metadata"]["uid"]
        ),
        SECONDS,
        what="the BackupConfiguration to stay",
    )
    stage.settled(blueprint, configured=1)
    assert stage.find_configuration("deploy-shop") is not None


def test_target_deleted_and_created_again(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    repository, _ = stage.configured("deploy-shop")
    stage.delete("Deployment", "shop")
    stage.gone("deploy-shop")
    assert stage.find_repository("deploy-shop") is not None
    target = stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    again, configuration = stage.configured("deploy-shop")
    assert again["metadata"]["uid"] == repository["metadata"]["uid"]
    assert configuration["metadata"]["ownerReferences"][0]["uid"] == target["metadata"]["uid"]


def test_storage_secret_missing_is_told_and_recovers(stage: Stage) -> None:
    """The shipped rights contain no Secret; this one is granted for the test, as an admin would."""
    stage.api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "see-storage", "namespace": stage.namespace},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["storage"], "verbs": ["get"]}],
        }
    )
    stage.api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "see-storage", "namespace": stage.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "see-storage"},
            "subjects": [{"kind": "ServiceAccount", "name": "autobackup", "namespace": "autobackup-system"}],
        }
    )
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-data")
    stage.event("data", "StorageSecretMissing")
    wait_for(
        lambda: stage.condition(blueprint, "StorageSecretsFound").get("status") == "False",
        SECONDS,
        what="the condition to say that the Secret is missing",
    )
    assert stage.condition(blueprint, "Ready")["status"] == "True"
    stage.api.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "storage", "namespace": stage.namespace},
            "stringData": {"RESTIC_PASSWORD": "x"},
        }
    )
    wait_for(
        lambda: stage.condition(blueprint, "StorageSecretsFound").get("status") == "True",
        45,
        what="the condition to recover",
    )


def test_keys_that_a_storage_secret_lacks_are_named(stage: Stage, control_plane: ControlPlane) -> None:
    one_secret = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["storage"], "verbs": ["get"]}
    grant(stage.api, control_plane.users["operator"], [one_secret], namespace=stage.namespace)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "storage", "namespace": stage.namespace},
        "stringData": {"RESTIC_PASSWORD": "", "AWS_ACCESS_KEY_ID": "x"},
    }
    stage.api.create(secret)
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    assert "lacks RESTIC_PASSWORD, AWS_SECRET_ACCESS_KEY" in stage.event("data", "StorageSecretIncomplete")["note"]
    wait_for(
        lambda: stage.condition(blueprint, "StorageSecretsFound").get("reason") == "Incomplete",
        SECONDS,
        what="the condition to say that the Secret lacks keys",
    )
    listed = stage.blueprint_status(blueprint)["storageSecrets"]
    assert [item["missingKeys"] for item in listed] == [["RESTIC_PASSWORD", "AWS_SECRET_ACCESS_KEY"]]


def test_storage_secret_is_unchecked_without_the_right(stage: Stage, audit_log: AuditLog) -> None:
    mark = audit_log.mark()
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.settled(blueprint, configured=1)
    wait_for(
        lambda: stage.condition(blueprint, "StorageSecretsFound").get("status") == "Unknown",
        SECONDS,
        what="the condition to say that nobody looked",
    )
    assert "right" in stage.condition(blueprint, "StorageSecretsFound")["message"]
    reads = audit_log.requests(mark, namespace=stage.namespace, resource="secrets", verbs={"get", "list", "watch"})
    assert not [event for event in reads if "autobackup" in event.user]


def test_repository_deleted_by_hand_comes_back(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    repository, _ = stage.configured("pvc-data")
    stage.api.delete(REPOSITORY, "pvc-data", namespace=stage.namespace)
    again = wait_for(
        lambda: (
            (found := stage.find_repository("pvc-data"))
            and found["metadata"]["uid"] != repository["metadata"]["uid"]
            and found
        ),
        SECONDS,
        what="a new Repository",
    )
    assert again["spec"] == repository["spec"]


def test_configuration_deleted_by_hand_comes_back(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    _, configuration = stage.configured("pvc-data")
    stage.api.delete(CONFIGURATION, "pvc-data", namespace=stage.namespace)
    wait_for(
        lambda: (
            (found := stage.find_configuration("pvc-data"))
            and found["metadata"]["uid"] != configuration["metadata"]["uid"]
        ),
        SECONDS,
        what="a new BackupConfiguration",
    )


def test_manual_change_is_undone_and_manual_pause_stays(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-data")
    patch = {"spec": {"paused": True, "schedule": "1 1 1 1 *"}}
    stage.api.patch(CONFIGURATION, "pvc-data", patch, namespace=stage.namespace)
    wait_for(
        lambda: (stage.find_configuration("pvc-data") or {})["spec"]["schedule"] == "0 2 * * *",
        SECONDS,
        what="the schedule to be put right",
    )
    assert (stage.find_configuration("pvc-data") or {})["spec"]["paused"] is True


def test_several_blueprints(stage: Stage) -> None:
    first = stage.blueprint()
    second = stage.blueprint(prefix="second/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}", schedule="0 5 * * 0")
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": first})
    before = stage.configured("pvc-data")
    stage.annotate("PersistentVolumeClaim", "data", blueprint=f"{first}, {second}")
    _, configuration = stage.configured(f"pvc-data-{second}")
    assert configuration["spec"]["schedule"] == "0 5 * * 0"
    assert all(map(unchanged, before, stage.configured("pvc-data"))), "what exists keeps its name"
    stage.annotate("PersistentVolumeClaim", "data", blueprint=second)
    stage.gone("pvc-data")
    assert stage.find_configuration(f"pvc-data-{second}") is not None
    assert len(stage.repositories()) == 2


def test_foreign_objects_are_left_alone(stage: Stage) -> None:
    mine = {
        "apiVersion": "stash.appscode.com/v1beta1",
        "kind": "BackupConfiguration",
        "metadata": {"name": "pvc-data", "namespace": stage.namespace},
        "spec": {"repository": {"name": "own"}, "retentionPolicy": {"name": "k", "keepLast": 1, "prune": True}},
    }
    foreign = stage.api.create(mine)
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    event = stage.event("data", "NameConflict")
    assert f"{stage.namespace}/pvc-data" in event["note"]
    assert stage.failed(blueprint, "data")["reason"] == "NameConflict"
    stage.annotate("PersistentVolumeClaim", "data", blueprint=None)
    stage.settled(blueprint, matched=0)
    now = stage.find_configuration("pvc-data")
    assert now is not None
    assert unchanged(foreign, now)
    stage.annotate("PersistentVolumeClaim", "data", blueprint=blueprint)
    stage.failed(blueprint, "data")
    stage.api.delete(CONFIGURATION, "pvc-data", namespace=stage.namespace)
    wait_for(
        lambda: (
            (stage.find_configuration("pvc-data") or {}).get("metadata", {}).get("labels", {})
            == (stage.find_repository("pvc-data") or {}).get("metadata", {}).get("labels", {"": ""})
        ),
        SECONDS,
        what="our own objects, once the name is free",
    )


def test_two_targets_never_share_a_location(stage: Stage) -> None:
    blueprint = stage.blueprint(prefix="shared/${TARGET_NAMESPACE}/${TARGET_NAME}")
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("deploy-shop")
    assert stage.condition(blueprint, "LocationDistinct")["status"] == "False"
    stage.create("StatefulSet", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    failure = stage.failed(blueprint, "shop")
    assert (failure["kind"], failure["reason"]) == ("StatefulSet", "LocationConflict")
    assert "TARGET_KIND" in failure["message"]
    assert stage.find_configuration("sts-shop") is None
    # The first gives way, data and all: now the second may have it.
    stage.delete("Deployment", "shop")
    stage.gone("deploy-shop")
    stage.api.delete(REPOSITORY, "deploy-shop", namespace=stage.namespace)
    stage.configured("sts-shop")


def test_many_targets_at_once_for_one_location(stage: Stage) -> None:
    blueprint = stage.blueprint(prefix="one/${TARGET_NAMESPACE}")
    for number in range(12):
        stage.create("PersistentVolumeClaim", f"c{number}", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.settled(blueprint, matched=12, configured=1, failed=11)
    assert len(stage.repositories()) == 1


def test_long_names_stay_apart(stage: Stage) -> None:
    blueprint = stage.blueprint()
    long = "x" * 80
    for end in ("a", "b"):
        stage.create("PersistentVolumeClaim", long + end, {"stash.appscode.com/backup-blueprint": blueprint})
    stage.settled(blueprint, configured=2)
    names = {c["metadata"]["name"] for c in stage.configurations()}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)


def test_objects_in_other_namespaces(stage: Stage, api: ApiClient) -> None:
    central = unique_name("central")
    create_namespace(api, central)
    try:
        blueprint = stage.blueprint(backupNamespace=central)
        stage.create("AppBinding", "db", {"stash.appscode.com/backup-blueprint": blueprint})
        name = f"{stage.namespace}-app-db"
        repository, configuration = stage.configured(name, central)
        assert repository["metadata"]["namespace"] == central
        assert configuration["spec"]["target"]["ref"]["namespace"] == stage.namespace
        assert "ownerReferences" not in configuration["metadata"]
        # Back into the target's own namespace, with the Repository in another.
        stage.blueprint(blueprint, repoNamespace=central)
        stage.gone(name, central)
        repository, configuration = stage.configured("app-db")
        assert repository["metadata"]["namespace"] == central
        assert configuration["spec"]["repository"]["namespace"] == central
        stage.annotate("AppBinding", "db", blueprint=None)
        stage.gone("app-db")
        stage.delete("AppBinding", "db")
    finally:
        remove_namespace(api, central)


def had_backup(api: ApiClient, repository: dict[str, object]) -> None:
    """Write what whoever runs backups writes after one."""
    metadata: dict[str, str] = repository["metadata"]  # type: ignore[assignment]
    patch = {"status": {"snapshotCount": 3, "lastBackupTime": "2026-01-01T00:00:00Z"}}
    api.patch(REPOSITORY, metadata["name"], patch, namespace=metadata["namespace"], subresource="status")
