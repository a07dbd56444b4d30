"""Managed copies of a storage Secret: what one copy should be, and what to do about it.

A blueprint may name a source, a Secret that somebody keeps in one namespace. Its content is wanted wherever a target of
the blueprint has its Repository, under the name that the backend gives. This module decides from metadata alone: no
value of any Secret gets here, only the names of keys.

Invariants:
- Nothing is copied without the consent of the source: its label says so, and an annotation may limit it to some
  blueprints. Who takes the consent back takes the copies back.
- A Secret without our mark is never written and never deleted.
- A copy is as it should be when it says that it was made from the present version of the source (uid and
  resourceVersion, which say nothing about the content) and when we still own all that we wrote: a value that somebody
  else changes is theirs from then on, as `managedFields` shows. So nothing but metadata is read to find out that there
  is nothing to do.
- A source that is missing, or lacks keys, costs nobody a copy: an old password is better than none.
- A copy that no target wants and no BackupConfiguration relies on goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from informers.resource import ObjectKey, Resource
from reconcilers import marks, storagekeys
from reconcilers.fields import owned_annotation, owned_keys
from reconcilers.plan import Wish
from reconcilers.ports import SecretSight, SecretState

SECRET: Final = Resource("", "v1", "secrets", "Secret")

CONSENT: Final = marks.PREFIX + "may-be-copied"
"""Label of a source: "true" is its owner's consent."""
CONSENT_TO: Final = marks.PREFIX + "may-be-copied-for"
"""Annotation of a source: the blueprints that the consent is for, separated by commas; all when it is absent."""

SOURCE: Final = marks.PREFIX + "source"
SOURCE_VERSION: Final = marks.PREFIX + "source-version"
BACKENDS: Final = marks.PREFIX + "backends"
KEYS: Final = marks.PREFIX + "keys"
IDENTITY: Final = marks.PREFIX + "password-for"


class SourceState(StrEnum):
    """What is known about a source."""

    UNKNOWN = "Unknown"
    MISSING = "Missing"
    FORBIDDEN = "Forbidden"
    SEEN = "Seen"


@dataclass(frozen=True, slots=True)
class Source:
    """A source as its metadata shows it; `keys` are those with a value, None until the content was read."""

    state: SourceState
    version: str = ""
    shared: bool = False
    blueprints: frozenset[str] | None = None
    keys: frozenset[str] | None = None

    def consents(self, blueprint: str) -> bool:
        return self.shared and (self.blueprints is None or blueprint in self.blueprints)


@dataclass(frozen=True, slots=True)
class Copy:
    """A Secret with the name of a copy as its metadata shows it; not `ours` when it lacks our mark."""

    uid: str
    version: str
    ours: bool
    deleting: bool = False
    intact: bool = False
    """Whether we own exactly the keys that we wrote."""
    source: str = ""
    source_version: str = ""
    identity: str = ""
    backends: str = ""


