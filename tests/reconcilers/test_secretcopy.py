"""What to do about a copy of a storage Secret: a table, and what holds whatever there is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from informers.resource import ObjectKey
from reconcilers.plan import Wish
from reconcilers.ports import SecretState
from reconcilers.secretcopy import (
    ApplySecret,
    Copy,
    CopyPlan,
    DeleteSecret,
    Source,
    SourceState,
    plan_copy,
)

KEY, BUCKET, OTHER = ObjectKey("shop", "storage"), ObjectKey("vault", "bucket"), ObjectKey("vault", "other")
WISH = Wish(BUCKET, "nightly", "s3")
ALL = frozenset({"RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "UNRELATED"})
SEEN = Source(SourceState.SEEN, version="u.7", shared=True, keys=ALL)
COPY = Copy("uid", "70", ours=True, intact=True, source=str(BUCKET), source_version="u.7", backends="s3")
FOREIGN = Copy("uid", "70", ours=False)
SILENT = replace(SEEN, shared=False)


def plan(live: Copy | None, source: Source, *wishes: Wish, needed: bool = False) -> CopyPlan:
    return plan_copy(KEY, wishes, live=live, source_of=lambda key: source, needed=needed)


@pytest.mark.parametrize(
    ("live", "source", "state", "does"),
    [
        (None, SEEN, SecretState.FOUND, ApplySecret),
        (COPY, SEEN, SecretState.FOUND, None),
        (replace(COPY, intact=False), SEEN, SecretState.FOUND, ApplySecret),
        (replace(COPY, source_version="u.6"), SEEN, SecretState.FOUND, ApplySecret),
        (replace(COPY, source_version="u.6"), replace(SEEN, keys=None), SecretState.FOUND, "read"),
        (COPY, replace(SEEN, keys=None), SecretState.FOUND, None),
        (replace(COPY, deleting=True), SEEN, SecretState.UNCHECKED, None),
        (None, Source(SourceState.UNKNOWN), SecretState.UNCHECKED, None),
        (None, Source(SourceState.MISSING), SecretState.MISSING, None),
        (None, Source(SourceState.FORBIDDEN), SecretState.MISSING, None),
        (COPY, Source(SourceState.MISSING), SecretState.FOUND, None),
        (COPY, Source(SourceState.FORBIDDEN), SecretState.FOUND, None),
        (COPY, replace(SEEN, version="u.8", keys=frozenset()), SecretState.FOUND, None),
        (None, replace(SEEN, keys=frozenset({"RESTIC_PASSWORD", "AWS_ACCESS_KEY_ID"})), SecretState.MISSING, None),
        (None, SILENT, SecretState.MISSING, None),
        (COPY, SILENT, SecretState.MISSING, DeleteSecret),
        (COPY, replace(SEEN, blueprints=frozenset({"weekly"})), SecretState.MISSING, DeleteSecret),
        (COPY, replace(SEEN, blueprints=frozenset({"weekly", "nightly"})), SecretState.FOUND, None),
        (replace(COPY, source=str(OTHER)), SILENT, SecretState.FOUND, None),
        (FOREIGN, SEEN, SecretState.CONFLICT, None),
        (FOREIGN, SILENT, SecretState.CONFLICT, None),
    ],
)
def test_what_is_done(live: Copy | None, source: Source, state: SecretState, does: type | str | None) -> None:
    found = plan(live, source, WISH)
    assert found.sight.state is state
    if does == "read":
        assert (found.read, found.step) == (BUCKET, None)
    else:
        assert found.read is None
        assert (type(found.step) if found.step else None) is does
    if state in (SecretState.MISSING, SecretState.CONFLICT):
        assert found.sight.note, "people are told what to do"


@pytest.mark.parametrize(
    ("live", "needed", "goes"),
    [(COPY, False, True), (COPY, True, False), (FOREIGN, False, False), (None, False, False)],
)
def test_without_a_wish(live: Copy | None, needed: bool, goes: bool) -> None:
    assert isinstance(plan(live, SEEN, needed=needed).step, DeleteSecret) is goes


def test_only_the_keys_of_the_backends_are_copied() -> None:
    step = plan(None, SEEN, WISH).step
    assert isinstance(step, ApplySecret)
    assert set(step.keys) == ALL - {"UNRELATED"}
    assert step.metadata["labels"] == {"app.kubernetes.io/managed-by": "autobackup"}
    both = plan(None, SEEN, WISH, Wish(BUCKET, "weekly", "local")).step
    assert isinstance(both, ApplySecret)
    assert both.metadata["annotations"]["autobackup.stash.appscode.com/backends"] == "local,s3"


_WISHES = st.sets(
    st.builds(
        Wish,
        source=st.sampled_from([BUCKET, OTHER]),
        blueprint=st.sampled_from(["nightly", "weekly"]),
        provider=st.sampled_from(["s3", "b2", "local"]),
        identity=st.sampled_from(["", "v1 a", "v1 b"]),
    ),
    max_size=4,
)
_SOURCES = st.builds(
    Source,
    state=st.sampled_from(SourceState),
    version=st.sampled_from(["u.6", "u.7"]),
    shared=st.booleans(),
    blueprints=st.none() | st.frozensets(st.sampled_from(["nightly", "weekly"])),
    keys=st.none() | st.frozensets(st.sampled_from(sorted(ALL))),
)
_COPIES = st.none() | st.builds(
    Copy,
    uid=st.just("uid"),
    version=st.just("70"),
    ours=st.booleans(),
    deleting=st.booleans(),
    intact=st.booleans(),
    source=st.sampled_from([str(BUCKET), str(OTHER)]),
    source_version=st.sampled_from(["u.6", "u.7"]),
    identity=st.sampled_from(["", "v1 a"]),
    backends=st.sampled_from(["s3", "b2,s3"]),
)


@given(_WISHES, _SOURCES, _COPIES, st.booleans())
def test_whatever_there_is(wishes: set[Wish], source: Source, live: Copy | None, needed: bool) -> None:
    found = plan(live, source, *wishes, needed=needed)
    if live is not None and not live.ours:
        assert found.step is None, "a Secret of somebody else is not touched"
    if isinstance(found.step, ApplySecret):
        step = found.step
        consenting = [wish for wish in wishes if source.consents(wish.blueprint)]
        assert any((wish.source, wish.identity) == (step.source, step.identity) for wish in consenting)
        assert source.state is SourceState.SEEN
        assert step.uid == (live.uid if live else "")
        marked = step.metadata["annotations"]
        made = Copy(
            "uid",
            "71",
            ours=True,
            intact=True,
            source=marked["autobackup.stash.appscode.com/source"],
            source_version=marked["autobackup.stash.appscode.com/source-version"],
            identity=step.identity,
            backends=marked["autobackup.stash.appscode.com/backends"],
        )
        again = plan(made, source, *wishes, needed=needed)
        assert (again.step, again.read) == (None, None), "what was written is as it should be"
    if wishes and source.state in (SourceState.MISSING, SourceState.UNKNOWN, SourceState.FORBIDDEN):
        assert found.step is None, "who knows nothing of the source changes nothing"
    if needed and not wishes:
        assert found.step is None
