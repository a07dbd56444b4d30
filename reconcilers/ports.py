"""What a reconciler may look at: read-only views of cached state, never the API server itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from informers.resource import ObjectKey
from reconcilers.defaults import Default
from reconcilers.keys import Key
from reconcilers.namespace import NamespaceRow
from reconcilers.plan import Outcome, Wish
from reconcilers.podtemplate import PodTemplate
from reconcilers.rows import BlueprintRow, ConfigurationRow, RepositoryRow, TargetRow

Claimant = Callable[[str], str | None]
"""Who took a name or location a moment ago, while no cache shows it yet; None when it is free."""


class SecretState(StrEnum):
    """What is known about a storage Secret: of its existence and the names of its keys, never of what they hold."""

    FOUND = "Found"
    MISSING = "Missing"
    INCOMPLETE = "Incomplete"
    UNCHECKED = "Unchecked"
    FORBIDDEN = "Forbidden"
    """It is to be a copy, and the operator may not make it."""
    CONFLICT = "Conflict"
    """It is to be a copy, and the name is taken."""


@dataclass(frozen=True, slots=True)
class SecretSight:
    """How a storage Secret stands with the backend that needs it."""

    state: SecretState
    missing: tuple[str, ...] = ()
    """Names of the keys that the backend needs and the Secret lacks."""
    note: str = ""
    """What is wrong with a copy, and what to do about it."""


@dataclass(frozen=True, slots=True)
class SourceSight:
    """What stands in the way of copying from a blueprint's source: "" for nothing, None when it is not known yet."""

    key: ObjectKey
    problem: str | None


class TargetView(Protocol):
    """What the reconciler of targets looks at."""

    def target(self, key: Key) -> TargetRow | None:
        """The target, None when it does not exist or names no blueprint."""
        ...

    def available(self, kind: str) -> bool:
        """Whether the API server serves this kind; while it does not, an absent target means nothing."""
        ...

    def watches(self, namespace: str) -> bool:
        """Whether objects in this namespace are seen by the operator; where they are not, absence means nothing."""
        ...

    def namespace(self, name: str) -> NamespaceRow | None:
        """The Namespace; None while nothing is known of it: not seen yet, or never (`sees_namespaces`)."""
        ...

    def sees_namespaces(self) -> bool:
        """Whether Namespaces are seen at all: who watches only some may not be allowed to."""
        ...

    def requires_allowed_namespaces(self) -> bool:
        """Whether a blueprint that does not say who may use it serves nobody."""
        ...

    def blueprint(self, name: str) -> BlueprintRow | None: ...

    def repository(self, key: ObjectKey) -> RepositoryRow | None:
        """Whatever Repository has this name, ours or not."""
        ...

    def repositories_of(self, target: Key) -> Iterable[RepositoryRow]:
        """Our Repositories that serve, or once served, this target."""
        ...

    def repositories_at(self, location: str) -> Iterable[RepositoryRow]:
        """The Repositories with exactly this location, whoever made them."""
        ...

    def repositories_around(self, location: str) -> Iterable[RepositoryRow]:
        """The Repositories whose location contains this one or lies within it, whoever made them."""
        ...

    def configuration(self, key: ObjectKey) -> ConfigurationRow | None: ...

    def configurations_of(self, target: Key) -> Iterable[ConfigurationRow]: ...

    def configurations_covering(self, namespace: str, claim: str) -> Iterable[ConfigurationRow]:
        """Our BackupConfigurations of workloads in this namespace that back up this claim, named as it is written
        down."""
        ...

    def workloads_in(self, namespace: str) -> Iterable[TargetRow]:
        """The workloads of a namespace that are, or may be, targets."""
        ...

    def outcomes_of(self, target: Key) -> tuple[Outcome, ...]:
        """How a target stood when it was last looked at; nothing before the first look."""
        ...

    def pod_template(self, target: TargetRow) -> PodTemplate | None:
        """The pod template as read at exactly this generation of the target; None when it was not read."""
        ...

    def claimant(self, token: str) -> str | None:
        """See `Claimant`."""
        ...

    def defaults(self) -> tuple[Default, ...]:
        """What the operator's configuration gives where a blueprint says nothing."""
        ...

    def now(self) -> float:
        """The present time in seconds of Unix time. A plan that depends on it says when it is due again."""
        ...

    def effective(self, uid: str, fingerprint: str) -> str:
        """The fingerprint that the server made of an applied one, "" when nothing is remembered.

        A server may change what is applied to it: a CRD that lacks a field drops it, a webhook adds one. Then the live
        fingerprint never equals the desired one, and this is what tells that the apply has been done.
        """
        ...

    def storage_secret(self, key: ObjectKey, provider: str, wish: Wish | None) -> SecretSight:
        """How a storage Secret stands with a backend; with a `wish`, how the copy stands that meets it."""
        ...


MOST_FAILURES = 50
"""Failing targets listed in a blueprint's status; `failed` counts them all."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How the targets of one blueprint stand."""

    matched: int
    configured: int
    pending: int
    failures: tuple[tuple[Key, Outcome], ...]
    """The first `MOST_FAILURES` of the failing targets, in order."""
    secrets: tuple[tuple[ObjectKey, SecretSight], ...]
    shortening: tuple[tuple[Key, str], ...] = ()
    """Targets with a shorter retention that waits, and what is told about it."""
    source: SourceSight | None = None
    """The source of the storage Secret, where the blueprint names one."""
    unseen: bool = False
    """Whether one of the Secrets is still to be looked at for the first time since the start."""
    unlisted: int = 0
    """How many failing targets are not among `failures`."""

    @property
    def failed(self) -> int:
        return len(self.failures) + self.unlisted


class BlueprintView(Protocol):
    """What the reconciler of blueprints looks at."""

    def blueprint(self, name: str) -> BlueprintRow | None: ...

    def summary(self, blueprint: str) -> Summary: ...
