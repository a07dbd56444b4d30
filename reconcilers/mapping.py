"""From a change in a cache to the keys that must be looked at again.

An update maps both the old and the new row: an annotation that moves from blueprint A to B concerns both. The text of
a row decides, not the fact that there was an event: rows that are equal never get here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconcilers import annotations as asked
from reconcilers import inheritance
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT
from reconcilers.namespace import NamespaceRow
from reconcilers.rows import BlueprintRow, ConfigurationRow, RepositoryRow, TargetRow


def blueprint_key(name: str) -> Key:
    return Key(BLUEPRINT.kind, "", name)


def target_keys(old: TargetRow | None, new: TargetRow | None) -> Iterator[Key]:
    """The target itself; its blueprints follow when its outcome changes."""
    row = new or old
    if row is not None:
        yield row.key


def concerns(row: TargetRow | None, namespace: NamespaceRow | None) -> bool:
    """Whether an object is, or may be, a target: of a kind that is seen whole most are not."""
    if row is None:
        return False
    asks = namespace is not None and namespace.annotation(asked.BLUEPRINT) is not None
    return asks or row.annotation(asked.BLUEPRINT) is not None


def affects_targets(old: BlueprintRow | None, new: BlueprintRow | None) -> bool:
    """Whether targets must be looked at: not when only the status of a blueprint changed."""
    return old is None or new is None or old.spec != new.spec or old.uid != new.uid


def owner_keys(
    old: RepositoryRow | ConfigurationRow | None, new: RepositoryRow | ConfigurationRow | None
) -> Iterator[Key]:
    """The targets that generated objects belong or belonged to."""
    yield from dict.fromkeys(row.mark.target for row in (old, new) if row is not None and row.mark is not None)


def frees_something(old: RepositoryRow | ConfigurationRow | None, new: RepositoryRow | ConfigurationRow | None) -> bool:
    """Whether a name or location became free, so that targets refused over a conflict can be tried again."""
    if old is None:
        return False
    if new is None or old.uid != new.uid:
        return True
    if isinstance(old, RepositoryRow) and isinstance(new, RepositoryRow):
        return old.location != new.location or old.mark != new.mark
    return old.mark != new.mark


def blueprint_index(row: TargetRow) -> Iterable[str]:
    """Index of targets by each blueprint that they name."""
    return row.blueprints


def namespace_index(row: NamespaceRow) -> Iterable[str]:
    """Index of Namespaces by each blueprint that they name."""
    return inheritance.known_names(row)


def claim_index(row: ConfigurationRow) -> Iterable[tuple[str, str]]:
    """Index of BackupConfigurations by the claims that they back up."""
    return tuple((row.mark.target.namespace, claim) for claim in row.claims) if row.mark is not None else ()


def covers_otherwise(old: ConfigurationRow | None, new: ConfigurationRow | None) -> str:
    """The namespace in which other claims are backed up than before; "" for none."""
    before, after = (set(claim_index(row)) if row is not None else set() for row in (old, new))
    return next((namespace for namespace, _ in before ^ after), "")


def mark_index(row: RepositoryRow | ConfigurationRow) -> Iterable[Key]:
    """Index of generated objects by the target that they serve."""
    return (row.mark.target,) if row.mark is not None else ()
