"""The Repository of a target: which one it is, and what it should look like.

A Repository is never repointed once it holds snapshots: a changed backend gets a successor, and the old Repository is
kept and says who succeeded it. One that serves again (the annotation came back, the backend was changed back) is found
by its marks and its location.

A Repository belongs to one life of its target's namespace (`reconcilers.incarnation`): the next one of the same name
inherits nothing, unless somebody who may write Repositories says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from informers.resource import ObjectKey
from reconcilers import incarnation, marks
from reconcilers.errors import Refusal
from reconcilers.fields import desired_fingerprint
from reconcilers.keys import Key
from reconcilers.kinds import REPOSITORY
from reconcilers.naming import base_name, distinct_name
from reconcilers.plan import Apply, Claim, Note
from reconcilers.ports import Claimant, TargetView
from reconcilers.reasons import Reason
from reconcilers.resolve import DERIVATION, Resolved
from reconcilers.rows import ConfigurationRow, RepositoryRow

SUCCESSION = "autobackup-succession"
"""Field manager of the one annotation that an old Repository gets; its other fields stay as they were applied."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The Repository that serves: its key, the live object if there is one, and the ones it takes over from."""

    key: ObjectKey
    live: RepositoryRow | None
    predecessors: tuple[RepositoryRow, ...]
    claims: tuple[Claim, ...]
    namespace_uid: str = ""
    """Which life of the target's namespace it is for; "" when that is not known."""


def owner_of(target: Key, blueprint: str) -> str:
    """Who takes a name or location: one target with one blueprint."""
    return f"{target} with blueprint {blueprint}"


def is_given_up(owner: str, *, target: Key, blueprints: Sequence[str]) -> bool:
    """Whether a claim is this target's own, for a blueprint that it does not name any more."""
    start = owner_of(target, "")
    return owner.startswith(start) and owner.removeprefix(start) not in blueprints


def choose(
    claimant: Claimant,
    view: TargetView,
    *,
    target: Key,
    blueprint: str,
    blueprints: Sequence[str],
    resolved: Resolved,
) -> Choice:
    """The Repository for one target and blueprint; raises a Refusal when name or location is somebody else's.

    `blueprints` are all that the target names: a Repository of one that it no longer names may be taken over.
    """
    owner = owner_of(target, blueprint)
    namespace = view.namespace(target.namespace)
    mine = [
        row
        for row in view.repositories_of(target)
        if row.mark is not None
        and not incarnation.is_earlier(row, namespace)
        and (row.mark.blueprint == blueprint or row.mark.blueprint not in blueprints)
        and claimant(name_token(row.key)) in (None, owner)
    ]
    incarnation.refuse_inheritance(view.repositories_at(resolved.location), target=target, namespace=namespace)
    _refuse_taken_location(claimant, view, owner=owner, mine=mine, resolved=resolved)
    live = _serving(mine, blueprint=blueprint, resolved=resolved)
    if live is not None and live.deleting:
        raise Refusal(
            Reason.BEING_DELETED,
            f"Repository {live.namespace}/{live.name}",
            "is being deleted",
            hint="it is created again when it is gone; its finalizers say what it waits for",
        )
    if live is not None:
        _refuse_another_password(live, resolved)
        key = live.key
    else:
        if namespace is None and view.sees_namespaces():
            raise incarnation.unknown(target)
        base = base_name(
            target,
            namespace=resolved.repository_namespace,
            blueprint=blueprint if len(blueprints) > 1 else None,
        )
        key = _free_name(claimant, view, base=base, owner=owner, resolved=resolved)
    return Choice(
        key=key,
        live=live,
        predecessors=tuple(
            row
            for row in mine
            if row.key != key
            and not row.deleting
            and _marks_succession(row, blueprint=blueprint, blueprints=blueprints)
        ),
        claims=(Claim(location_token(resolved.location), owner), Claim(name_token(key), owner)),
        namespace_uid=live.namespace_uid if live and live.namespace_uid else namespace.uid if namespace else "",
    )


def name_token(key: ObjectKey) -> str:
    return f"Repository {key.namespace}/{key.name}"


