"""Every CEL rule refuses a bad object on the real API server, at its field and with its message; good ones pass.

The cases are found from the CRDs: for each rule, the examples are searched for one that has the rule's field, and
`SPOILED` says by the rule's message how to make that field bad. A rule without a case fails its test, so none can be
added without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.examples import Object, examples
from tests.api.test_schemas import schemas_of
from tools.controlplane import ApiClient, ApiFailure
from tools.crds.kinds import KINDS

Spoil = Callable[[Any], Any]


def becomes(value: Any) -> Spoil:
    return lambda _: value


def without(*fields: str) -> Spoil:
    return lambda good: {name: value for name, value in good.items() if name not in fields}


def plus(**fields: Any) -> Spoil:
    return lambda good: {**good, **fields}


def twice(good: list[Any]) -> list[Any]:
    return [*good, good[0]]


# What makes a field bad, by a part of the message it is then refused with.
SPOILED: dict[str, Spoil] = {
    "must not have '.' or '..' as a path segment": lambda good: f"{good}/../other",
    "must not contain line breaks": lambda good: f"{good}\nother",
    "must not have '..' as a path segment": lambda good: f"{good}/../other",
    "and never closes it": lambda good: f"{good}${{TARGET_NAME",
    "must be the name of an object": becomes("Not a name"),
    "must be the name of a namespace": becomes("not.a.namespace"),
    "name exactly one storage provider": lambda good: {**good, "b2": {"bucket": "b"}, "swift": {"container": "c"}},
    "storageSecretName is missing": without("storageSecretName"),
    "must be one name without variables": lambda good: {
        **good,
        "backend": {**good["backend"], "storageSecretName": "storage-${TARGET_NAME}"},
        "storageSecret": {"source": {"namespace": "vault", "name": "bucket"}},
    },
    "must differ for each repository": lambda good: {
        **good,
        "storageSecret": {"source": {"namespace": "vault", "name": "bucket"}, "passwordPerRepository": True},
    },
    "must not name a kind twice": twice,
    "endpoint must be a host": becomes("ftp://storage.example.com"),
    "url must start with": becomes("sftp://storage.example.com"),
    "url is missing": becomes({}),
    "mountPath must not be /stash": becomes("/stash/data"),
    "mountPath must not be the root directory": becomes("/"),
    "name exactly one volume source": plus(emptyDir={}),
    "hostPath.path must be": lambda good: {**good, "hostPath": {"path": "/srv/../etc"}},
    "nfs.path must be": lambda good: {**good, "nfs": {"server": "nfs.example.com", "path": "exports"}},
    "wipeOut cannot be used with": plus(wipeOut=True),
    "operator must be In": becomes({"key": "stage", "operator": "Like"}),
    "operators In and NotIn need values": becomes({"key": "stage", "operator": "In"}),
    "operators Exists and DoesNotExist take no": becomes({"key": "stage", "operator": "Exists", "values": ["live"]}),
    "from is Selector but": without("selector"),
    "keep at least one snapshot": becomes({"name": "none", "prune": True, "keepLast": 0, "keepTags": []}),
    "a tag to keep must not be empty": becomes(""),
    "a number of snapshots to keep must not be": becomes(-1),
    "must be a duration such as": becomes("10"),
    "must be longer than zero": becomes("0h0m"),
    "schedule must have five cron fields": becomes("0 2 * *"),
    "task.name must be one word": becomes("pvc backup"),
    "a parameter is given twice": twice,
    "exec.command is empty": becomes({"command": []}),
    ".port must be from 1 to 65535": plus(port=65536),
    ".scheme must be HTTP or HTTPS": plus(scheme="gopher"),
    "a hook needs exactly one action": plus(tcpSocket={"port": 1}, exec={"command": ["/bin/true"]}),
    "medium must be empty": becomes("Tape"),
    "accessModes is empty": without("accessModes"),
    "resources.requests.storage is missing": plus(resources={"requests": {}}),
    "a variable has value and valueFrom": plus(valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}),
    "repository.name is missing": plus(repository={"name": ""}),
    "the reference is incomplete": without("apiVersion"),
    "ref is missing": without("ref"),
    "alias must be a host name": becomes("-web"),
    "must be an absolute path: start it": becomes("data"),
    "mountPath must be an absolute path without ':'": plus(mountPath="/data:ro"),
    "subPath must be a relative path": plus(subPath="../other"),
    "a mount has subPath and subPathExpr": plus(subPath="logs", subPathExpr="$(POD)"),
    "two mounts have the same mountPath": twice,
    "arguments must not choose the repository": becomes("--password-command=cat /etc/passwd"),
    "only one rule may have no targetHosts": lambda good: [*good, {"paths": ["/logs"]}],
    "a host is in several rules": lambda good: [*good, {"targetHosts": ["host-1"]}],
    "a rule has snapshots and paths": plus(snapshots=["4bc21d6f"], paths=["/data"]),
    "a path to restore must be absolute": becomes({"targetHosts": ["host-1"], "paths": ["data"]}),
    "rules are given twice": lambda good: {
        **good,
        "rules": [{"paths": ["/data"]}],
        "target": {**good["target"], "rules": [{"paths": ["/data"]}]},
    },
    "min is more than max": becomes({"min": 5, "max": 4}),
    "a name must be that of a namespace": becomes("Not A Name"),
    "cannot be named by an annotation": lambda good: [{**good[0], "name": "Not a name"}],
    "is listed twice": twice,
    "a number of snapshots must not be negative": becomes(-1),
    "the name of a variable has letters": becomes("TARGET_NAME"),
    "may stand in locations needs a pattern": without("pattern"),
    "invoker.apiGroup must be": plus(apiGroup="apps"),
    "invoker.kind must be": plus(kind="CronJob"),
    "invoker.name is missing": plus(name=""),
}

# Rules about a change: they have tests of their own below.
TRANSITIONS = ("cannot be changed", "its place cannot change")


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.path}-{self.message[:40]}"


def cases() -> Iterator[Case]:
    for kind in KINDS:
        for path, schema in schemas_of(kind):
            for rule in schema.get("x-kubernetes-validations", []):
                if not any(part in rule["message"] for part in TRANSITIONS):
                    yield Case(kind.kind, path, rule["message"])


def spoil_for(message: str) -> Spoil:
    fitting = [spoil for part, spoil in SPOILED.items() if part in message]
    assert len(fitting) == 1, f"{len(fitting)} entries of SPOILED fit the rule {message!r}: make it one"
    return fitting[0]


def spoiled(case: Case) -> Object:
    """An example that has the case's field, with that field made bad."""
    for example in examples(case.kind):
        place = _place(example, case.path)
        if place is None:
            continue
        holder, key = place
        if "local backend" in case.message and "local" not in example["spec"]["backend"]:
            continue
        if "B2 backend" in case.message and "b2" not in example["spec"]["backend"]:
            continue
        holder[key] = spoil_for(case.message)(holder[key])
        return example
    pytest.fail(f"no example of {case.kind} has {case.path}: add one to tests/api/examples.py")


