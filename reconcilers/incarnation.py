"""One life of a namespace and the next: a Repository belongs to the one in which it was made.

Somebody deletes the namespace `shop`, somebody else makes a namespace `shop`: the name, and with it every location made
of names, is the same, and the data in it is not theirs. So a Repository has the uid of its target's Namespace written
down when it is made. One of another uid serves nobody until somebody who may write Repositories writes the present uid
into it (`autobackup adopt`). Who may only annotate targets cannot: consent is on the Repository.

One from before uids were written down is judged by its age: if it is older than the namespace, the namespace is not the
one that it was made for. The uid is added with the next write that has a reason of its own, so that an upgrade writes
nothing.

Where Namespaces may not be read nothing of this is known, and nothing is refused.

Source: the threat model, T4.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconcilers import marks
from reconcilers.errors import Refusal
from reconcilers.keys import Key
from reconcilers.namespace import NamespaceRow
from reconcilers.reasons import Reason
from reconcilers.rows import RepositoryRow


def is_earlier(repository: RepositoryRow, namespace: NamespaceRow | None) -> bool:
    """Whether a Repository was made for targets in another life of this namespace."""
    if namespace is None or not namespace.uid:
        return False
    if repository.namespace_uid:
        return repository.namespace_uid != namespace.uid
    # Both are times of the API server, in one form.
    return bool(repository.created and namespace.created) and repository.created < namespace.created


def refuse_inheritance(repositories: Iterable[RepositoryRow], *, target: Key, namespace: NamespaceRow | None) -> None:
    """Raise a Refusal if one of these, all at the location that the target asks for, is an earlier life's of it."""
    for row in repositories:
        if row.mark is not None and row.mark.target == target and is_earlier(row, namespace):
            raise Refusal(
                Reason.NAMESPACE_REUSED,
                f"Repository {row.namespace}/{row.name}",
                f"holds what was backed up in an earlier namespace {target.namespace}",
                hint=f"if it is yours: autobackup adopt {target.kind.lower()}/{target.name} -n {target.namespace}; "
                "else another location, or delete that Repository",
            )


def unknown(target: Key) -> Refusal:
    """The reason to wait with making a Repository: nothing is known yet of the namespace that it would be for."""
    return Refusal(
        Reason.NAMESPACE_UNKNOWN,
        f"Namespace {target.namespace}",
        "is not known yet",
        hint="the target is looked at again as soon as it is",
    )


def annotation(uid: str) -> dict[str, str]:
    """What to write down on a Repository."""
    return {marks.NAMESPACE_UID: uid} if uid else {}
