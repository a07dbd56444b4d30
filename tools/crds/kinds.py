"""The kinds: Stash's API (group stash.appscode.com) and AppBinding, as a superset that takes Stash's manifests.

Names, short names, categories and fields are Stash's; what is added: the category `autobackup`, the status of a
blueprint, bounds, CEL rules, columns and selectable fields. Defaults are Stash's five (allowedNamespaces.from,
maxRetry, executionPolicy, driver, and an AppBinding's secret kind) and no more.
"""

from __future__ import annotations

from tools.crds import rules
from tools.crds.appbinding import APP_BINDING
from tools.crds.backend import backend, copy_rules, storage_secret
from tools.crds.conditions import conditions, observed_generation
from tools.crds.definition import AGE, Column, Kind
from tools.crds.execution import backup_hooks, driver, interim_volume, runtime_settings, task, temporary_directory
from tools.crds.overrides import overrides, variables
from tools.crds.policies import (
    allowed_namespaces,
    history_limit,
    retention_policy,
    retry_config,
    schedule,
    target_kinds,
    time_limit,
    usage_policy,
)
from tools.crds.schema import LONG, Schema, boolean, integer, listing, record, rule, string, time
from tools.crds.sessions import BACKUP_SESSION, RESTORE_SESSION
from tools.crds.targets import backup_target, repository_reference, typed_references

GROUP = "stash.appscode.com"

# Where a backend keeps its snapshots, by provider. The URL of a REST server is left out: a server may be renamed.
_PLACES = {
    "local": ("subPath",),
    "s3": ("bucket", "prefix"),
    "gcs": ("bucket", "prefix"),
    "azure": ("container", "prefix"),
    "swift": ("container", "prefix"),
    "b2": ("bucket", "prefix"),
    "rest": (),
}


def _wipe_out_rules() -> list[Schema]:
    return [
        rule(
            f"!has(self.wipeOut) || !self.wipeOut || !has(self.backend) || !has(self.backend.{provider})",
            f"wipeOut cannot be used with the {name} backend: remove it, and delete the data yourself",
        )
        for provider, name in (("local", "local"), ("b2", "Backblaze B2"))
    ]


def _wipe_out() -> Schema:
    return boolean("Delete all snapshots from the storage when the Repository is deleted. Otherwise they stay.")


def _same_place() -> str:
    """The backend names the same provider and the same place in it. What a path is made of are its segments that are
    not empty: '/a/b', 'a/b/' and 'a//b' are one place, and no text is an empty one."""
    same = []
    for provider, places in _PLACES.items():
        new, old = (f"{of}.spec.backend.{provider}" for of in ("self", "oldSelf"))
        same.append(f"has({new}) == has({old})")
        for place in places:
            was, will_be = (
                f"(has({backend}.{place}) ? {backend}.{place} : '').trim().split('/').filter(part, part != '')"
                for backend in (old, new)
            )
            same.append(f"(!has({new}) || !has({old}) || {will_be} == {was})")
    return " && ".join(same)


REPOSITORY = Kind(
    group=GROUP,
    version="v1alpha1",
    kind="Repository",
    plural="repositories",
    short_names=("repo",),
    categories=("stash", "appscode"),
    description="A restic repository: where the snapshots of one target are kept. Deleting it keeps the data, unless "
    "wipeOut is set.",
    spec=record(
        "Where the snapshots are, and who may use them.",
        {"backend": backend(templated=False), "wipeOut": _wipe_out(), "usagePolicy": usage_policy()},
        required=["backend"],
        rules=_wipe_out_rules(),
    ),
    status=record(
        "What the last backup left behind.",
        {
            "observedGeneration": observed_generation(),
            "firstBackupTime": time("When the first backup was taken."),
            "lastBackupTime": time("When the last successful backup was taken."),
            "integrity": boolean("Whether the last check found the repository whole."),
            "totalSize": string("Size of the repository, for people to read.", most=64),
            "snapshotCount": integer("Number of snapshots in the repository.", bits=64),
            "snapshotsRemovedOnLastCleanup": integer("Number of snapshots that the last cleanup removed.", bits=64),
            "references": typed_references(
                "BackupConfigurations and RestoreSessions that use the Repository.", most=4096
            ),
        },
    ),
    rules=[
        rule(
            "!has(oldSelf.status) || !has(oldSelf.status.snapshotCount) || oldSelf.status.snapshotCount == 0 || "
            f"({_same_place()})",
            "the Repository holds snapshots, so its place cannot change: create another Repository for the new place "
            "(deleting this one keeps its data unless wipeOut is set)",
        )
    ],
    columns=(
        Column("Integrity", ".status.integrity", "boolean"),
        Column("Size", ".status.totalSize"),
        Column("Snapshot-Count", ".status.snapshotCount", "integer"),
        Column("Last-Successful-Backup", ".status.lastBackupTime", "date"),
        Column("Secret", ".spec.backend.storageSecretName", wide=True),
        Column("Wipe-Out", ".spec.wipeOut", "boolean", wide=True),
        AGE,
    ),
    selectable=(".spec.backend.storageSecretName",),
)