def _place(example: Object, path: str) -> tuple[Any, Any] | None:
    """Holder and key of the field at the path, first items of lists taken."""
    holder: Any = None
    key: Any = None
    value: Any = example
    for step in re.findall(r"[^.\[\]]+|\[\]", path):
        holder, key = value, (0 if step == "[]" else step)
        try:
            value = holder[key]
        except (KeyError, IndexError):
            return None
    return holder, key


def try_to_create(api: ApiClient, manifest: Object, namespace: str) -> Object:
    """Everything but the storing: validation, CEL and unknown fields."""
    kind = api.kind(f"{manifest['apiVersion']}/{manifest['kind']}")
    path = kind.path(namespace=namespace if kind.namespaced else None)
    return api.request("POST", path, query={"dryRun": "All", "fieldValidation": "Strict"}, body=manifest)


def refused_fields(failure: ApiFailure, message: str) -> set[str]:
    """The fields refused with the message (the server puts the bad value before it); an item's number is cut to []."""
    causes = failure.details.get("causes", [])
    return {re.sub(r"\[[^\]]*\]", "[]", cause["field"]) for cause in causes if cause["message"].endswith(message)}


@pytest.mark.parametrize(
    "kind", ["Repository", "BackupBlueprint", "BackupConfiguration", "BackupSession", "RestoreSession"]
)
def test_examples_pass(api: ApiClient, crds: list[str], kind: str) -> None:
    for example in examples(kind):
        created = try_to_create(api, example, "default")
        assert created["spec"].keys() >= example["spec"].keys()


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_rule_refuses_a_bad_object_with_its_message(api: ApiClient, crds: list[str], case: Case) -> None:
    with pytest.raises(ApiFailure) as refused:
        try_to_create(api, spoiled(case), "default")
    assert refused.value.status == 422
    assert refused_fields(refused.value, case.message) == {case.path}, refused.value.message