def location_token(location: str) -> str:
    return f"location {location}"


def _serving(mine: Sequence[RepositoryRow], *, blueprint: str, resolved: Resolved) -> RepositoryRow | None:
    """The live Repository to go on with: one with the same location, else one that nothing was written to yet."""
    here = [row for row in mine if row.namespace == resolved.repository_namespace]

    def preference(row: RepositoryRow) -> tuple[bool, bool, str]:
        return (bool(row.succeeded_by), row.mark is None or row.mark.blueprint != blueprint, row.name)

    same = [row for row in here if row.location == resolved.location]
    unused = [row for row in here if not (row.has_snapshots or row.succeeded_by or row.deleting)]
    return min(same or unused, key=preference, default=None)


def _refuse_another_password(live: RepositoryRow, resolved: Resolved) -> None:
    """A repository opens with the password that it was made with: once it holds snapshots, no other one is given."""
    if live.has_snapshots and live.location == resolved.location and live.password != _password_of(resolved):
        raise Refusal(
            Reason.PASSWORD_WOULD_CHANGE,
            "spec.storageSecret.passwordPerRepository",
            f"would change the password of Repository {live.key}, which holds snapshots",
            hint="take the change back, or give the blueprint another prefix; the how-to on storage Secrets has the "
            "steps for changing a password",
        )


def _password_of(resolved: Resolved) -> str:
    return DERIVATION if resolved.password else ""


def _marks_succession(row: RepositoryRow, *, blueprint: str, blueprints: Sequence[str]) -> bool:
    """Whether this blueprint is the one that says of `row` who succeeded it.

    Of a Repository whose blueprint the target no longer names that is the first blueprint which it does name: were it
    all of them, each would write its own Repository down, over and over again.
    """
    assert row.mark is not None
    return blueprint in (row.mark.blueprint, blueprints[0])


def _refuse_taken_location(
    claimant: Claimant, view: TargetView, *, owner: str, mine: Sequence[RepositoryRow], resolved: Resolved
) -> None:
    """The location belongs to the oldest Repository that has it, else to whoever claimed it a moment ago.

    The oldest, because marks and location can be copied by anybody who may write Repositories: a copy must not push
    out the target that was there first.
    """
    ours = (row for row in view.repositories_at(resolved.location) if row.mark is not None)
    holder = min(ours, key=lambda row: (row.created, row.uid), default=None)
    if holder is not None and holder.mark is not None:
        if any(row.key == holder.key for row in mine):
            return
        whose = f"{holder.mark.target} (Repository {holder.namespace}/{holder.name})"
    else:
        other = claimant(location_token(resolved.location))
        if other is None or other == owner:
            return
        whose = other
    raise Refusal(
        Reason.LOCATION_CONFLICT,
        "spec.backend",
        f"resolves to a location that belongs to {whose}",
        value=resolved.location.partition("|")[2],
        hint="put ${TARGET_NAMESPACE}, ${TARGET_KIND} and ${TARGET_NAME} into the blueprint's prefix, or delete that "
        "Repository if its data is no longer wanted",
    )


def _free_name(claimant: Claimant, view: TargetView, *, base: str, owner: str, resolved: Resolved) -> ObjectKey:
    namespace = resolved.repository_namespace
    for name in (base, distinct_name(base, f"{owner} {resolved.location}")):
        key = ObjectKey(namespace, name)
        holder = view.repository(key)
        if holder is None and claimant(name_token(key)) in (None, owner):
            return key
        if holder is not None and holder.mark is None:
            break
    raise Refusal(
        Reason.NAME_CONFLICT,
        f"Repository {namespace}/{name}",
        "exists and was not made by this operator",
        hint="rename or delete it; it is left alone",
    )


def neighbours(view: TargetView, key: ObjectKey, location: str) -> list[Note]:
    """What is worth telling about other Repositories at, around or within the location of this one."""
    found = []
    around = next((row for row in view.repositories_around(location) if row.key != key), None)
    if around is not None:
        text = f"the location overlaps that of Repository {around.namespace}/{around.name}"
        found.append(Note(Reason.LOCATION_NESTED, text))
    foreign = next((row for row in view.repositories_at(location) if row.mark is None), None)
    if foreign is not None:
        text = f"Repository {foreign.namespace}/{foreign.name}, which this operator did not make, has the same location"
        found.append(Note(Reason.LOCATION_SHARED, text))
    return found


