"""The rights that are granted, and those that were used: the same, from the audit log of the whole run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from tests.e2e.chart import targets
from tests.e2e.chart.place import Object, Place
from tests.e2e.chart.release import ACCOUNT, Release, name_of
from tools.controlplane import AuditEvent, AuditLog
from tools.manifests.chart import NAMESPACE, RELEASE

BLUEPRINT = {"stash.appscode.com/backup-blueprint": "e2e"}
OF_EVERYBODY = {("create", "authorization.k8s.io", "selfsubjectaccessreviews")}
"""What Kubernetes lets every account do (system:basic-user)."""

WITHOUT_STREAMS = "only where the API server does not stream lists, or ends a stream half-way"
OPENSHIFT = "only OpenShift has the kind"
UNUSED = {
    ("list", "", "namespaces"): WITHOUT_STREAMS,
    ("list", "", "persistentvolumeclaims"): WITHOUT_STREAMS,
    ("list", "", "replicationcontrollers"): WITHOUT_STREAMS,
    ("list", "apiregistration.k8s.io", "apiservices"): WITHOUT_STREAMS,
    ("list", "appcatalog.appscode.com", "appbindings"): WITHOUT_STREAMS,
    ("list", "apps", "daemonsets"): WITHOUT_STREAMS,
    ("list", "apps", "deployments"): WITHOUT_STREAMS,
    ("list", "apps", "replicasets"): WITHOUT_STREAMS,
    ("list", "apps", "statefulsets"): WITHOUT_STREAMS,
    ("list", "apps.openshift.io", "deploymentconfigs"): WITHOUT_STREAMS,
    ("get", "apps.openshift.io", "deploymentconfigs"): OPENSHIFT,
    ("watch", "apps.openshift.io", "deploymentconfigs"): OPENSHIFT,
    ("patch", "events.k8s.io", "events"): "counts up an Event that happens again after minutes",
}
"""Rights that this run does not need, and why they are granted."""


class Right(NamedTuple):
    """A verb on a resource: in a namespace or everywhere (""), on one name or on any ("")."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str

    def covers(self, event: AuditEvent) -> bool:
        resource = f"{event.resource}/{event.subresource}".rstrip("/")
        # What a PATCH or a PUT makes takes the right to create as well, and is written down under its own verb.
        made = self.verb == "create" and event.status == 201
        return (
            (self.group, self.resource) == (event.group, resource)
            and (self.verb == event.verb or made)
            and self.namespace in ("", event.namespace)
            and self.name in ("", event.name)
        )


def granted(place: Place) -> Iterator[Right]:
    for kind in ("clusterrolebindings", "rolebindings"):
        for binding in place.list(kind):
            if ACCOUNT in accounts(binding):
                namespace = binding["metadata"].get("namespace", "")
                role = binding["roleRef"]
                found = place.find(role["kind"], role["name"], namespace=namespace or "default")
                # A test's namespace may be going at this moment, with the role for a Secret in it.
                for rule in (found or {}).get("rules", []):
                    yield from rights(rule, namespace)


def accounts(binding: Object) -> set[str]:
    found = [each for each in binding.get("subjects") or [] if each["kind"] == "ServiceAccount"]
    return {f"system:serviceaccount:{each['namespace']}:{each['name']}" for each in found}


