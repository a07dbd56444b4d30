"""D11: whoever asks, by an annotation or by a Namespace, and whatever a blueprint says: one location, one target."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconcilers.keys import Key
from reconcilers.plan import State
from reconcilers.reasons import Reason
from reconcilers.rows import project_repository
from tests.reconcilers import objects
from tests.reconcilers.world import World

_KINDS = st.sampled_from(["Deployment", "StatefulSet", "PersistentVolumeClaim", "AppBinding"])
_NAMESPACES = st.sampled_from(["demo", "blog"])
_ANNOTATION = st.sampled_from([None, "nightly", "hourly", "nightly,hourly", "-"])
_SEGMENT = st.sampled_from(["${TARGET_NAMESPACE}", "${TARGET_KIND}", "${TARGET_NAME}", "shared", "demo", "blog", ""])
_PREFIX = st.lists(_SEGMENT, max_size=4).map("/".join)
_EVERY_KIND = ["Deployment", "StatefulSet", "PersistentVolumeClaim", "AppBinding"]


@st.composite
def worlds(draw: st.DrawFn, *, prefix: st.SearchStrategy[str] = _PREFIX) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in ("nightly", "hourly"):
        kinds = draw(st.lists(st.sampled_from(_EVERY_KIND), unique=True, max_size=4))
        found.append(objects.blueprint(name, backend=objects.s3(draw(prefix)), targetKinds=kinds))
    for name in ("demo", "blog"):
        asked = draw(st.sampled_from([None, "nightly", "nightly,hourly"]))
        annotations = {} if asked is None else objects.opting_in(asked)
        metadata = {"name": name, "annotations": annotations}
        found.append({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    places = st.tuples(_KINDS, _NAMESPACES, st.sampled_from(["shop", "blog", "data"]))
    for kind, namespace, name in draw(st.lists(places, unique=True, min_size=1, max_size=6)):
        annotated = objects.opting_in(draw(_ANNOTATION))
        found.append(objects.target(kind, name, namespace=namespace, annotated=annotated))
    return found


def shared(world: World) -> dict[str, set[Key]]:
    """The locations of more than one target."""
    found: defaultdict[str, set[Key]] = defaultdict(set)
    for obj in world.repositories():
        row = project_repository(obj)
        assert row.mark is not None
        found[row.location].add(row.mark.target)
    return {location: targets for location, targets in found.items() if len(targets) > 1}


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_two_targets_never_have_one_location(there: list[dict[str, Any]]) -> None:
    world = World(*there)
    with world.lag():  # all at once: no cache shows yet what the others took
        for key in world.targets():
            world.reconcile(key)
    assert shared(world) == {}
    world.converge(rounds=8)
    assert shared(world) == {}
    locations = [project_repository(obj).location for obj in world.repositories()]
    assert len(locations) == len(set(locations)), "nor two blueprints of one target"


@settings(max_examples=100, deadline=None)
@given(
    worlds(
        prefix=st.permutations(["${TARGET_NAMESPACE}", "${TARGET_KIND}", "${TARGET_NAME}"]).map(
            lambda order: "/".join(["backups", *order])
        )
    )
)
def test_a_prefix_of_all_three_variables_refuses_nobody(there: list[dict[str, Any]]) -> None:
    world = World(*there)
    world.converge(rounds=8)
    for key in world.targets():
        for outcome in world.plan(key).outcomes:
            # Both blueprints of one target may have one location: that is their own conflict.
            if outcome.state is not State.CONFIGURED:
                assert outcome.reason is Reason.LOCATION_CONFLICT
                assert str(key) in outcome.message
