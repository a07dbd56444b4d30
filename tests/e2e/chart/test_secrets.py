"""Secrets planted wherever one can be, and looked for in everything that the operator says, at level DEBUG."""

from __future__ import annotations

import base64
import json
import secrets

from tests.e2e.chart import targets
from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.release import ACCOUNT, Release, name_of
from tests.e2e.chart.scraping import read_metrics
from tools.manifests.chart import NAMESPACE


def planted(namespace: str, canary: str) -> list[Object]:
    """Storage and database credentials, and texts of people that hold passwords where none should be."""
    storage = ("RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_SERVICE_ACCOUNT_JSON_KEY")
    where = {"namespace": namespace}
    workload = targets.deployment(namespace, "web")
    container = workload["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "DATABASE_PASSWORD", "value": canary}]
    container["args"] = [f"--token={canary}"]
    broken = targets.deployment(namespace, "broken")
    for each, blueprint in ((workload, "canary"), (broken, "canary")):
        each["metadata"]["annotations"] = {
            "stash.appscode.com/backup-blueprint": blueprint,
            "stash.appscode.com/target-paths": "/data",
            "stash.appscode.com/volume-mounts": "data:/data",
            "example.com/password": canary,
        }
    broken["metadata"]["annotations"]["stash.appscode.com/schedule"] = f"https://me:{canary}@example.com"
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "storage", **where},
            "stringData": dict.fromkeys(storage, canary),
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "database", **where},
            "stringData": {"username": "postgres", "password": canary},
        },
        {
            **targets.BLUEPRINT,
            "metadata": {"name": "canary"},
            "spec": {
                **targets.BLUEPRINT["spec"],
                "backend": {
                    "rest": {"url": f"https://me:{canary}@rest.example.com/${{TARGET_NAMESPACE}}/${{TARGET_NAME}}"},
                    "storageSecretName": "storage",
                },
                "task": {"name": "postgres-backup"},
            },
        },
        workload,
        broken,
        {
            "apiVersion": "appcatalog.appscode.com/v1alpha1",
            "kind": "AppBinding",
            "metadata": {
                "name": "orders",
                **where,
                "annotations": {
                    "stash.appscode.com/backup-blueprint": "canary",
                    "params.stash.appscode.com/args": f"--password={canary}",
                },
            },
            "spec": {
                "type": "example.com/postgres",
                "version": "16.4",
                "clientConfig": {"url": f"postgresql://me:{canary}@orders.example.com:5432/orders"},
                "secret": {"name": "database"},
            },
        },
    ]


def test_no_secret_is_told(place: Place, release: Release, namespace: str) -> None:
    canary = "canary" + secrets.token_hex(12)
    release.upgrade(more={"storageSecrets": [{"namespace": namespace, "name": "storage"}]})
    try:
        place.apply(*planted(namespace, canary))
        targets.wait_backed_up(place, namespace, "web")
        targets.wait_backed_up(place, namespace, "orders")

        def told_of_the_broken_one() -> bool:
            events = place.list("events.events.k8s.io", namespace=namespace)
            return any(each.get("regarding", {}).get("name") == "broken" for each in events)

        place.wait(told_of_the_broken_one, 30, what="an Event about what cannot be backed up")

        def storage_secret_is_found() -> bool:
            blueprint = place.get(targets.BLUEPRINTS, "canary")
            conditions = blueprint.get("status", {}).get("conditions", [])
            found = {each["type"]: each["status"] for each in conditions}
            assert found.get("StorageSecretsFound") == "True", conditions
            return True

        place.wait(storage_secret_is_found, 30, what="the operator to see that the Secret exists")
        read = {
            (event.verb, event.namespace, event.name)
            for event in place.audit_log.requests(user=ACCOUNT, resource="secrets")
        }
        assert read == {("get", namespace, "storage")}
        told = everything_told(place, release, namespace)
        hidden = {canary, base64.b64encode(canary.encode()).decode().rstrip("=")}
        leaks = {where for where, text in told.items() if any(each in text for each in hidden)}
        assert leaks == set()
        # None of it is empty, or nothing was looked at.
        assert all(told.values()), {where: len(text) for where, text in told.items()}
        assert any(namespace in text for where, text in told.items() if where.startswith("log"))
    finally:
        place.kubectl("delete", targets.BLUEPRINTS, "canary", "--ignore-not-found")


def everything_told(place: Place, release: Release, namespace: str) -> dict[str, str]:
    told = {}
    for pod in release.wait_ready():
        told[f"log of {name_of(pod)}"] = place.kubectl("logs", "-n", NAMESPACE, name_of(pod))
        told[f"metrics of {name_of(pod)}"] = read_metrics(place, pod)
    events = [each for each in place.list("events.events.k8s.io") if each.get("reportingController", "") != "kubelet"]
    told["events"] = json.dumps(events)
    kinds = (targets.BLUEPRINTS, targets.CONFIGURATIONS, targets.REPOSITORIES)
    for kind in kinds:
        told[f"status of {kind}"] = json.dumps([each.get("status") for each in place.list(kind)])
    return told
