"""Who may use a blueprint: `spec.allowedNamespaces`, and what happens to those who may not.

A blueprint without the field serves every namespace, unless the operator is told to require it. With it, a namespace
is allowed by its name or by its labels, and everything else is denied: a namespace of which nothing is known, a policy
that cannot be understood. A name needs no look at the Namespace, so names go on working where Namespaces may not be
read.

This is about targets that name the blueprint. Stash's `spec.usagePolicy.allowedNamespaces` is another thing: it is
copied to the Repository, and says whose BackupConfigurations and RestoreSessions may name that.

A target that is denied loses nothing but its next backups: its BackupConfiguration is suspended, Repository and data
stay, and it goes on as soon as it is allowed again.

Source: CVE-2025-46342 (a failed look-up of a namespace must deny), and the threat model, T1 and T16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconcilers import selector as selectors
from reconcilers.errors import Refusal
from reconcilers.namespace import NamespaceRow
from reconcilers.plan import Outcome
from reconcilers.reasons import Reason
from reconcilers.selector import Selector

FIELD = "allowedNamespaces"

DENIALS = frozenset({Reason.NAMESPACE_NOT_ALLOWED, Reason.NAMESPACE_UNKNOWN, Reason.NAMESPACE_REUSED})
"""The reasons with which a target is denied its blueprint, as opposed to failing with it."""

_HINT = "who administers the blueprint may add the namespace to spec.allowedNamespaces"


@dataclass(frozen=True, slots=True)
class AllowedNamespaces:
    """The namespaces whose targets may use a blueprint. With a `problem` it is none."""

    names: frozenset[str] = frozenset()
    selector: Selector | None = None
    problem: str = ""


def is_denied(outcome: Outcome) -> bool:
    """Whether the target may not use the blueprint: whatever it was given for that has to go."""
    return outcome.reason in DENIALS


def parse(spec: Mapping[str, Any]) -> AllowedNamespaces | None:
    """What a blueprint's spec allows; None when it does not say."""
    policy = spec.get(FIELD)
    if policy is None:
        return None
    if not isinstance(policy, Mapping) or not policy.keys() <= {"names", "selector"}:
        return AllowedNamespaces(problem="it is not made of names and selector")
    names, selector = policy.get("names") or (), policy.get("selector")
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return AllowedNamespaces(problem="names is not a list of texts")
    try:
        return AllowedNamespaces(frozenset(names), None if selector is None else selectors.parse(selector))
    except ValueError as error:
        return AllowedNamespaces(problem=f"selector: {error}")


def check(
    allowed: AllowedNamespaces | None,
    *,
    blueprint: str,
    namespace: str,
    row: NamespaceRow | None,
    seen: bool,
    required: bool,
) -> None:
    """Raise a Refusal unless targets in this namespace may use the blueprint.

    `row` is what is known of the namespace; `seen` whether Namespaces are looked at, so that it may be known soon.
    `required` is whether a blueprint has to say whom it allows.
    """
    where = f"BackupBlueprint {blueprint}"
    if allowed is None:
        if required:
            raise Refusal(
                Reason.NAMESPACE_NOT_ALLOWED,
                where,
                "says of no namespace that it may use it, which this operator requires",
                hint=_HINT,
            )
        return
    if allowed.problem:
        raise Refusal(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"{where}, spec.{FIELD}",
            f"cannot be understood, so nobody is allowed: {allowed.problem}",
            hint="mend the blueprint; its targets go on by themselves",
        )
    if namespace in allowed.names:
        return
    if allowed.selector is not None and row is None:
        raise Refusal(
            Reason.NAMESPACE_UNKNOWN,
            where,
            f"allows namespaces by their labels, and those of {namespace} are not known",
            hint="it is looked at again by itself"
            if seen
            else "let the operator read Namespaces (ClusterRole autobackup-namespaces; autobackup resolve: give the "
            "Namespace with -f), or allow this one by its name",
        )
    if allowed.selector is not None and row is not None and allowed.selector.matches(dict(row.labels)):
        return
    problem = f"may not be used in namespace {namespace}"
    raise Refusal(Reason.NAMESPACE_NOT_ALLOWED, where, problem, hint=_HINT)
