"""Managed copies of storage Secrets on a real API server: they come, follow their source, and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.autobackup.copying import (
    CONSENT,
    CONTENT,
    OWN,
    SECRET,
    allow,
    blueprint_from,
    content_of,
    copied,
    make_source,
    removed,
)
from tests.autobackup.stage import SECONDS, Stage
from tests.support.cluster import create_namespace, remove_namespace, unique_name
from tools.controlplane import OPERATOR, AuditLog, wait_for

PASSWORD = "RESTIC_PASSWORD"
ANNOTATION = "stash.appscode.com/backup-blueprint"


@pytest.fixture
def vault(stage: Stage) -> Iterator[str]:
    """A namespace with a source `bucket` that the operator may read; copies may be made in the stage's."""
    name = unique_name("vault")
    create_namespace(stage.api, name)
    allow(stage.api, "source", name, ["bucket"])
    allow(stage.api, "copies", stage.namespace, ["storage"])
    yield name
    remove_namespace(stage.api, name)


def claim(stage: Stage, blueprint: str, name: str = "data") -> None:
    stage.create("PersistentVolumeClaim", name, {ANNOTATION: blueprint})


def condition_is(stage: Stage, blueprint: str, kind: str, status: str, *said: str) -> None:
    def look() -> bool:
        found = stage.condition(blueprint, kind)
        return found.get("status") == status and all(text in found["message"] for text in said)

    wait_for(
        look, SECONDS, what=f"{kind} to be {status} and to say {said}", state=lambda: stage.condition(blueprint, kind)
    )


