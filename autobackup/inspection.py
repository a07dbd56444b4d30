"""The checks of `autobackup check`: an installation, seen from outside with the user's rights.

Contract: each check returns its findings and raises nothing but what makes the cluster unreachable. What the user may
not look at is a warning that says so: not to know is not the same as being in order. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from autobackup import crdcheck
from autobackup.cluster import Cluster, Object
from autobackup.findings import Finding, Level
from autobackup.rights import BY_LABEL, Right, missing, needed
from controller.diagnosis import RIGHTS
from controller.serverversion import OLDEST, problem
from informers.clock import Clock
from informers.errors import ApiError, Forbidden, NotFound
from informers.resource import ObjectKey, Resource
from reconcilers import marks
from reconcilers.kinds import BLUEPRINT, CONFIGURATION
from reconcilers.marks import MANAGED_BY, PRODUCT

_LEASE: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
_ADMISSION: Final = "admissionregistration.k8s.io"
_POLICY: Final = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
_BINDING: Final = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
_OURS: Final = "app.kubernetes.io/name=autobackup"
_SKEW_WARNED: Final = 10.0
_SKEW_REFUSED: Final = 300.0
"""From here on tokens and certificates are refused for their times."""
_ABOUT_SECRETS: Final = ("StorageSecretsFound", "StorageSecretSource")
"""Conditions whose message says which Secret, key or right is missing."""
_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the operator is, and what it watches."""

    namespace: str = "autobackup-system"
    account: str = "autobackup-system:autobackup"
    lease: str = "autobackup"
    namespaces: tuple[str, ...] = ()


async def inspect(cluster: Cluster, installation: Installation, clock: Clock) -> AsyncIterator[Finding]:
    """Every finding, in an order in which it makes sense to mend them."""
    before = clock.wall()
    answer = await cluster.transport.request("GET", "/version")
    after = clock.wall()
    yield _version(answer.json())
    now = _server_time(answer.headers.get("date", ""))
    yield _skew(before, after, now)
    for finding in await crdcheck.look(cluster):
        yield finding
    for finding in await _rights(cluster, installation):
        yield finding
    yield await _leader(cluster, installation, now=now or after)
    for finding in await _policies(cluster):
        yield finding
    for finding in await _blueprints(cluster):
        yield finding


def _version(document: Any) -> Finding:
    found = document if isinstance(document, dict) else {}
    why = problem(found)
    if why:
        return Finding("server", Level.FAIL, why)
    oldest = ".".join(map(str, OLDEST))
    return Finding("server", Level.OK, f"{found.get('gitVersion', 'version unknown')}; {oldest} or newer is supported")


def _server_time(header: str) -> datetime | None:
    try:
        # The header is cut to the second.
        return parsedate_to_datetime(header) + timedelta(seconds=0.5)
    except ValueError:
        return None


def _skew(before: datetime, after: datetime, server: datetime | None) -> Finding:
    if server is None:
        return Finding("clock", Level.WARN, "the API server sent no Date: not checked")
    skew = (before + (after - before) / 2 - server).total_seconds()
    told = f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API server's"
    if abs(skew) < _SKEW_WARNED:
        return Finding("clock", Level.OK, "this machine and the API server agree")
    level = Level.WARN if abs(skew) < _SKEW_REFUSED else Level.FAIL
    return Finding("clock", level, told, "let both follow a time server (chrony, systemd-timesyncd)")


async def _rights(cluster: Cluster, installation: Installation) -> list[Finding]:
    account = f"system:serviceaccount:{installation.account}"
    wanted = [
        right
        for right in needed(
            namespaces=installation.namespaces,
            lease_namespace=installation.namespace,
            lease=installation.lease,
        )
        if right.use != "openshift" or right.resource.plural in await cluster.served(right.resource)
    ]
    try:
        lacking = await missing(cluster, installation.account, wanted)
    except Forbidden:
        return [
            Finding(
                "rights",
                Level.WARN,
                f"those of {account} were not checked: you may not create subjectaccessreviews, and your own rights "
                "say nothing about the operator's",
                f"as an administrator: autobackup check, or kubectl auth can-i --list --as {account}",
            )
        ]
    except ApiError as error:
        return [Finding("rights", Level.WARN, f"those of {account} were not checked: {error}")]
    grant = f"bind the roles in manifests/rbac to it ({RIGHTS}), or name the account with --service-account"
    if not installation.namespaces:
        grant += "; one that watches only some namespaces needs less: name them with --namespaces"
    if len(lacking) == len(wanted):
        return [Finding("rights", Level.FAIL, f"{account} has none of the rights that the operator needs", grant)]
    found = [
        Finding("rights", Level.FAIL if not use else Level.WARN, f"{account} may not {listed}{_only_for(use)}", grant)
        for use in ("", BY_LABEL, "openshift", "leader election", "metrics.secure")
        if (listed := _listed([right for right in lacking if right.use == use]))
    ]
    return found or [Finding("rights", Level.OK, f"{account} has all {len(wanted)} rights that the operator uses")]


def _only_for(use: str) -> str:
    return f"; that is needed for {use}" if use else ""


def _listed(rights: Sequence[Right]) -> str:
    verbs: dict[str, list[str]] = {}
    for right in rights:
        where = f" in namespace {right.namespace}" if right.namespace else ""
        verbs.setdefault(f"{right.what}{where}", []).append(right.verb)
    return "; ".join(f"{', '.join(found)} {what}" for what, found in verbs.items())


