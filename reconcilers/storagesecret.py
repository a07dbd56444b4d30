"""The storage Secret of one target with one blueprint: which it is, whether it is to be a copy, and what that means.

A target whose Secret is to be a copy gets its BackupConfiguration when the copy is there, so that no backup starts
without it; the Repository comes first, because its marks are what finds the copy again. What a target has already is
kept up to date whatever becomes of the copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from informers.resource import ObjectKey
from reconcilers.location import provider_of
from reconcilers.plan import Note, State, Wish
from reconcilers.ports import SecretSight, SecretState, TargetView
from reconcilers.reasons import Reason
from reconcilers.resolve import Resolved

_PROBLEMS = {
    SecretState.FORBIDDEN: Reason.STORAGE_SECRET_FORBIDDEN,
    SecretState.CONFLICT: Reason.STORAGE_SECRET_CONFLICT,
    SecretState.MISSING: Reason.STORAGE_SECRET_NOT_COPIED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """The Secret, the wish for a copy, what is to be told, and what a new BackupConfiguration has to wait for."""

    key: ObjectKey | None = None
    wish: Wish | None = None
    notes: tuple[Note, ...] = ()
    state: State = State.CONFIGURED
    """WAITING or FAILED when the Secret is to be a copy that is not there."""


def stand(view: TargetView, *, blueprint: str, resolved: Resolved) -> Standing:
    """How the storage Secret of a resolved target stands."""
    if not resolved.storage_secret:
        return Standing()
    key = ObjectKey(resolved.repository_namespace, resolved.storage_secret)
    provider = provider_of(resolved.repository["backend"])
    wish = None
    if resolved.source is not None and resolved.source != key:
        wish = Wish(resolved.source, blueprint, provider, resolved.password)
    sight = view.storage_secret(key, provider, wish)
    if wish is None:
        return Standing(key, notes=_notes(key, provider, sight))
    if sight.state is SecretState.FOUND:
        return Standing(key, wish)
    reason = _PROBLEMS.get(sight.state)
    if reason is None:
        text = sight.note or f"Secret {key} is still to be copied from {wish.source}"
        return Standing(key, wish, (Note(Reason.STORAGE_SECRET_PENDING, text),), State.WAITING)
    return Standing(key, wish, (Note(reason, sight.note),), State.FAILED)


def _notes(key: ObjectKey, provider: str, sight: SecretSight) -> tuple[Note, ...]:
    if sight.state is SecretState.MISSING:
        return (Note(Reason.STORAGE_SECRET_MISSING, f"Secret {key} does not exist: create it and backups can run"),)
    if sight.state is SecretState.INCOMPLETE:
        lacks = ", ".join(sight.missing)
        text = f"Secret {key} lacks {lacks}, which the backend {provider} needs: add it and backups can run"
        return (Note(Reason.STORAGE_SECRET_INCOMPLETE, text),)
    return ()