def test_a_copy_comes_follows_its_source_and_goes(stage: Stage, vault: str, audit_log: AuditLog) -> None:
    mark = audit_log.mark()
    annotations = {"secret-of": "the-owner", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    make_source(stage.api, vault, "bucket", CONTENT, annotations=annotations)
    blueprint = blueprint_from(stage, vault, "bucket")
    claim(stage, blueprint)
    claim(stage, blueprint, "more")
    stage.configured("pvc-data")
    stage.configured("pvc-more")
    copy = copied(stage, stage.namespace)
    assert content_of(copy) == {key: value for key, value in CONTENT.items() if key != "UNRELATED"}
    assert copy["type"] == "Opaque"
    assert copy["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "autobackup"}
    assert all(key.startswith(OWN) for key in copy["metadata"]["annotations"])
    assert "ownerReferences" not in copy["metadata"]
    wrote = [
        (event.resource, event.name)
        for event in audit_log.requests(mark, namespace=stage.namespace, user=OPERATOR, verbs={"patch"})
        if event.resource in ("secrets", "backupconfigurations")
    ]
    assert wrote.count(("secrets", "storage")) == 1, wrote
    assert wrote[0] == ("secrets", "storage"), "the copy is there before a backup could need it"
    condition_is(stage, blueprint, "StorageSecretSource", "True")
    condition_is(stage, blueprint, "StorageSecretsFound", "True")

    stage.api.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket", "namespace": vault}}
        | {"stringData": {"AWS_SECRET_ACCESS_KEY": "second-key"}},
        manager="rotation",
        force=True,
    )
    rotated = copied(stage, stage.namespace, AWS_SECRET_ACCESS_KEY="second-key")
    assert rotated["metadata"]["uid"] == copy["metadata"]["uid"]

    stage.annotate("PersistentVolumeClaim", "data", blueprint=None)
    stage.gone("pvc-data")
    assert stage.api.find(SECRET, "storage", namespace=stage.namespace), "there is another target"
    stage.annotate("PersistentVolumeClaim", "more", blueprint=None)
    removed(stage, stage.namespace)
    assert stage.find_repository("pvc-data") is not None


def test_a_secret_of_somebody_else_is_left_alone(stage: Stage, vault: str) -> None:
    make_source(stage.api, vault, "bucket", CONTENT)
    mine = make_source(stage.api, stage.namespace, "storage", {"RESTIC_PASSWORD": "mine"}, labels={})
    blueprint = blueprint_from(stage, vault, "bucket")
    claim(stage, blueprint)
    assert "was not made by this operator" in stage.event("data", "StorageSecretConflict")["note"]
    assert stage.find_configuration("pvc-data") is None
    condition_is(stage, blueprint, "StorageSecretsFound", "False", "storage exists")
    assert stage.api.get(SECRET, "storage", namespace=stage.namespace) == mine
    stage.annotate("PersistentVolumeClaim", "data", blueprint=None)
    wait_for(lambda: stage.blueprint_status(blueprint).get("matched") == 0, SECONDS, what="nobody to ask for it")
    assert stage.api.get(SECRET, "storage", namespace=stage.namespace) == mine


def test_without_consent_there_is_no_copy_and_with_it_taken_back_none_is_left(stage: Stage, vault: str) -> None:
    make_source(stage.api, vault, "bucket", CONTENT, labels={})
    blueprint = blueprint_from(stage, vault, "bucket")
    claim(stage, blueprint)
    assert "does not consent" in stage.event("data", "StorageSecretNotCopied")["note"]
    condition_is(stage, blueprint, "StorageSecretSource", "False", "may-be-copied=true")
    assert stage.api.find(SECRET, "storage", namespace=stage.namespace) is None
    label(stage, vault, labels=CONSENT)
    stage.configured("pvc-data")
    copied(stage, stage.namespace)
    label(stage, vault, annotations={f"{OWN}may-be-copied-for": "somebody-else, and-another"})
    removed(stage, stage.namespace)
    condition_is(stage, blueprint, "StorageSecretSource", "False", "names others")
    assert stage.find_configuration("pvc-data") is not None, "a backup that fails is told; one that is gone is not"
    label(stage, vault, annotations={f"{OWN}may-be-copied-for": f"somebody-else,{blueprint}"})
    copied(stage, stage.namespace)
    condition_is(stage, blueprint, "StorageSecretSource", "True")


def label(stage: Stage, vault: str, **metadata: Any) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bucket", "namespace": vault, **metadata}}
    stage.api.apply(body, manager=f"owner-{'-'.join(metadata)}", force=True)


def test_a_source_that_is_emptied_or_gone_costs_nobody_a_copy(stage: Stage, vault: str) -> None:
    make_source(stage.api, vault, "bucket", CONTENT)
    blueprint = blueprint_from(stage, vault, "bucket")
    claim(stage, blueprint)
    stage.configured("pvc-data")
    before = copied(stage, stage.namespace)
    stage.api.delete(SECRET, "bucket", namespace=vault)
    condition_is(stage, blueprint, "StorageSecretSource", "False", "does not exist")
    make_source(stage.api, vault, "bucket", {PASSWORD: "", "AWS_ACCESS_KEY_ID": "x"})
    condition_is(stage, blueprint, "StorageSecretSource", "False", f"lacks {PASSWORD}, AWS_SECRET_ACCESS_KEY")
    assert stage.api.get(SECRET, "storage", namespace=stage.namespace) == before
    condition_is(stage, blueprint, "StorageSecretsFound", "True")
    stage.api.delete(SECRET, "bucket", namespace=vault)
    make_source(stage.api, vault, "bucket", {**CONTENT, PASSWORD: "another"})
    copied(stage, stage.namespace, RESTIC_PASSWORD="another")
    condition_is(stage, blueprint, "StorageSecretSource", "True")


def test_a_right_that_is_missing_is_named_with_the_rule_that_gives_it(stage: Stage, vault: str) -> None:
    stage.api.delete("rbac.authorization.k8s.io/v1/Role", "copies-storage", namespace=stage.namespace)
    make_source(stage.api, vault, "bucket", CONTENT)
    blueprint = blueprint_from(stage, vault, "bucket")
    claim(stage, blueprint)
    note = stage.event("data", "StorageSecretForbidden")["note"]
    assert "get, create, patch, delete on secrets" in note
    assert 'resourceNames ["storage"]' in note
    condition_is(stage, blueprint, "StorageSecretsFound", "False", "cannot be made")
    allow(stage.api, "copies", stage.namespace, ["storage"])
    wait_for(lambda: stage.find_configuration("pvc-data"), 60, what="the copy and what waits for it")
    copied(stage, stage.namespace)


def test_a_source_that_may_not_be_read_is_told(stage: Stage, vault: str) -> None:
    make_source(stage.api, vault, "other", CONTENT)
    blueprint = blueprint_from(stage, vault, "other")
    claim(stage, blueprint)
    condition_is(stage, blueprint, "StorageSecretSource", "False", "get, watch on secrets", '["other"]')
    stage.event("data", "StorageSecretNotCopied")


def test_who_may_not_use_the_blueprint_any_more_loses_the_copy(stage: Stage, vault: str) -> None:
    make_source(stage.api, vault, "bucket", CONTENT)
    blueprint = blueprint_from(stage, vault, "bucket")
    claim(stage, blueprint)
    stage.configured("pvc-data")
    copied(stage, stage.namespace)
    blueprint_from(stage, vault, "bucket", name=blueprint, allowedNamespaces={"names": ["another"]})
    removed(stage, stage.namespace)
    assert paused(stage), "it is suspended, not deleted"
    blueprint_from(stage, vault, "bucket", name=blueprint)
    copied(stage, stage.namespace)
    wait_for(lambda: not paused(stage), SECONDS, what="backups to go on")


def paused(stage: Stage) -> bool:
    found = stage.find_configuration("pvc-data")
    assert found is not None
    return bool(found["spec"].get("paused"))


def test_each_repository_can_have_a_password_of_its_own(stage: Stage, vault: str) -> None:
    names = [f"storage-persistentvolumeclaim-{name}" for name in ("data", "more")]
    allow(stage.api, "copies", stage.namespace, names)
    make_source(stage.api, vault, "bucket", CONTENT)
    backend = {
        "s3": {"endpoint": "s3.example.com", "bucket": "store", "prefix": "b/${TARGET_NAMESPACE}/${TARGET_NAME}"},
        "storageSecretName": "storage-${TARGET_KIND}-${TARGET_NAME}",
    }
    blueprint = blueprint_from(stage, vault, "bucket", own=True, backend=backend)
    claim(stage, blueprint)
    claim(stage, blueprint, "more")
    stage.configured("pvc-data")
    stage.configured("pvc-more")
    first, second = (content_of(copied(stage, stage.namespace, name)) for name in names)
    assert len({first[PASSWORD], second[PASSWORD], CONTENT[PASSWORD]}) == 3
    assert first.keys() == second.keys() == CONTENT.keys() - {"UNRELATED"}
    assert first["AWS_ACCESS_KEY_ID"] == CONTENT["AWS_ACCESS_KEY_ID"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"storageSecret": {"source": {"name": "bucket"}}}, "namespace"),
        ({"storageSecret": {}}, "source"),
        ({"storageSecret": {"source": {"namespace": "Vault", "name": "bucket"}}}, "name of a namespace"),
        ({"storageSecret": {"source": {"namespace": "v", "name": "b/c"}}}, "name of an object"),
        (
            {"storageSecret": {"source": {"namespace": "v", "name": "b"}, "passwordPerRepository": True}},
            "must differ for each repository",
        ),
    ],
)
def test_the_server_refuses_what_cannot_be_meant(stage: Stage, spec: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        stage.blueprint(unique_name("bad"), **spec)


def test_a_name_with_variables_is_for_passwords_of_their_own(stage: Stage) -> None:
    backend = {"s3": {"endpoint": "e", "bucket": "b"}, "storageSecretName": "storage-${TARGET_NAME}"}
    with pytest.raises(Exception, match="one name without variables"):
        blueprint_from(stage, "vault", "bucket", backend=backend)