async def _leader(cluster: Cluster, installation: Installation, *, now: datetime) -> Finding:
    where = f"Lease {installation.namespace}/{installation.lease}"
    try:
        lease = await cluster.find(_LEASE, ObjectKey(installation.namespace, installation.lease))
    except ApiError as error:
        return Finding("leader", Level.WARN, f"{where} was not looked at: {error.message or error}")
    if lease is None:
        return Finding(
            "leader",
            Level.WARN,
            f"no {where}: no operator with leader election ever led there",
            "install the operator, or name its namespace with --namespace; one that runs alone needs no Lease",
        )
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity")
    logs = f"see the pods and their logs: kubectl -n {installation.namespace} get pods"
    if not holder:
        return Finding("leader", Level.FAIL, f"nobody leads: {where} was given back", logs)
    try:
        age = (now - datetime.fromisoformat(str(spec["renewTime"]))).total_seconds()
    except (KeyError, ValueError, TypeError):
        return Finding("leader", Level.WARN, f"{where} is held by {holder} and does not say since when")
    if age > (spec.get("leaseDurationSeconds") or 0) + 1:
        return Finding("leader", Level.FAIL, f"nobody leads: {holder} renewed {where} {age:.0f} s ago", logs)
    return Finding("leader", Level.OK, f"{holder}, renewed {max(age, 0):.0f} s ago")


async def _policies(cluster: Cluster) -> list[Finding]:
    try:
        policies = await cluster.all_of(_POLICY, labels=_OURS)
        bindings = await cluster.all_of(_BINDING, labels=_OURS)
    except NotFound:
        return []  # the version has been told already
    except ApiError as error:
        return [Finding("policies", Level.WARN, f"were not looked at: {error.message or error}")]
    if not policies:
        told = "no admission policies of this project are installed; the operator checks the same by itself"
        return [Finding("policies", Level.OK, told)]
    bound = {binding["spec"]["policyName"] for binding in bindings}
    found = []
    for policy in policies:
        name = policy["metadata"]["name"]
        warnings = ((policy.get("status") or {}).get("typeChecking") or {}).get("expressionWarnings") or ()
        if name not in bound:
            why = f"{name} is not bound, so it has no effect"
            found.append(Finding("policies", Level.FAIL, why, "apply its ValidatingAdmissionPolicyBinding"))
        elif warnings:
            why = f"{name}: {warnings[0].get('fieldRef', '')}: {warnings[0].get('warning', '')}"
            found.append(Finding("policies", Level.WARN, why, "apply the policies of the version that runs"))
    return found or [Finding("policies", Level.OK, f"{len(policies)} installed and bound")]


async def _blueprints(cluster: Cluster) -> list[Finding]:
    try:
        blueprints = await cluster.all_of(BLUEPRINT)
    except NotFound:
        return []  # the CRD has been told already
    except ApiError as error:
        return [Finding("blueprints", Level.WARN, f"were not looked at: {error.message or error}")]
    found = await _without_blueprint(cluster, {blueprint["metadata"]["name"] for blueprint in blueprints})
    silent = []
    for blueprint in blueprints:
        name = blueprint["metadata"]["name"]
        ready = _condition(blueprint, "Ready")
        if ready is None or ready.get("observedGeneration") != blueprint["metadata"].get("generation"):
            silent.append(name)
        elif ready.get("status") != "True":
            why = f"BackupBlueprint {name}: {ready.get('message')}"
            found.append(Finding("blueprints", Level.FAIL, why, "correct the blueprint; its targets follow at once"))
        elif failed := (blueprint.get("status") or {}).get("failed"):
            why = f"BackupBlueprint {name}: {failed} of its targets cannot be configured"
            found.append(Finding("blueprints", Level.WARN, why, f"see kubectl describe backupblueprint {name}"))
        for kind in _ABOUT_SECRETS:
            told = _condition(blueprint, kind)
            if told is not None and told.get("status") == "False":
                found.append(Finding("blueprints", Level.WARN, f"BackupBlueprint {name}: {told.get('message')}"))
    if silent:
        named = ", ".join(silent[:_MOST_NAMED]) + (
            f" and {len(silent) - _MOST_NAMED} more" * (len(silent) > _MOST_NAMED)
        )
        why = f"no operator has looked at BackupBlueprint {named} as it is now"
        found.append(Finding("blueprints", Level.WARN, why, "see whether an operator runs and is ready (/readyz)"))
    return found or [Finding("blueprints", Level.OK, f"{len(blueprints)}, all ready" if blueprints else "none yet")]


async def _without_blueprint(cluster: Cluster, known: Collection[str]) -> list[Finding]:
    """What is in force although its blueprint is gone: no status of a blueprint can tell that, and Events end."""
    try:
        listed = await cluster.all_of(CONFIGURATION, labels=f"{MANAGED_BY}={PRODUCT}", metadata_only=True)
    except NotFound:
        return []
    except ApiError as error:
        why = f"BackupConfigurations were not looked at: {error.message or error}"
        return [Finding("blueprints", Level.WARN, why)]
    left: dict[str, list[str]] = {}
    for each in listed:
        mark = marks.read(each["metadata"])
        if mark is not None and mark.blueprint and mark.blueprint not in known:
            left.setdefault(mark.blueprint, []).append(str(mark.target))
    return [
        Finding(
            "blueprints",
            Level.WARN,
            f"BackupBlueprint {name} does not exist, and what it made stays as it is: BackupConfigurations of "
            f"{len(targets)} target{'' if len(targets) == 1 else 's'}, such as {', '.join(targets[:_MOST_NAMED])}",
            "create it again, or let the targets name another; autobackup explain KIND/NAME tells how each stands",
        )
        for name, targets in sorted(left.items())
    ]


def _condition(obj: Object, kind: str) -> Object | None:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), None)