def body(choice: Choice, *, target: Key, blueprint: str, resolved: Resolved) -> tuple[dict[str, Any], str]:
    """The object to apply and its fingerprint."""
    mark = marks.Mark(target=target, blueprint=blueprint)
    found: dict[str, Any] = {
        "apiVersion": REPOSITORY.api_version,
        "kind": REPOSITORY.kind,
        "metadata": {
            "name": choice.key.name,
            "namespace": choice.key.namespace,
            "labels": marks.labels_of(mark),
            "annotations": {
                **marks.annotations_of(mark),
                **incarnation.annotation(choice.namespace_uid),
                **({marks.PASSWORD: _password_of(resolved)} if resolved.password else {}),
            },
        },
        "spec": dict(resolved.repository),
    }
    fingerprint = desired_fingerprint(found)
    if choice.live is not None:
        found["metadata"]["uid"] = choice.live.uid
    return found, fingerprint


def steps(view: TargetView, choice: Choice, *, target: Key, blueprint: str, resolved: Resolved) -> list[Apply]:
    """What to write: the Repository itself unless it is as it should be, and that it serves again if it had retired."""
    found: list[Apply] = []
    wanted, fingerprint = body(choice, target=target, blueprint=blueprint, resolved=resolved)
    live = choice.live
    fits = live is not None and is_applied(view, live, fingerprint)
    if live is not None and not fits and not live.namespace_uid:
        # One from before this was written down gets it with the next write that has another reason.
        _, bare = body(replace(choice, namespace_uid=""), target=target, blueprint=blueprint, resolved=resolved)
        fits = is_applied(view, live, bare)
    if not fits:
        event = Reason.REPOSITORY_UPDATED if live else Reason.REPOSITORY_CREATED
        if live is None and any(row.location != resolved.location for row in choice.predecessors):
            event = Reason.REPOSITORY_SUCCEEDED
        found.append(
            Apply(
                resource=REPOSITORY,
                key=choice.key,
                uid=live.uid if live else "",
                body=wanted,
                fingerprint=fingerprint,
                blueprint=blueprint,
                event=event,
                # It may be pointed elsewhere only because it holds no snapshots, which is true of the version that was
                # looked at. A first backup may have ended since: the server refuses then, and the next look sees it.
                version=str(live.resource_version) if live and live.location != resolved.location else "",
            )
        )
    if live is not None and live.succeeded_by:
        found.append(_succession(live, "", blueprint))
    return found


def successions(choice: Choice, *, blueprint: str) -> list[Apply]:
    """The marks on the Repositories that this one took over from."""
    successor = f"{choice.key.namespace}/{choice.key.name}"
    return [_succession(row, successor, blueprint) for row in choice.predecessors if row.succeeded_by != successor]


def is_applied(view: TargetView, live: RepositoryRow | ConfigurationRow, fingerprint: str) -> bool:
    """Whether an apply with this fingerprint would change nothing.

    An object of ours without field owners (restored from a backup of the cluster, say) has the fingerprint "" and is
    always applied again, or we would never own what is in it.
    """
    return bool(live.fingerprint) and live.fingerprint in (fingerprint, view.effective(live.uid, fingerprint))


def _succession(row: RepositoryRow, successor: str, blueprint: str) -> Apply:
    """Write down, or take back, that `row` was succeeded."""
    metadata: dict[str, Any] = {"name": row.name, "namespace": row.namespace, "uid": row.uid}
    if successor:
        metadata["annotations"] = {marks.SUCCEEDED_BY: successor}
    return Apply(
        resource=REPOSITORY,
        key=row.key,
        uid=row.uid,
        body={"apiVersion": REPOSITORY.api_version, "kind": REPOSITORY.kind, "metadata": metadata},
        fingerprint="",
        blueprint=blueprint,
        manager=SUCCESSION,
    )