@dataclass(frozen=True, slots=True)
class ApplySecret:
    """Server-side apply of a copy: `keys` of the source, and the own password of the repository `identity`.

    `uid` is that of the live copy, "" when there is none: then nothing may have this name yet.
    """

    key: ObjectKey
    uid: str
    source: ObjectKey
    source_version: str
    keys: tuple[str, ...]
    identity: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    """Deletion of exactly this version of a copy."""

    key: ObjectKey
    uid: str
    version: str


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What to do about a copy, and how it stands when that is done; `read` asks for the content of a source first."""

    sight: SecretSight
    step: ApplySecret | DeleteSecret | None = None
    read: ObjectKey | None = None
    chosen: tuple[ObjectKey, str] | None = None
    """The source and identity that the copy is for: other wishes for the same Secret are not met."""


NOTHING: Final = CopyPlan(SecretSight(SecretState.UNCHECKED))


def project_source(metadata: Mapping[str, Any], data: Mapping[str, Any] | None = None) -> Source:
    """The row of a source; `data` only when the content was read."""
    limited = (metadata.get("annotations") or {}).get(CONSENT_TO)
    return Source(
        SourceState.SEEN,
        version=version_of(metadata),
        shared=(metadata.get("labels") or {}).get(CONSENT) == "true",
        blueprints=frozenset(name.strip() for name in limited.split(",")) if isinstance(limited, str) else None,
        keys=frozenset(name for name, value in data.items() if value) if data is not None else None,
    )


def version_of(metadata: Mapping[str, Any]) -> str:
    return f"{metadata.get('uid', '')}.{metadata.get('resourceVersion', '')}"


def project_copy(obj: Mapping[str, Any]) -> Copy:
    metadata = obj["metadata"]
    found = metadata.get("annotations") or {}
    ours = (metadata.get("labels") or {}).get(marks.MANAGED_BY) == marks.PRODUCT and SOURCE in found
    return Copy(
        uid=metadata["uid"],
        version=str(metadata["resourceVersion"]),
        ours=ours,
        deleting=bool(metadata.get("deletionTimestamp")),
        intact=ours and owned_keys(obj, "data") == frozenset(filter(None, owned_annotation(obj, KEYS).split(","))),
        source=owned_annotation(obj, SOURCE),
        source_version=owned_annotation(obj, SOURCE_VERSION),
        identity=owned_annotation(obj, IDENTITY),
        backends=owned_annotation(obj, BACKENDS),
    )


def plan_copy(
    key: ObjectKey,
    wishes: Collection[Wish],
    *,
    live: Copy | None,
    source_of: Callable[[ObjectKey], Source],
    needed: bool,
) -> CopyPlan:
    """What to do about one copy. `needed` says that a BackupConfiguration relies on it although nobody wants it now."""
    if not wishes:
        return CopyPlan(SecretSight(SecretState.UNCHECKED), None if needed else _removal(key, live))
    chosen = _choose(wishes, live)
    if live is not None and not live.ours:
        text = f"Secret {key} exists and was not made by this operator; it is left alone: rename or delete it"
        return CopyPlan(SecretSight(SecretState.CONFLICT, note=text), chosen=chosen)
    if live is not None and live.deleting:
        return CopyPlan(SecretSight(SecretState.UNCHECKED, note=f"Secret {key} is being deleted"), chosen=chosen)
    source = source_of(chosen[0])
    there = SecretSight(SecretState.FOUND) if live is not None else _absent(key, source_problem(source, chosen[0], ""))
    if source.state is not SourceState.SEEN:
        return CopyPlan(there, chosen=chosen)
    met = [wish for wish in wishes if (wish.source, wish.identity) == chosen and source.consents(wish.blueprint)]
    if not met:
        refused = min(wish.blueprint for wish in wishes if (wish.source, wish.identity) == chosen)
        removal = _removal(key, live) if live is not None and live.source == str(chosen[0]) else None
        if live is not None and removal is None:
            return CopyPlan(there, chosen=chosen)
        return CopyPlan(_absent(key, source_problem(source, chosen[0], refused)), removal, chosen=chosen)
    return _renewal(key, met, live=live, source=source, there=there, chosen=chosen)


def source_problem(source: Source, key: ObjectKey, blueprint: str, lacks: Collection[str] = ()) -> str:
    """What stands in the way of copying from a source, "" for nothing that is known."""
    match source.state:
        case SourceState.UNKNOWN:
            return ""
        case SourceState.MISSING:
            return f"the source Secret {key} does not exist: create it; copies that were made stay as they are"
        case SourceState.FORBIDDEN:
            return f"the operator may not read the source: {rule(key, ('get', 'watch'))}"
    if blueprint and not source.shared:
        return f"the source Secret {key} does not consent: its owner sets the label {CONSENT}=true on it"
    if blueprint and not source.consents(blueprint):
        return f"the source Secret {key} does not consent to this blueprint: its annotation {CONSENT_TO} names others"
    if lacks:
        return f"the source Secret {key} lacks {', '.join(lacks)}; copies that were made stay as they are"
    return ""


def rule(key: ObjectKey, verbs: Collection[str]) -> str:
    """The right that is missing, as a rule that gives it."""
    return (
        f"a Role in namespace {key.namespace} must allow it {', '.join(verbs)} on secrets with resourceNames "
        f'["{key.name}"] (storageSecretCopies of the chart)'
    )


def _absent(key: ObjectKey, problem: str) -> SecretSight:
    text = f"Secret {key} is not there: {problem}" if problem else ""
    return SecretSight(SecretState.MISSING if problem else SecretState.UNCHECKED, note=text)


def _removal(key: ObjectKey, live: Copy | None) -> DeleteSecret | None:
    if live is None or not live.ours or live.deleting:
        return None
    return DeleteSecret(key, live.uid, live.version)


def _choose(wishes: Collection[Wish], live: Copy | None) -> tuple[ObjectKey, str]:
    """Which source and identity a copy is for: those it has, else the first. A newcomer pushes nobody out."""
    wanted = sorted({(wish.source, wish.identity) for wish in wishes})
    if live is not None:
        for source, identity in wanted:
            if (live.source, live.identity) == (str(source), identity):
                return source, identity
    return wanted[0]


def _renewal(
    key: ObjectKey,
    wishes: Collection[Wish],
    *,
    live: Copy | None,
    source: Source,
    there: SecretSight,
    chosen: tuple[ObjectKey, str],
) -> CopyPlan:
    """The write that brings a copy up to date, if it is not."""
    providers = sorted({wish.provider for wish in wishes})
    backends = ",".join(providers)
    marked = (str(chosen[0]), source.version, chosen[1], backends)
    if live is not None and live.intact and marked == (live.source, live.source_version, live.identity, live.backends):
        return CopyPlan(SecretSight(SecretState.FOUND), chosen=chosen)
    if source.keys is None:
        return CopyPlan(there, read=chosen[0], chosen=chosen)
    present = source.keys
    lacks = [name for provider in providers for name in storagekeys.missing(provider, present)]
    if lacks:
        problem = source_problem(source, chosen[0], "", tuple(dict.fromkeys(lacks)))
        return CopyPlan(there if live is not None else _absent(key, problem), chosen=chosen)
    keys = tuple(dict.fromkeys(name for p in providers for name in storagekeys.known(p) if name in present))
    annotations = {
        SOURCE: str(chosen[0]),
        SOURCE_VERSION: source.version,
        BACKENDS: backends,
        KEYS: ",".join(sorted(keys)),
        **({IDENTITY: chosen[1]} if chosen[1] else {}),
    }
    step = ApplySecret(
        key=key,
        uid=live.uid if live is not None else "",
        source=chosen[0],
        source_version=source.version,
        keys=keys,
        identity=chosen[1],
        metadata={
            "name": key.name,
            "namespace": key.namespace,
            "labels": {marks.MANAGED_BY: marks.PRODUCT},
            "annotations": annotations,
        },
    )
    return CopyPlan(SecretSight(SecretState.FOUND), step, chosen=chosen)
