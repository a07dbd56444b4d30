"""Bad input, and what it gets: a reason people can act on, nothing lost, nobody else held up, recovery by itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.autobackup.stage import CONFIGURATION, SECONDS, Stage
from tools.controlplane import ApiFailure, wait_for

BAD_ANNOTATIONS = [
    ("schedule", "every tuesday", "InvalidSchedule"),
    ("schedule", "61 * * * *", "InvalidSchedule"),
    ("schedule", "0 0 30 2 *", "InvalidSchedule"),
    ("schedule", "* * * * *\n* * * * *", "InvalidSchedule"),
    ("schedule", "x" * 100_000, "InvalidSchedule"),
    ("target_paths", "../etc", "InvalidAnnotation"),
    ("target_paths", "/srv/data/../../etc", "InvalidAnnotation"),
    ("target_paths", "/srv/data,,", "InvalidAnnotation"),
    ("target_paths", "/srv/\ndata", "InvalidAnnotation"),
    ("target_paths", '["/srv/data"', "InvalidAnnotation"),
    ("target_paths", "/etc", "PathNotMounted"),
    ("target_paths", "/srv/database", "PathNotMounted"),
    ("volume_mounts", "nosuch:/srv/data", "VolumeNotFound"),
    ("volume_mounts", "data", "InvalidAnnotation"),
    ("volume_mounts", "data:relative", "InvalidAnnotation"),
    ("volume_mounts", "data:/a:b:c", "InvalidAnnotation"),
    ("volume_mounts", "data:/a:../up", "InvalidAnnotation"),
    ("volume_mounts", '${X}:/a","serviceAccountName":"x', "InvalidAnnotation"),
]


@pytest.mark.parametrize(("annotation", "value", "reason"), BAD_ANNOTATIONS)
def test_bad_annotation_keeps_the_last_good_objects(stage: Stage, annotation: str, value: str, reason: str) -> None:
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    _, good = stage.configured("deploy-shop")
    stage.annotate("Deployment", "shop", **{annotation: value})
    event = stage.event("shop", reason)
    assert event["type"] == "Warning"
    assert "stash.appscode.com/" + annotation.replace("_", "-") in event["note"], "the field"
    assert len(event["note"]) <= 1024
    failure = stage.failed(blueprint, "shop")
    assert failure["reason"] == reason
    assert stage.condition(blueprint, "TargetsConfigured")["status"] == "False"
    assert stage.condition(blueprint, "Ready")["status"] == "True"
    now = stage.find_configuration("deploy-shop")
    assert now is not None
    assert now["spec"] == good["spec"]
    stage.annotate("Deployment", "shop", **{annotation: None})
    stage.settled(blueprint, configured=1, failed=0)
    stage.event("shop", "Configured")


@pytest.mark.parametrize("value", ["", " ", ",", "Not A Name", "../x", "a/b", "x" * 100_000, '${X}","a":"'])
def test_unreadable_blueprint_annotation_deletes_nothing(stage: Stage, value: str) -> None:
    blueprint = stage.blueprint()
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-data")
    stage.annotate("PersistentVolumeClaim", "data", blueprint=value)
    stage.event("data", "InvalidAnnotation")
    assert stage.find_configuration("pvc-data") is not None
    stage.annotate("PersistentVolumeClaim", "data", blueprint=blueprint)
    stage.settled(blueprint, configured=1)


BAD_BLUEPRINTS: list[tuple[dict[str, Any], str]] = [
    ({"prefix": "x/${NO_SUCH_VARIABLE}"}, "NO_SUCH_VARIABLE"),
    ({"prefix": "x/${TARGET_NAME^^}"}, "TARGET_NAME"),
    ({"schedule": "61 2 * * *"}, "spec.schedule"),
    ({"schedule": "0 0 30 2 *"}, "spec.schedule"),
]


@pytest.mark.parametrize(("spec", "named"), BAD_BLUEPRINTS)
def test_blueprint_that_nobody_can_use(stage: Stage, spec: dict[str, Any], named: str) -> None:
    blueprint = stage.blueprint(**spec)
    wait_for(
        lambda: stage.condition(blueprint, "Ready").get("status") == "False",
        SECONDS,
        what="Ready to be False",
        state=lambda: stage.blueprint_status(blueprint),
    )
    ready = stage.condition(blueprint, "Ready")
    assert ready["reason"] == "InvalidTemplate"
    assert named in ready["message"]
    assert stage.condition(blueprint, "Stalled")["status"] == "True"
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.event("data", "InvalidBlueprint")
    stage.blueprint(blueprint)
    stage.configured("pvc-data")
    assert stage.settled(blueprint, configured=1)
    assert stage.condition(blueprint, "Ready")["status"] == "True"


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"prefix": "x/${TARGET_NAME"}, "spec.backend.s3.prefix"),
        ({"prefix": "x/../y"}, "spec.backend.s3.prefix"),
        ({"schedule": "nonsense"}, "spec.schedule"),
        ({"backend": {"storageSecretName": "storage"}}, "spec.backend"),
    ],
)
def test_blueprint_that_the_api_refuses(stage: Stage, spec: dict[str, Any], named: str) -> None:
    with pytest.raises(ApiFailure) as refused:
        stage.blueprint(**spec)
    assert refused.value.status == 422
    assert named in str(refused.value)


def test_blueprint_that_one_target_cannot_use(stage: Stage) -> None:
    blueprint = stage.blueprint(prefix="x/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}/${TARGET_APP_VERSION}")
    stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.create("AppBinding", "db", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("app-db")
    failure = stage.failed(blueprint, "data")
    assert failure["reason"] == "UnknownVariable"
    assert "TARGET_APP_VERSION" in failure["message"]
    assert stage.settled(blueprint, matched=2, configured=1, failed=1)


@pytest.mark.parametrize(
    "version", ["../../other", "a/b", "11.9\n", "${TARGET_UID}", 'x","schedule":"* * * * *', "-", " "]
)
def test_hostile_database_version_cannot_move_a_location(stage: Stage, version: str) -> None:
    blueprint = stage.blueprint(prefix="x/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}/${TARGET_APP_VERSION}")
    stage.create(
        "AppBinding",
        "db",
        {"stash.appscode.com/backup-blueprint": blueprint},
        spec={"type": "kubedb.com/postgres", "version": version, "clientConfig": {"url": "postgres://db"}},
    )
    failure = stage.failed(blueprint, "db")
    assert failure["reason"] == "VariableRejected"
    assert "TARGET_APP_VERSION" in failure["message"]
    assert not stage.repositories()
    stage.api.patch(
        "appcatalog.appscode.com/v1alpha1/AppBinding", "db", {"spec": {"version": "11.9"}}, namespace=stage.namespace
    )
    repository, _ = stage.configured("app-db")
    assert repository["spec"]["backend"]["s3"]["prefix"].endswith("/appbinding/db/11.9")


def test_workload_without_volumes(stage: Stage) -> None:
    blueprint = stage.blueprint()
    template = {
        "metadata": {"labels": {"app": "stateless"}},
        "spec": {"containers": [{"name": "main", "image": "example.com/app:1"}]},
    }
    stage.create(
        "Deployment",
        "stateless",
        {"stash.appscode.com/backup-blueprint": blueprint},
        spec={"selector": {"matchLabels": {"app": "stateless"}}, "template": template},
    )
    event = stage.event("stateless", "NothingToBackUp")
    assert "volume-mounts" in event["note"]
    template["spec"] = {
        "containers": [
            {
                "name": "main",
                "image": "example.com/app:1",
                "volumeMounts": [{"name": "late", "mountPath": "/late"}],
            }
        ],
        "volumes": [{"name": "late", "persistentVolumeClaim": {"claimName": "late"}}],
    }
    stage.api.patch("apps/v1/Deployment", "stateless", {"spec": {"template": template}}, namespace=stage.namespace)
    _, configuration = stage.configured("deploy-stateless")
    assert configuration["spec"]["target"]["paths"] == ["/late"]


def test_unknown_annotation_is_told_with_the_nearest_known(stage: Stage) -> None:
    blueprint = stage.blueprint()
    stage.create(
        "PersistentVolumeClaim",
        "data",
        {"stash.appscode.com/backup-blueprint": blueprint, "stash.appscode.com/scheduel": "0 1 * * *"},
    )
    stage.configured("pvc-data")
    event = stage.event("data", "UnknownAnnotation")
    assert "did you mean stash.appscode.com/schedule" in event["note"]


def test_one_bad_target_holds_up_nobody(stage: Stage) -> None:
    blueprint = stage.blueprint()
    for number in range(10):
        stage.create(
            "PersistentVolumeClaim",
            f"bad{number}",
            {"stash.appscode.com/backup-blueprint": blueprint, "stash.appscode.com/schedule": f"bad {number}"},
        )
    stage.create("PersistentVolumeClaim", "good", {"stash.appscode.com/backup-blueprint": blueprint})
    stage.configured("pvc-good")
    status = stage.settled(blueprint, matched=11, configured=1, failed=10)
    assert len(status["failures"]) == 10


def test_refusal_by_policy_is_told_and_recovers(stage: Stage) -> None:
    """A policy that refuses our objects: told with the policy's own words, tried again when it is gone."""
    name = f"no-repositories-{stage.namespace}"
    group = "admissionregistration.k8s.io/v1"
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}},
                "resourceRules": [
                    {
                        "apiGroups": ["stash.appscode.com"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE"],
                        "resources": ["repositories"],
                    }
                ],
            },
            "validations": [{"expression": "false", "message": "the platform team says no"}],
        },
    }
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    stage.api.create(policy)
    stage.api.create(binding)
    try:
        probe = {
            "apiVersion": "stash.appscode.com/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": "probe", "namespace": stage.namespace},
            "spec": {"backend": {"s3": {"endpoint": "e", "bucket": "b"}, "storageSecretName": "s"}},
        }

        def refused() -> bool:
            try:
                stage.api.request(
                    "POST",
                    f"/apis/stash.appscode.com/v1alpha1/namespaces/{stage.namespace}/repositories",
                    query={"dryRun": "All"},
                    body=probe,
                )
            except Exception as failure:
                return "platform team" in str(failure)
            return False

        wait_for(refused, 60, what="the policy to be in force")
        blueprint = stage.blueprint()
        stage.create("PersistentVolumeClaim", "data", {"stash.appscode.com/backup-blueprint": blueprint})
        event = stage.event("data", "AdmissionDenied")
        assert "the platform team says no" in event["note"]
        assert stage.failed(blueprint, "data")["reason"] == "AdmissionDenied"
    finally:
        stage.api.delete(f"{group}/ValidatingAdmissionPolicyBinding", name)
        stage.api.delete(f"{group}/ValidatingAdmissionPolicy", name)
    wait_for(lambda: not refused(), 60, what="the policy to be gone")
    stage.annotate("PersistentVolumeClaim", "data", schedule="0 3 * * *")
    stage.configured("pvc-data")


def test_forged_record_of_a_pod_template_is_not_believed(stage: Stage) -> None:
    """What the operator wrote down about a workload counts only as long as nobody else changed it."""
    blueprint = stage.blueprint()
    stage.create("Deployment", "shop", {"stash.appscode.com/backup-blueprint": blueprint})
    _, configuration = stage.configured("deploy-shop")
    key = "autobackup.stash.appscode.com/pod-template"
    forged = configuration["metadata"]["annotations"][key].replace("/srv/data", "/etc")
    stage.api.annotate(CONFIGURATION, "deploy-shop", {key: forged}, namespace=stage.namespace)
    wait_for(
        lambda: (
            (stage.find_configuration("deploy-shop") or {})["metadata"]["annotations"][key]
            == configuration["metadata"]["annotations"][key]
        ),
        SECONDS,
        what="the record to be put right",
    )
    assert (stage.find_configuration("deploy-shop") or {})["spec"] == configuration["spec"]
