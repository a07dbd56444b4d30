"""What is backed up and what is restored to, and references to other objects."""

from __future__ import annotations

from tools.crds import core, rules
from tools.crds.execution import claim_template
from tools.crds.schema import NAME, PATH, Schema, integer, listing, record, rule, string, strings

# Rules of a restore, and hosts of a rule: more, and the API server finds the search for a host in two rules too dear.
RULES = 50


def target_reference(description: str, *, checked: bool = True) -> Schema:
    """Go clients write an empty reference where there is none: all empty is fine, half a reference is not."""
    parts = ("apiVersion", "kind", "name")
    given = ", ".join(f"has(self.{part}) && self.{part} != ''" for part in parts)
    return record(
        description,
        {
            "apiVersion": string("API version of the target, for example apps/v1."),
            "kind": string("Kind of the target, for example Deployment."),
            "name": string("Name of the target."),
            "namespace": string("Namespace of the target; that of this object when empty."),
        },
        rules=[
            rule(
                f"[{given}].filter(given, given).size() in [0, {len(parts)}]",
                "the reference is incomplete: give apiVersion, kind and name",
            )
        ]
        if checked
        else (),
    )


def repository_reference() -> Schema:
    return record(
        "Repository that the snapshots are in.",
        {
            "name": string("Name of the Repository.", rules=[rules.object_name("repository.name")]),
            "namespace": string(
                "Namespace of the Repository; that of this object when empty. Its usagePolicy must allow this one.",
                rules=[rules.namespace_name("repository.namespace")],
            ),
        },
        required=["name"],
    )


def typed_references(description: str, *, most: int) -> Schema:
    return listing(
        description,
        record(
            "",
            {
                "apiGroup": string("API group of the object."),
                "kind": string("Kind of the object."),
                "namespace": string("Namespace of the object."),
                "name": string("Name of the object."),
            },
            required=["name"],
        ),
        most=most,
    )


def backup_target() -> Schema:
    return record(
        "What is backed up.",
        {
            "alias": _alias("Name that the snapshots carry as their host, in place of the built-in one."),
            "ref": target_reference("The workload, claim, database or namespace to back up."),
            "paths": strings(
                "Files and directories to back up, as the container that backs up sees them.",
                each_rules=[rules.absolute("a path to back up"), rules.no_parent("a path to back up")],
            ),
            "volumeMounts": _volume_mounts(),
            "replicas": integer(
                "Number of pods whose volumes are snapshot. VolumeSnapshotter only; 1 when unset.", least=0
            ),
            "snapshotClassName": string("VolumeSnapshotClass to use. VolumeSnapshotter only."),
            "exclude": strings("Patterns of files to leave out. Restic only."),
            "args": arguments("Further arguments of restic's backup command."),
        },
        rules=[
            rule(
                "has(self.ref) && has(self.ref.name) && self.ref.name != ''",
                "ref is missing: name the object to back up by apiVersion, kind and name",
            )
        ],
    )


def restore_target() -> Schema:
    return record(
        "What is restored to.",
        {
            "alias": _alias("Name that the restored host goes by, in place of the built-in one."),
            "ref": target_reference("The workload, claim or database to restore to."),
            "volumeMounts": _volume_mounts(),
            "replicas": integer(
                "Number of claims made from each template. VolumeSnapshotter only; 1 when unset.", least=0
            ),
            "volumeClaimTemplates": listing(
                "Claims to make and restore into; ${POD_ORDINAL} in a name is the number of the replica.",
                claim_template(""),
                most=64,
            ),
            "rules": restore_rules("What each host gets. Without rules every host gets its latest snapshots."),
            "args": arguments("Further arguments of restic's restore command."),
        },
    )


def restore_rules(description: str) -> Schema:
    return listing(
        description,
        record(
            "",
            {
                "targetHosts": strings(
                    "Hosts that this rule is for; all hosts without a rule of their own when empty.",
                    most=RULES,
                    each=NAME,
                ),
                "sourceHost": string("Host whose snapshots are restored; the host itself when empty."),
                "snapshots": strings("Ids of the snapshots to restore, or latest.", most=64, each=64),
                "paths": strings("Paths to restore, from the latest snapshot of each.", most=64),
                "exclude": strings("Patterns of files to leave out. Restic only."),
                "include": strings("Patterns of files to restore; the others are left out. Restic only."),
            },
            rules=[
                rule(
                    "!(has(self.snapshots) && self.snapshots.size() > 0 && has(self.paths) && self.paths.size() > 0)",
                    "a rule has snapshots and paths: a snapshot holds one path, so keep one of them",
                ),
                rule(
                    "!has(self.paths) || self.paths.all(path, path.startsWith('/'))",
                    "a path to restore must be absolute: start it with '/'",
                ),
            ],
        ),
        most=RULES,
        rules=[
            rule(
                "self.filter(one, !has(one.targetHosts) || one.targetHosts.size() == 0).size() <= 1",
                "only one rule may have no targetHosts: name the hosts of the other rules",
            ),
            rule(
                "self.all(one, !has(one.targetHosts) || one.targetHosts.all(host, "
                "self.filter(other, has(other.targetHosts) && host in other.targetHosts).size() == 1))",
                "a host is in several rules: leave it in one of them",
            ),
        ],
    )


def _alias(description: str) -> Schema:
    return string(
        description,
        rules=[
            rules.matching(
                rules.HOST,
                "alias must be a host name: letters, digits, '-', '_' and '.', with a letter or digit at both ends",
            )
        ],
    )


def _volume_mounts() -> Schema:
    mounts = core.embed_items(
        "VolumeMount",
        "Volumes of the target to mount, and where. A claim is mounted at /stash-data when there are none.",
        most=64,
        each=(
            rule(
                "self.mountPath.startsWith('/') && !self.mountPath.contains(':')",
                "mountPath must be an absolute path without ':': start it with '/'",
            ),
            rule(
                "!has(self.subPath) || self.subPath == '' || (!self.subPath.startsWith('/') && "
                "!self.subPath.matches('(^|/)[.][.](/|$)'))",
                "subPath must be a relative path without '..': it starts at the root of the volume",
            ),
            rule(
                "!has(self.subPath) || self.subPath == '' || !has(self.subPathExpr) || self.subPathExpr == ''",
                "a mount has subPath and subPathExpr: keep one of them",
            ),
        ),
    )
    mounts["x-kubernetes-validations"] = [
        rule(
            "self.all(one, self.filter(other, other.mountPath == one.mountPath).size() == 1)",
            "two mounts have the same mountPath: give each its own",
        )
    ]
    return mounts


def arguments(description: str) -> Schema:
    return strings(
        description,
        most=64,
        each=PATH,
        each_rules=[
            rule(
                "!self.matches('^(--(repo|repository-file|password-file|password-command)(=|$)|-[rp])')",
                "arguments must not choose the repository or its password: the Repository and its Secret do",
            )
        ],
    )