def rights(rule: Object, namespace: str) -> Iterator[Right]:
    assert not rule.get("nonResourceURLs"), rule
    for verb in rule["verbs"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames") or [""]:
                    yield Right(verb, group, resource, namespace, name)


def every_kind(namespace: str) -> Iterator[Object]:
    """One target of each kind that may be one, asking for no pods."""
    workload = targets.deployment(namespace, "any")["spec"]
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        spec = json.loads(json.dumps(workload))
        if kind == "DaemonSet":
            del spec["replicas"]
            spec["template"]["spec"]["nodeSelector"] = {"nowhere": "true"}
        spec |= {"serviceName": "any"} if kind == "StatefulSet" else {}
        yield {"apiVersion": "apps/v1", "kind": kind, "spec": spec}
    template = workload["template"]
    selector = template["metadata"]["labels"]
    controller = {"replicas": 0, "selector": selector, "template": template}
    yield {"apiVersion": "v1", "kind": "ReplicationController", "spec": controller}
    storage = {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
    claim = {"accessModes": ["ReadWriteOnce"], **storage}
    yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": claim}
    service = {"scheme": "tcp", "name": "any", "port": 1}
    binding = {"type": "example.com/any", "version": "1", "clientConfig": {"service": service}}
    yield {"apiVersion": "appcatalog.appscode.com/v1alpha1", "kind": "AppBinding", "spec": binding}


def use_all_of_them(place: Place, namespace: str) -> None:
    """Every kind asks for backup, and then no longer."""
    made = []
    for found in every_kind(namespace):
        annotations = {**targets.ANNOTATIONS} if "template" in found["spec"] else {**BLUEPRINT}
        name = found["kind"].lower()
        made.append({**found, "metadata": {"name": name, "namespace": namespace, "annotations": annotations}})
    place.apply(*made)
    for each in made:
        targets.wait_backed_up(place, namespace, each["metadata"]["name"])
    for each in made:
        key = "stash.appscode.com/backup-blueprint-"
        place.kubectl("annotate", each["kind"].lower(), each["metadata"]["name"], "-n", namespace, key)
    place.wait(lambda: not place.list(targets.CONFIGURATIONS, namespace=namespace), 60, what="nothing to be configured")


def turned_away(log: AuditLog) -> Iterator[tuple[str, AuditEvent]]:
    """Requests of the operator that were refused, each with what the authorizer had decided about it."""
    with log.path.open() as file:
        for line in file:
            event = json.loads(line) if line.endswith("\n") else {}
            if event.get("stage") == "ResponseComplete" and event["user"].get("username") == ACCOUNT:
                found = AuditEvent.parse(event)
                if found.is_denied:
                    yield event.get("annotations", {}).get("authorization.k8s.io/decision", ""), found


def test_the_rights_that_are_granted_are_those_that_are_used(place: Place, release: Release, namespace: str) -> None:
    log = place.audit_log
    use_all_of_them(place, namespace)
    asked = [event for event in log.requests(user=ACCOUNT) if event.resource]
    # A right to one Secret goes with the namespace of the test that it was given for, which looks at it.
    requests = [event for event in asked if event.resource != "secrets"]
    assert {(event.verb, event.name) for event in asked if event not in requests} == {("get", "storage")}
    known = {right for right in granted(place) if right.resource != "secrets"}
    assert known
    alive = {
        name_of(each) for each in place.list("namespaces") if "deletionTimestamp" not in each["metadata"]
    }  # Whoever may write is told so in the same words when a namespace is going: tests remove theirs.
    refused = {
        (decision, event.verb, event.uri)
        for decision, event in turned_away(log)
        if decision != "allow" or event.verb not in ("create", "patch") or event.namespace in alive
    }
    assert refused == set()
    beyond = {
        (event.verb, event.group, event.resource, event.subresource, event.namespace, event.name)
        for event in requests
        if not any(right.covers(event) for right in known)
        and (event.verb, event.group, event.resource) not in OF_EVERYBODY
    }
    assert beyond == set(), "more than the roles grant"
    unused = {right for right in known if not any(right.covers(event) for event in requests)}
    surprising = sorted({right[:3] for right in unused} - set(UNUSED))
    assert not surprising, f"granted and never used: {surprising}"


def test_the_lease_is_the_only_object_it_may_change_beside_its_own_kinds(place: Place, release: Release) -> None:
    writing = {right for right in granted(place) if right.verb not in ("get", "list", "watch")}
    others = {right for right in writing if right.group not in ("stash.appscode.com", "events.k8s.io")}
    reviews = {right for right in others if right.resource in ("tokenreviews", "subjectaccessreviews")}
    leases = others - reviews
    assert {(right.resource, right.namespace, right.name) for right in leases} == {("leases", NAMESPACE, RELEASE)}
    assert not any(right.resource == "secrets" and not right.name for right in granted(place))