def test_every_entry_of_spoiled_is_used() -> None:
    messages = {case.message for case in cases()}
    assert [part for part in SPOILED if not any(part in message for message in messages)] == []


GOOD = [
    ("Repository", "spec.backend.s3.prefix", "/leading/and/trailing/"),
    ("Repository", "spec.backend.s3.prefix", ""),
    ("Repository", "spec.backend.s3.prefix", "a..b/.hidden/c."),
    ("Repository", "spec.backend.s3.endpoint", "https://objects.example.com:9000/path"),
    ("Repository", "spec.backend.rest.url", "http://user@rest.example.com:8000/"),
    ("Repository", "spec.backend.local.mountPath", "/stash-backup"),
    ("Repository", "spec.backend.local.subPath", ""),
    ("Repository", "spec.backend.storageSecretName", "storage.secret-1"),
    ("BackupBlueprint", "spec.backend.s3.prefix", "/${TARGET_NAMESPACE}/${TARGET_NAME}"),
    ("BackupBlueprint", "spec.backend.s3.prefix", "the/same/for/all"),
    ("BackupBlueprint", "spec.backend.s3.prefix", "$${literal"),
    ("BackupBlueprint", "spec.backend.s3.endpoint", "${TARGET_NAMESPACE}"),
    ("BackupBlueprint", "spec.backend.rest.url", "${TARGET_NAME:-x}"),
    ("BackupBlueprint", "spec.backend.local.mountPath", "${TARGET_NAME}"),
    ("BackupBlueprint", "spec.backend.storageSecretName", "${TARGET_NAMESPACE}-Secret"),
    ("BackupBlueprint", "spec.schedule", "${TARGET_SCHEDULE}"),
    ("BackupBlueprint", "spec.task.name", "${TARGET_APP_RESOURCE}-backup-${TARGET_APP_VERSION}"),
    ("BackupBlueprint", "spec.repoNamespace", "${TARGET_NAMESPACE}"),
    ("BackupBlueprint", "spec.timeOut", "${TARGET_TIMEOUT}"),
    ("BackupBlueprint", "spec.tempDir.medium", "${TARGET_MEDIUM}"),
    ("BackupBlueprint", "spec.schedule", ""),
    ("BackupConfiguration", "spec.schedule", "@every 1h30m"),
    ("BackupConfiguration", "spec.schedule", "@daily"),
    ("BackupConfiguration", "spec.schedule", "CRON_TZ=Europe/Berlin 0 2 * * MON-FRI"),
    ("BackupConfiguration", "spec.schedule", " */5  1,2 ? JAN L "),
    ("BackupConfiguration", "spec.timeOut", "1.5h"),
    ("BackupConfiguration", "spec.retryConfig.delay", "0s"),
    ("BackupConfiguration", "spec.task.name", ""),
    ("BackupConfiguration", "spec.target.alias", "db_1.Main"),
    ("BackupConfiguration", "spec.target.paths", ["/", "/a b/ü", "/..data"]),
    ("BackupConfiguration", "spec.target.args", ["--repository-version=2", "-e=*.tmp", "--recursive"]),
    ("BackupConfiguration", "spec.tempDir.medium", "HugePages-2Mi"),
    ("BackupConfiguration", "spec.retentionPolicy", {"name": "", "prune": False, "keepTags": ["t"]}),
    ("BackupConfiguration", "spec.repository.namespace", ""),
    ("RestoreSession", "spec.target.ref", {}),
    ("RestoreSession", "spec.target.rules", [{}]),
    ("RestoreSession", "spec.target.rules", []),
]


