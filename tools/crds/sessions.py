"""BackupSession and RestoreSession: one run each. What a run was asked to do never changes afterwards."""

from __future__ import annotations

from tools.crds.conditions import conditions
from tools.crds.definition import AGE, Column, Kind
from tools.crds.execution import driver, interim_volume, restore_hooks, runtime_settings, task, temporary_directory
from tools.crds.policies import time_limit
from tools.crds.schema import LONG, NAME, PATH, Schema, boolean, integer, listing, record, rule, string, strings, time
from tools.crds.targets import repository_reference, restore_rules, restore_target, target_reference

_GROUP = "stash.appscode.com"


def _file_counts() -> Schema:
    return record(
        "Files of the snapshot.",
        {
            "totalFiles": integer("Number of files.", bits=64),
            "newFiles": integer("Number of files that the snapshot before did not have.", bits=64),
            "modifiedFiles": integer("Number of files that changed since the snapshot before.", bits=64),
            "unmodifiedFiles": integer("Number of files that did not change.", bits=64),
        },
    )


def _host_backups() -> Schema:
    snapshot = record(
        "",
        {
            "name": string("Id of the snapshot.", most=64),
            "path": string("Path that the snapshot holds.", most=PATH),
            "totalSize": string("Size of what was read.", most=64),
            "uploaded": string("Size of what was new and sent to the storage.", most=64),
            "processingTime": string("How long it took.", most=64),
            "fileStats": _file_counts(),
        },
    )
    return listing(
        "Results by host.",
        record(
            "",
            {
                "hostname": string("Host that the snapshots carry."),
                "phase": string("Succeeded or Failed.", enum=("Succeeded", "Failed")),
                "duration": string("How long the host took.", most=64),
                "error": string("Why the host failed.", most=LONG),
                "snapshots": listing("Snapshots taken, one for each path.", snapshot, most=256),
            },
        ),
        most=1024,
    )


def _backup_targets() -> Schema:
    phases = ("Pending", "Succeeded", "Running", "Failed")
    return listing(
        "Progress by target.",
        record(
            "",
            {
                "ref": target_reference("The target.", checked=False),
                "totalHosts": integer("Number of hosts that take part."),
                "phase": string(f"One of {', '.join(phases)}.", enum=phases),
                "stats": _host_backups(),
                "preBackupActions": strings("What is done before the first host starts.", most=16, each=NAME),
                "postBackupActions": strings("What is done after the last host ended.", most=16, each=NAME),
                "conditions": conditions("What is known about the target's backup, one entry a type."),
            },
        ),
        most=64,
    )


_BACKUP_PHASES = ("Pending", "Skipped", "Running", "Succeeded", "Failed", "Unknown")

BACKUP_SESSION = Kind(
    group=_GROUP,
    version="v1beta1",
    kind="BackupSession",
    plural="backupsessions",
    categories=("stash", "appscode", "all"),
    description="One run of a backup. Create one to back up now.",
    spec=record(
        "Whose backup runs. Cannot be changed.",
        {
            "invoker": record(
                "The object whose backup runs, in the namespace of the session.",
                {
                    "apiGroup": string("API group of the object, stash.appscode.com."),
                    "kind": string("Kind of the object: BackupConfiguration or BackupBatch."),
                    "name": string("Name of the object."),
                },
                required=["kind", "name"],
                rules=[
                    rule(
                        f"!has(self.apiGroup) || self.apiGroup in ['', '{_GROUP}']",
                        f"invoker.apiGroup must be {_GROUP}, or left out",
                    ),
                    rule(
                        "self.kind in ['BackupConfiguration', 'BackupBatch']",
                        "invoker.kind must be BackupConfiguration or BackupBatch",
                    ),
                    rule("self.name != ''", "invoker.name is missing: name the object whose backup is to run"),
                ],
            ),
            "retryLeft": integer("Number of further attempts if this one fails.", least=0),
        },
        required=["invoker"],
        rules=[rule("self == oldSelf", "the spec of a BackupSession cannot be changed: create another BackupSession")],
    ),
    status=record(
        "Progress and result of the run.",
        {
            "phase": string(f"One of {', '.join(_BACKUP_PHASES)}.", enum=_BACKUP_PHASES),
            "sessionDuration": string("How long the run took.", most=64),
            "sessionDeadline": time("When the run fails if it is not done."),
            "retried": boolean("Whether another attempt was started after this one failed."),
            "nextRetry": time("When the next attempt starts."),
            "targets": _backup_targets(),
            "conditions": conditions(),
        },
    ),
    columns=(
        Column("Invoker-Type", ".spec.invoker.kind"),
        Column("Invoker-Name", ".spec.invoker.name"),
        Column("Phase", ".status.phase"),
        Column("Duration", ".status.sessionDuration"),
        Column("Deadline", ".status.sessionDeadline", wide=True),
        AGE,
    ),
    selectable=(".spec.invoker.kind", ".spec.invoker.name", ".status.phase"),
)