BACKUP_BLUEPRINT = Kind(
    group=GROUP,
    version="v1beta1",
    kind="BackupBlueprint",
    plural="backupblueprints",
    short_names=("bb",),
    categories=("stash", "appscode"),
    namespaced=False,
    description="A template of a Repository and a BackupConfiguration, filled in for every target whose "
    "stash.appscode.com/backup-blueprint annotation names it. ${VARIABLES} stand for facts of the target.",
    spec=record(
        "The template.",
        {
            "backend": backend(templated=True),
            "wipeOut": _wipe_out(),
            "usagePolicy": usage_policy(),
            "allowedNamespaces": allowed_namespaces(),
            "targetKinds": target_kinds(),
            "backupNamespace": string(
                "Namespace of the BackupConfigurations, and of the Repositories unless repoNamespace is given; that of "
                "the target when empty. For databases: volumes cannot be mounted from another namespace.",
                rules=[
                    rules.namespace_name("backupNamespace", templated=True),
                    rules.closed_braces("backupNamespace"),
                ],
            ),
            "repoNamespace": string(
                "Namespace of the Repositories; backupNamespace or that of the target when empty. usagePolicy must "
                "allow the namespaces of the BackupConfigurations.",
                rules=[rules.namespace_name("repoNamespace", templated=True), rules.closed_braces("repoNamespace")],
            ),
            "storageSecret": storage_secret(),
            "schedule": schedule(
                "When to back up, as five cron fields or a descriptor. The target's stash.appscode.com/schedule "
                "annotation wins.",
                templated=True,
            ),
            "task": task(templated=True),
            "retentionPolicy": retention_policy(),
            "runtimeSettings": runtime_settings(),
            "tempDir": temporary_directory(templated=True),
            "interimVolumeTemplate": interim_volume(),
            "hooks": backup_hooks(),
            "backupHistoryLimit": history_limit(),
            "timeOut": time_limit("a backup", templated=True),
            "retryConfig": retry_config(templated=True),
            "overrides": overrides(),
            "variables": variables(),
        },
        required=["backend", "retentionPolicy"],
        rules=[*_wipe_out_rules(), *copy_rules()],
    ),
    status=record(
        "How the blueprint fares with its targets.",
        {
            "observedGeneration": observed_generation(),
            "conditions": conditions("Ready sums up; Reconciling and Stalled say why it is not.", strict=True),
            "matched": integer("Number of targets that name this blueprint.", least=0),
            "configured": integer("Number of targets whose Repository and BackupConfiguration are applied.", least=0),
            "failed": integer("Number of targets that cannot be configured; see failures.", least=0),
            "pending": integer("Number of targets that are still being worked on.", least=0),
            "failures": listing(
                "Targets that cannot be configured, 50 at most; failed counts them all.",
                record(
                    "",
                    {
                        "kind": string("Kind of the target."),
                        "namespace": string("Namespace of the target."),
                        "name": string("Name of the target."),
                        "uid": string("UID of the target.", most=128),
                        "reason": string("One CamelCase word that says why.", most=128),
                        "message": string("What is wrong, and what to do about it.", most=LONG),
                    },
                    required=["kind", "namespace", "name", "reason"],
                ),
                most=50,
            ),
            "storageSecrets": listing(
                "Storage Secrets that the targets' Repositories need and that are not known to be there with all their "
                "keys, 100 at most.",
                record(
                    "",
                    {
                        "namespace": string("Namespace of the Secret."),
                        "name": string("Name of the Secret."),
                        "state": string(
                            "Found, Missing, Incomplete, or Unchecked when it was not looked at; of a copy also "
                            "Forbidden and Conflict.",
                            enum=("Found", "Missing", "Incomplete", "Unchecked", "Forbidden", "Conflict"),
                        ),
                        "missingKeys": listing(
                            "Keys that the backend needs and the Secret lacks.", string("Name of a key."), most=16
                        ),
                    },
                    required=["namespace", "name", "state"],
                ),
                most=100,
            ),
        },
    ),
    columns=(
        Column("Schedule", ".spec.schedule"),
        Column("Task", ".spec.task.name"),
        Column("Matched", ".status.matched", "integer"),
        Column("Configured", ".status.configured", "integer"),
        Column("Failed", ".status.failed", "integer"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
        AGE,
        Column("Pending", ".status.pending", "integer", wide=True),
        Column("Secret", ".spec.backend.storageSecretName", wide=True),
        Column("Message", ".status.conditions[?(@.type=='Ready')].message", wide=True),
    ),
    selectable=(".spec.schedule", ".spec.task.name", ".spec.backend.storageSecretName"),
)

BACKUP_CONFIGURATION = Kind(
    group=GROUP,
    version="v1beta1",
    kind="BackupConfiguration",
    plural="backupconfigurations",
    short_names=("bc",),
    categories=("stash", "appscode", "all"),
    description="What is backed up, when, how, and into which Repository.",
    spec=record(
        "The backup.",
        {
            "schedule": schedule("When to back up, as five cron fields or a descriptor such as @daily."),
            "driver": driver(),
            "repository": repository_reference(),
            "retentionPolicy": retention_policy(),
            "paused": boolean(
                "Take no scheduled backups until it is false again. Backups asked for by hand still run."
            ),
            "backupHistoryLimit": history_limit(),
            "timeOut": time_limit("a backup"),
            "retryConfig": retry_config(),
            "task": task(),
            "target": backup_target(),
            "runtimeSettings": runtime_settings(),
            "tempDir": temporary_directory(),
            "interimVolumeTemplate": interim_volume(),
            "hooks": backup_hooks(),
        },
        required=["retentionPolicy"],
        rules=[
            rule(
                "(has(self.driver) && self.driver != 'Restic') || (has(self.repository) && self.repository.name != '')",
                "repository.name is missing: name the Repository that the Restic driver writes to",
            )
        ],
    ),
    status=record(
        "Whether backups can be taken.",
        {
            "observedGeneration": observed_generation(),
            "conditions": conditions(),
            "phase": string(
                "Ready: backups run. NotReady: something they need is missing. Invalid: the spec must be mended.",
                enum=("Invalid", "Ready", "NotReady"),
            ),
        },
    ),
    columns=(
        Column("Target-Kind", ".spec.target.ref.kind"),
        Column("Target", ".spec.target.ref.name"),
        Column("Task", ".spec.task.name", wide=True),
        Column("Schedule", ".spec.schedule"),
        Column("Paused", ".spec.paused", "boolean"),
        Column("Phase", ".status.phase"),
        Column("Repository", ".spec.repository.name", wide=True),
        AGE,
    ),
    selectable=(
        ".spec.target.ref.kind",
        ".spec.target.ref.name",
        ".spec.target.ref.namespace",
        ".spec.repository.name",
        ".spec.repository.namespace",
        ".spec.schedule",
        ".status.phase",
    ),
)

KINDS: tuple[Kind, ...] = (
    APP_BINDING,
    REPOSITORY,
    BACKUP_BLUEPRINT,
    BACKUP_CONFIGURATION,
    BACKUP_SESSION,
    RESTORE_SESSION,
)
