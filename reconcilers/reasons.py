"""Every reason that conditions, Events and outcomes may carry. A closed list: the reference page is made from it."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """CamelCase reasons; the docstring of each is what the reference prints."""

    def __new__(cls, value: str, doc: str, warning: bool = True) -> Reason:
        member = str.__new__(cls, value)
        member._value_ = value
        member.__doc__ = doc
        member._warning = warning  # type: ignore[attr-defined]
        return member

    @property
    def warning(self) -> bool:
        """Whether an Event with this reason is a Warning."""
        return bool(self._warning)  # type: ignore[attr-defined]

    # outcomes of a target
    CONFIGURED = ("Configured", "Repository and BackupConfiguration are in place.", False)
    BLUEPRINT_NOT_FOUND = (
        "BlueprintNotFound",
        "The annotation names a BackupBlueprint that does not exist; objects applied earlier stay as they are.",
    )
    INVALID_BLUEPRINT = (
        "InvalidBlueprint",
        "The BackupBlueprint itself cannot be used; its status says why.",
    )
    INVALID_ANNOTATION = ("InvalidAnnotation", "The value of an annotation on the target cannot be used.")
    UNKNOWN_VARIABLE = (
        "UnknownVariable",
        "The blueprint uses a variable that does not exist or has no value for this kind of target.",
    )
    VARIABLE_REJECTED = (
        "VariableRejected",
        "The value of a variable cannot stand where the blueprint puts it, for example a slash in a location.",
    )
    INVALID_SCHEDULE = ("InvalidSchedule", "The schedule is not a cron expression.")
    OVERRIDE_NOT_PERMITTED = (
        "OverrideNotPermitted",
        "The blueprint does not permit this annotation, or does not list what it names.",
    )
    OVERRIDE_OUT_OF_BOUNDS = (
        "OverrideOutOfBounds",
        "An annotation asks for more or less than the blueprint allows; the last good configuration stays in force.",
    )
    INVALID_BACKEND = ("InvalidBackend", "The resolved backend is incomplete or ambiguous.")
    VOLUME_NOT_FOUND = ("VolumeNotFound", "A volume that the annotation names is not in the pod template.")
    PATH_NOT_MOUNTED = ("PathNotMounted", "A path to back up lies under none of the mounts.")
    NOTHING_TO_BACK_UP = (
        "NothingToBackUp",
        "The workload mounts no persistent volume and its annotations name none.",
    )
    AMBIGUOUS_VOLUMES = (
        "AmbiguousVolumes",
        "The persistent volumes of the workload cannot be derived from its pod template; name them.",
    )
    NAME_CONFLICT = (
        "NameConflict",
        "An object with the name we need exists and is not ours; it is left alone.",
    )
    LOCATION_CONFLICT = (
        "LocationConflict",
        "Another target's Repository already uses the location this one resolves to.",
    )
    NAMESPACE_NOT_WATCHED = (
        "NamespaceNotWatched",
        "The blueprint puts objects into a namespace that this operator does not watch.",
    )
    NAMESPACE_NOT_ALLOWED = (
        "NamespaceNotAllowed",
        "The blueprint may not be used in the target's namespace; a BackupConfiguration that is there is suspended.",
    )
    NAMESPACE_UNSEEN = (
        "NamespaceUnseen",
        "Annotations of a Namespace that cannot be seen now decided some settings; what was applied stays in force.",
    )
    NAMESPACE_UNKNOWN = (
        "NamespaceUnknown",
        "Whether the blueprint may be used depends on the target's Namespace, of which nothing is known; until it is, "
        "the answer is no.",
    )
    NAMESPACE_REUSED = (
        "NamespaceReused",
        "The Repository belongs to an earlier namespace of the same name; somebody has to say that it may be taken "
        "over (autobackup adopt).",
    )
    BEING_DELETED = (
        "BeingDeleted",
        "An object of ours is still being deleted; it is made anew when it is gone.",
    )
    WORKLOADS_FIRST = (
        "WorkloadsFirst",
        "The claim is a target because of its Namespace; whether a workload backs it up already is found out first.",
        False,
    )
    # outcomes of a write
    ADMISSION_DENIED = ("AdmissionDenied", "An admission policy or webhook refused the object.")
    FORBIDDEN = ("Forbidden", "The operator lacks the right for this request.")
    QUOTA_EXCEEDED = ("QuotaExceeded", "A ResourceQuota leaves no room for the object.")
    FIELD_CONFLICT = (
        "FieldConflict",
        "Another field manager keeps changing fields of an object that is ours; we stopped for a while.",
    )
    NAMESPACE_TERMINATING = (
        "NamespaceTerminating",
        "The namespace is being deleted; nothing is created in it.",
        False,
    )
    APPLY_FAILED = ("ApplyFailed", "The API server refused or did not answer a write; it is tried again.")
    INVALID_OBJECT = ("InvalidObject", "The API server's validation refused the resolved object.")
    INTERNAL_ERROR = ("InternalError", "A defect of the operator; its log has the traceback. It is tried again.")
    # storage Secrets that are copies
    STORAGE_SECRET_PENDING = (
        "StorageSecretPending",
        "The storage Secret is still to be copied; the BackupConfiguration follows.",
        False,
    )
    STORAGE_SECRET_NOT_COPIED = (
        "StorageSecretNotCopied",
        "The storage Secret is not there and cannot be copied: its source is missing, lacks keys or does not consent.",
    )
    STORAGE_SECRET_FORBIDDEN = (
        "StorageSecretForbidden",
        "The operator lacks the right to copy the storage Secret; the message has the rule that gives it.",
    )
    STORAGE_SECRET_CONFLICT = (
        "StorageSecretConflict",
        "A Secret that the operator did not make, or that holds something else, has the name of the copy.",
    )
    PASSWORD_WOULD_CHANGE = (
        "PasswordWouldChange",
        "The Repository holds snapshots that open with another password than the blueprint would give it.",
    )
    # warnings that do not stand in the way
    STORAGE_SECRET_MISSING = (
        "StorageSecretMissing",
        "The storage Secret does not exist in the Repository's namespace: backups cannot run until it does.",
    )
    STORAGE_SECRET_INCOMPLETE = (
        "StorageSecretIncomplete",
        "The storage Secret lacks keys that the backend needs, or they are empty: backups cannot run without them.",
    )
    NO_SCHEDULE = ("NoSchedule", "Neither blueprint nor annotation gives a schedule: nothing runs by itself.")
    UNKNOWN_ANNOTATION = (
        "UnknownAnnotation",
        "An annotation under one of our prefixes means nothing for this kind of target.",
    )
    LOCATION_SHARED = (
        "LocationShared",
        "A Repository that this operator did not make has the same location; whoever uses it can prune what is there.",
    )
    LOCATION_NESTED = (
        "LocationNested",
        "The location lies inside, or contains, the location of another Repository.",
    )
    RETENTION_PENDING = (
        "RetentionPending",
        "Fewer snapshots are to be kept: it takes effect when the grace period of the blueprint has passed.",
    )
    # Events about writes
    REPOSITORY_CREATED = ("RepositoryCreated", "A Repository was created for the target.", False)
    REPOSITORY_UPDATED = ("RepositoryUpdated", "The target's Repository was changed.", False)
    REPOSITORY_SUCCEEDED = (
        "RepositorySucceeded",
        "The backend changed, so a new Repository took over; the old one and its data are kept.",
        False,
    )
    CONFIGURATION_CREATED = (
        "BackupConfigurationCreated",
        "A BackupConfiguration was created for the target.",
        False,
    )
    CONFIGURATION_UPDATED = (
        "BackupConfigurationUpdated",
        "The target's BackupConfiguration was changed.",
        False,
    )
    CONFIGURATION_DELETED = (
        "BackupConfigurationDeleted",
        "The target opted out: its BackupConfiguration was deleted, Repository and data are kept.",
        False,
    )
    CLAIM_COVERED = (
        "ClaimCovered",
        "A workload of the namespace backs the claim up already: the BackupConfiguration that it had because of its "
        "Namespace was deleted, Repository and data are kept.",
        False,
    )
    CONFIGURATION_SUSPENDED = (
        "BackupConfigurationSuspended",
        "The target may not use the blueprint any more: its BackupConfiguration is suspended, Repository and data are "
        "kept.",
    )
    CONFIGURATION_RESUMED = (
        "BackupConfigurationResumed",
        "The target may use the blueprint again: its BackupConfiguration goes on.",
        False,
    )
    # conditions of a blueprint
    RESOLVED = ("Resolved", "The blueprint is valid and ready for targets.", False)
    INVALID_TEMPLATE = ("InvalidTemplate", "The blueprint's template cannot be used for any target.")
    ALL_CONFIGURED = ("AllConfigured", "Every target that names the blueprint is configured.", False)
    NO_TARGETS = ("NoTargets", "No target names the blueprint yet.", False)
    TARGETS_FAILED = ("TargetsFailed", "Some targets that name the blueprint cannot be configured.")
    ROLLING_OUT = ("RollingOut", "Targets are still being brought up to date.", False)
    UP_TO_DATE = ("UpToDate", "No target is waiting to be brought up to date.", False)
    DISTINCT = ("Distinct", "The location template tells any two targets apart.", False)
    MAY_COLLIDE = (
        "MayCollide",
        "The location template lacks variables: two targets could resolve to one location (the second is refused).",
    )
    GRACE_PERIOD = (
        "GracePeriod",
        "Some targets keep more snapshots than asked for until the grace period has passed.",
        False,
    )
    SECRETS_FOUND = ("Found", "The storage Secret exists in every namespace that needs it.", False)
    SECRETS_MISSING = ("Missing", "The storage Secret is missing in some namespaces.")
    SECRETS_INCOMPLETE = ("Incomplete", "The storage Secret lacks keys in some namespaces; the message names them.")
    SECRETS_NOT_COPIED = ("NotCopied", "Some copies of the storage Secret cannot be made; the message says why.")
    SOURCE_READY = ("SourceReady", "The source exists and consents to be copied.", False)
    SOURCE_UNUSABLE = ("SourceUnusable", "The source is missing, lacks keys or does not consent; copies stay or go.")
    SOURCE_UNKNOWN = ("SourceUnknown", "The source was not looked at yet.", False)
    SECRETS_UNCHECKED = (
        "Unchecked",
        "The operator may not read the storage Secret, or was told not to look.",
        False,
    )