@pytest.mark.parametrize(("kind", "path", "value"), GOOD)
def test_rules_let_good_values_pass(api: ApiClient, crds: list[str], kind: str, path: str, value: Any) -> None:
    example = next(example for example in examples(kind) if _place(example, path) is not None)
    holder, key = _place(example, path) or pytest.fail(path)
    holder[key] = value
    created = try_to_create(api, example, "default")
    holder, key = _place(created, path) or pytest.fail(path)
    assert holder[key] == value


@pytest.mark.parametrize("kind", ["BackupSession", "RestoreSession"])
def test_what_a_session_was_asked_for_cannot_be_changed(
    api: ApiClient, crds: list[str], namespace: str, kind: str
) -> None:
    session = api.create(next(examples(kind)), namespace=namespace)
    name = f"stash.appscode.com/v1beta1/{kind}"
    changes = (
        [{"spec": {"retryLeft": 9}}]
        if kind == "BackupSession"
        else [
            {"spec": {"repository": {"name": "other"}}},
            {"spec": {"timeOut": None}},
            {"spec": {"target": {"rules": [{"snapshots": ["latest"]}]}}},
        ]
    )
    for change in changes:
        with pytest.raises(ApiFailure) as refused:
            api.patch(name, "example", change, namespace=namespace)
        assert f"the spec of a {kind} cannot be changed: create another {kind}" in refused.value.message
    api.patch(name, "example", {"metadata": {"finalizers": ["example.com/held"]}}, namespace=namespace)
    done = {"status": {"phase": "Succeeded"}}
    changed = api.patch(name, "example", done, namespace=namespace, subresource="status")
    assert changed["spec"] == session["spec"]


PLACES = {
    "s3": [{"bucket": "other"}, {"prefix": "other"}, {"prefix": None}],
    "gcs": [{"bucket": "other"}, {"prefix": "other"}],
    "azure": [{"container": "other"}, {"prefix": "other"}],
    "swift": [{"container": "other"}, {"prefix": "other"}],
    "b2": [{"bucket": "other"}, {"prefix": "other"}],
    "local": [{"subPath": "other"}, {"subPath": None}],
}


@pytest.mark.parametrize("provider", PLACES)
def test_a_repository_with_snapshots_keeps_its_place(
    api: ApiClient, crds: list[str], namespace: str, provider: str
) -> None:
    kind = "stash.appscode.com/v1alpha1/Repository"
    repository = next(example for example in examples("Repository") if provider in example["spec"]["backend"])
    api.create(repository, namespace=namespace)

    def change(backend: Object) -> Object:
        return api.patch(kind, "example", {"spec": {"backend": backend}}, namespace=namespace)

    change({provider: PLACES[provider][0]})  # nothing is in it yet: it may move
    change({provider: repository["spec"]["backend"][provider]})
    counted = {"status": {"snapshotCount": 3, "integrity": True}}
    api.patch(kind, "example", counted, namespace=namespace, subresource="status")

    for moved in PLACES[provider]:
        with pytest.raises(ApiFailure, match="the Repository holds snapshots, so its place cannot change"):
            change({provider: moved})
    with pytest.raises(ApiFailure, match="the Repository holds snapshots, so its place cannot change"):
        change({provider: None, "rest": {"url": "https://rest.example.com/"}})
    change({"storageSecretName": "rotated"})
    path = "subPath" if provider == "local" else "prefix"
    change({provider: {path: f"//{repository['spec']['backend'][provider][path]}/"}})
    emptied = {"status": {"snapshotCount": 0}}
    api.patch(kind, "example", emptied, namespace=namespace, subresource="status")
    change({provider: PLACES[provider][0]})
