"""How a backup or restore runs: task, hooks, settings of its pod and container, scratch space, interim volume."""

from __future__ import annotations

from tools.crds import core, rules
from tools.crds.schema import (
    LONG,
    NAME,
    PATH,
    Schema,
    boolean,
    integer,
    listing,
    mapping,
    port,
    quantity,
    record,
    rule,
    string,
    strings,
)

HANDLERS = ("exec", "httpGet", "httpPost", "tcpSocket")


def task(*, templated: bool = False) -> Schema:
    return record(
        "Addon that does the work, for volumes and databases. Workloads need none.",
        {
            "name": string(
                "Name of the task, for example pvc-backup or postgres-backup-11.9. Leave it empty when the AppBinding "
                "names its addon.",
                rules=[
                    rules.matching(r"^\S*$", "task.name must be one word: remove the blanks", templated=templated),
                    *([rules.closed_braces("task.name")] if templated else []),
                ],
            ),
            "params": listing(
                "Parameters of the task; they win over the addon's own.",
                record(
                    "",
                    {
                        "name": string("Name of the parameter, for example args."),
                        "value": string("Value of the parameter.", most=LONG),
                    },
                    required=["name", "value"],
                ),
                most=64,
                rules=[
                    rule(
                        "self.all(one, self.filter(other, other.name == one.name).size() == 1)",
                        "a parameter is given twice: keep one entry for each name",
                    )
                ],
            ),
        },
    )


def backup_hooks() -> Schema:
    policies = ("Always", "OnFailure", "OnSuccess", "OnFinalRetryFailure")
    return record(
        "What runs before and after a backup, in the target's container or over the network.",
        {
            "preBackup": _handler("Runs before the backup; the backup does not start when it fails."),
            "postBackup": _handler("Runs after the backup, as executionPolicy says.", policies=policies),
        },
    )


def restore_hooks() -> Schema:
    policies = ("Always", "OnFailure", "OnSuccess")
    return record(
        "What runs before and after a restore, in the target's container or over the network.",
        {
            "preRestore": _handler("Runs before the restore; the restore does not start when it fails."),
            "postRestore": _handler("Runs after the restore, as executionPolicy says.", policies=policies),
        },
    )


def _handler(description: str, *, policies: tuple[str, ...] = ()) -> Schema:
    fields = {
        "exec": core.embed("ExecAction", "Run a command in the container; exit status 0 is success."),
        "httpGet": core.embed("HTTPGetAction", "Send an HTTP GET request; a status from 200 to 399 is success."),
        "httpPost": _http_post(),
        "tcpSocket": core.embed("TCPSocketAction", "Open a TCP connection; an accepted connection is success."),
        "containerName": string("Container that exec runs in, or whose ports may be named; the first one when empty."),
    }
    fields["exec"]["x-kubernetes-validations"] = [
        rule(
            "has(self.command) && self.command.size() > 0", "exec.command is empty: give the program and its arguments"
        )
    ]
    for network in ("httpGet", "httpPost", "tcpSocket"):
        fields[network].setdefault("x-kubernetes-validations", []).extend(_network_rules(network))
    if policies:
        fields["executionPolicy"] = string(
            f"After which outcomes the hook runs: {', '.join(policies)}.", enum=policies, default=policies[0]
        )
    return record(
        description,
        fields,
        rules=[rules.exactly_one(HANDLERS, f"a hook needs exactly one action: one of {', '.join(HANDLERS)}")],
    )


def _network_rules(action: str) -> list[Schema]:
    found = [
        rule(
            "type(self.port) != int || (self.port >= 1 && self.port <= 65535)",
            f"{action}.port must be from 1 to 65535, or the name of a container port",
        )
    ]
    if action != "tcpSocket":
        found.append(
            rule(
                "!has(self.scheme) || self.scheme.matches('^((?i)https?|.*[$][{].*|)$')",
                f"{action}.scheme must be HTTP or HTTPS",
            )
        )
    return found


def _http_post() -> Schema:
    return record(
        "Send an HTTP POST request; a status from 200 to 399 is success.",
        {
            "host": string("Host name or address to connect to; the pod's own address when empty."),
            "path": string("Path to request.", most=PATH),
            "port": port("Port to connect to, as a number from 1 to 65535 or the name of a container port."),
            "scheme": string("HTTP or HTTPS; HTTP when empty.", most=16),
            "httpHeaders": core.embed_items("HTTPHeader", "Headers added to the request.", most=64),
            "body": string("Body of the request; may be a Go template over the session.", most=65536),
            "form": listing(
                "Form fields to send; body wins over them.",
                record(
                    "",
                    {
                        "key": string("Name of the form field."),
                        "values": strings("Values of the form field.", most=64, each=LONG),
                    },
                ),
                most=64,
            ),
        },
        required=["port"],
    )


def temporary_directory(*, templated: bool = False) -> Schema:
    return record(
        "Scratch directory of the backup, for its cache and temporary files.",
        {
            "medium": string(
                "What backs the directory: empty for the node's disk, Memory, or HugePages.",
                rules=[
                    rules.matching(
                        "^(Memory|HugePages(-.+)?)$",
                        "medium must be empty, Memory or HugePages",
                        templated=templated,
                    )
                ],
            ),
            "sizeLimit": quantity("The most that may be stored in the directory."),
            "disableCaching": boolean("Do not keep restic's cache there."),
        },
    )