_RESTORE_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown", "Invalid")
_HOST_RESTORE_PHASES = ("Succeeded", "Failed", "Running", "Unknown")


def _restore_spec() -> Schema:
    fields = {
        "driver": driver(),
        "repository": repository_reference(),
        "task": task(),
        "target": restore_target(),
        "rules": restore_rules("Older place of target.rules; use that."),
        "runtimeSettings": runtime_settings(),
        "tempDir": temporary_directory(),
        "interimVolumeTemplate": interim_volume(),
        "hooks": restore_hooks(),
        "timeOut": time_limit("a restore"),
    }
    return record(
        "What is restored, from where, to where. Cannot be changed.",
        fields,
        rules=[
            rule("self == oldSelf", "the spec of a RestoreSession cannot be changed: create another RestoreSession"),
            rule(
                "(has(self.driver) && self.driver != 'Restic') || (has(self.repository) && self.repository.name != '')",
                "repository.name is missing: name the Repository that the Restic driver reads from",
            ),
            rule(
                "!has(self.rules) || self.rules.size() == 0 || !has(self.target) || !has(self.target.rules) || "
                "self.target.rules.size() == 0",
                "rules are given twice: keep those of target.rules",
            ),
        ],
    )


RESTORE_SESSION = Kind(
    group=_GROUP,
    version="v1beta1",
    kind="RestoreSession",
    plural="restoresessions",
    short_names=("restore",),
    categories=("stash", "appscode", "all"),
    description="One run of a restore.",
    spec=_restore_spec(),
    status=record(
        "Progress and result of the run.",
        {
            "phase": string(f"One of {', '.join(_RESTORE_PHASES)}.", enum=_RESTORE_PHASES),
            "totalHosts": integer("Number of hosts that take part."),
            "sessionDuration": string("How long the run took.", most=64),
            "sessionDeadline": time("When the run fails if it is not done."),
            "stats": listing(
                "Results by host.",
                record(
                    "",
                    {
                        "hostname": string("Host that was restored."),
                        "phase": string(f"One of {', '.join(_HOST_RESTORE_PHASES)}.", enum=_HOST_RESTORE_PHASES),
                        "duration": string("How long the host took.", most=64),
                        "error": string("Why the host failed.", most=LONG),
                    },
                ),
                most=1024,
            ),
            "conditions": conditions(),
        },
    ),
    columns=(
        Column("Repository", ".spec.repository.name"),
        Column("Target-Kind", ".spec.target.ref.kind", wide=True),
        Column("Target", ".spec.target.ref.name", wide=True),
        Column("Phase", ".status.phase"),
        Column("Duration", ".status.sessionDuration"),
        AGE,
    ),
    selectable=(
        ".spec.repository.name",
        ".spec.target.ref.kind",
        ".spec.target.ref.name",
        ".status.phase",
    ),
)