def claim_template(description: str) -> Schema:
    """A PersistentVolumeClaim to be made: Stash's form, with a status that nobody reads."""
    claim = core.embed("PersistentVolumeClaimSpec", "Specification of the claim.")
    claim["x-kubernetes-validations"] = [
        rule(
            "has(self.accessModes) && self.accessModes.size() > 0",
            "accessModes is empty: name at least one, for example ReadWriteOnce",
        ),
        rule(
            "has(self.resources) && has(self.resources.requests) && 'storage' in self.resources.requests",
            "resources.requests.storage is missing: give the size of the volume, for example 1Gi",
        ),
    ]
    return record(
        description,
        {
            "apiVersion": string("API version of a claim, v1. May be left out."),
            "kind": string("Kind of a claim, PersistentVolumeClaim. May be left out."),
            "metadata": record(
                "Name, labels and annotations of the claim.",
                {
                    "name": string("Name of the claim."),
                    "generateName": string("Start of a name that the API server completes."),
                    "namespace": string("Namespace of the claim; that of the session when empty."),
                    "labels": mapping("Labels of the claim.", each=1024),
                    "annotations": mapping("Annotations of the claim.", each=LONG),
                    "ownerReferences": core.embed_items("OwnerReference", "Owners of the claim.", most=16),
                },
            ),
            "spec": claim,
            "status": core.embed("PersistentVolumeClaimStatus", "Taken so that a copied claim passes; ignored."),
        },
    )


def interim_volume() -> Schema:
    return claim_template("Volume that holds the data between the target and the storage, for tasks that need one.")


def runtime_settings() -> Schema:
    return record(
        "Settings of the pod and the container that do the work.",
        {"pod": _pod_settings(), "container": _container_settings()},
    )


def _pod_settings() -> Schema:
    return record(
        "Settings of the pod.",
        {
            "podLabels": mapping("Labels added to the pod.", each=1024),
            "podAnnotations": mapping("Annotations added to the pod.", each=LONG),
            "nodeSelector": mapping("Labels of the nodes that the pod may run on.", each=1024),
            "serviceAccountName": string("ServiceAccount to run as."),
            "serviceAccountAnnotations": mapping("Annotations added to a ServiceAccount that is made.", each=LONG),
            "automountServiceAccountToken": boolean("Mount the token of the ServiceAccount."),
            "nodeName": string("Node to run on, past the scheduler."),
            "securityContext": core.embed("PodSecurityContext", "Security settings of the pod."),
            "imagePullSecrets": core.embed_items("LocalObjectReference", "Secrets to pull images with.", most=64),
            "affinity": core.embed("Affinity", "Scheduling constraints."),
            "schedulerName": string("Scheduler to use; the cluster's default when empty."),
            "tolerations": core.embed_items("Toleration", "Taints that are tolerated.", most=256),
            "priorityClassName": string("PriorityClass of the pod."),
            "priority": integer("Priority of the pod; usually derived from the class."),
            "readinessGates": core.embed_items("PodReadinessGate", "Conditions that make the pod ready.", most=64),
            "runtimeClassName": string("RuntimeClass of the pod."),
            "enableServiceLinks": boolean("Give the pod variables for the Services of its namespace."),
            "topologySpreadConstraints": core.embed_items(
                "TopologySpreadConstraint", "How pods are spread over the cluster.", most=64
            ),
        },
    )


def _container_settings() -> Schema:
    return record(
        "Settings of the container.",
        {
            "resources": core.embed("ResourceRequirements", "Processor, memory and other resources."),
            "livenessProbe": core.embed("Probe", "Probe whose failure restarts the container."),
            "readinessProbe": core.embed("Probe", "Probe whose failure makes the container not ready."),
            "lifecycle": core.embed("Lifecycle", "What runs after the start and before the stop of the container."),
            "securityContext": core.embed("SecurityContext", "Security settings of the container."),
            "nice": nice(),
            "ionice": ionice(),
            "env": core.embed_items(
                "EnvVar",
                "Environment variables.",
                most=256,
                each=(
                    rule(
                        "!has(self.value) || self.value == '' || !has(self.valueFrom)",
                        "a variable has value and valueFrom: keep one of them",
                    ),
                ),
            ),
            "envFrom": core.embed_items("EnvFromSource", "ConfigMaps and Secrets as environment variables.", most=64),
        },
    )


def nice() -> Schema:
    return record(
        "Processor priority of the backup.",
        {"adjustment": integer("Niceness from -20 (first) to 19 (last).", least=-20, most=19)},
    )


def ionice() -> Schema:
    return record(
        "Disk priority of the backup.",
        {
            "class": integer("Scheduling class: 0 none, 1 real time, 2 best effort, 3 idle.", least=0, most=3),
            "classData": integer("Level within the class, from 0 (first) to 7 (last).", least=0, most=7),
        },
    )


def driver() -> Schema:
    return string(
        "What takes the backup: Restic copies files, VolumeSnapshotter takes snapshots of the storage system.",
        most=NAME,
        enum=("Restic", "VolumeSnapshotter"),
        default="Restic",
    )
