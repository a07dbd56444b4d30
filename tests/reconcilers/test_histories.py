"""Random histories: whatever people do, and wherever the operator is cut off, the end is the same, nothing is lost."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.rows import project_repository
from tests.reconcilers import ssa
from tests.reconcilers.objects import blueprint, configuration, pods, repository, s3, target
from tests.reconcilers.sights import bc, repo, settled, specs
from tests.reconcilers.world import World

Action = tuple[str, Any, Any]
TARGETS = (
    Key("Deployment", "demo", "shop"),
    Key("PersistentVolumeClaim", "demo", "shop"),
    Key("StatefulSet", "b", "x"),
)
BLUEPRINTS = ("nightly", "hourly", "weekly")
PREFIXES = (
    "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}",
    "x/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}",
    "${TARGET_NAME}",
    "${TARGET_NAMESPACE}/${TARGET_NOPE}",
)
LISTS = (None, "nightly", "hourly", "nightly,hourly", "hourly,weekly", "weekly,hourly,nightly", "missing", "Bad,,")
SPECS: tuple[dict[str, Any], ...] = (
    *({"backend": s3(prefix)} for prefix in PREFIXES),
    {"schedule": "@daily"},
    {"schedule": "noon"},
    {"schedule": None},
    {"repoNamespace": "vault"},
    {"backupNamespace": "runs"},
    {"repoNamespace": None, "backupNamespace": None},
)

targets = st.sampled_from(TARGETS)
actions: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("name"), targets, st.sampled_from(LISTS)),
    st.tuples(st.just("schedule"), targets, st.sampled_from([None, "@hourly", "noon"])),
    st.tuples(st.just("respec"), st.sampled_from(BLUEPRINTS), st.sampled_from(SPECS)),
    st.tuples(st.just("remove blueprint"), st.sampled_from(BLUEPRINTS), st.none()),
    st.tuples(st.just("recreate"), targets, st.none()),
    st.tuples(st.just("remove"), targets, st.none()),
    st.tuples(st.just("back up"), st.integers(0, 5), st.none()),
    st.tuples(st.just("drift"), st.integers(0, 5), st.none()),
    st.tuples(st.just("delete configuration"), st.integers(0, 5), st.none()),
    st.tuples(st.just("remount"), st.just(TARGETS[0]), st.sampled_from(["/a", "/b"])),
)
histories = st.lists(st.tuples(actions, st.integers(0, 6)), min_size=4, max_size=12)


def start() -> World:
    world = World(
        *(blueprint(name, backend=s3(f"{name}/{PREFIXES[0]}")) for name in BLUEPRINTS),
        *(target(key.kind, key.name, namespace=key.namespace) for key in TARGETS),
        repository("deploy-shop-hourly"),
        configuration("pvc-shop-weekly"),
    )
    world.converge()
    return world


def act(world: World, action: Action) -> None:  # noqa: PLR0912 - one branch an action
    name, subject, value = action
    if subject in TARGETS and subject not in world.objects:
        if name == "recreate":
            world.create(target(subject.kind, subject.name, namespace=subject.namespace))
        return
    if name in ("respec", "remove blueprint") and Key("BackupBlueprint", "", subject) not in world.objects:
        world.create(blueprint(subject))
        return
    match name:
        case "name":
            world.annotate(subject, **{"backup-blueprint": value})
        case "schedule":
            world.annotate(subject, schedule=value)
        case "respec":
            world.respec(subject, **value)
        case "remove blueprint":
            world.delete(Key("BackupBlueprint", "", subject))
        case "recreate":
            world.delete(subject)
            world.create(target(subject.kind, subject.name, namespace=subject.namespace))
        case "remove":
            world.delete(subject)
        case "remount":
            world.edit(subject, lambda obj: obj.update(spec=pods(mounts={"data": value})))
        case "back up" if held := _some(world.repositories(), subject):
            world.back_up(repo(held["metadata"]["name"], held["metadata"]["namespace"]))
        case "drift" if found := _some(world.configurations(), subject):
            world.edit(_key(found), lambda obj: obj["spec"].update(schedule="1 1 1 1 *", paused=True))
        case "delete configuration" if found := _some(world.configurations(), subject):
            world.delete(_key(found))


def _some(objects: list[dict[str, Any]], number: int) -> dict[str, Any] | None:
    ours = [obj for obj in objects if marks.read(obj["metadata"])]
    return ours[number % len(ours)] if ours else None


def _key(obj: dict[str, Any]) -> Key:
    return bc(obj["metadata"]["name"], obj["metadata"]["namespace"])


def cut_off(world: World, steps: int) -> None:
    """Every target is planned, and the operator dies after the first few writes of each."""
    for key in world.targets():
        world.execute(world.plan(key), steps=steps)
    world.restart()


@settings(max_examples=settings().max_examples // 5)
@given(histories)
@example([(("name", TARGETS[0], "weekly,hourly,nightly"), 0), (("name", TARGETS[0], "hourly,weekly"), 1)])
@example([(("name", TARGETS[0], "nightly,hourly"), 0), (("back up", 0, None), 0), (("name", TARGETS[0], "hourly"), 1)])
def test_any_history(history: list[tuple[Action, int]]) -> None:
    whole, cut = start(), start()
    foreign = {key: whole.objects[key] for key in (repo("deploy-shop-hourly"), bc("pvc-shop-weekly"))}
    for action, steps in history:
        held = {key: locations(cut)[key] for key in locations(cut) if cut.objects[key].get("status")}
        for world in (whole, cut):
            act(world, action)
        cut_off(cut, steps)
        for world in (whole, cut):
            world.converge()
        assert plain(cut) == plain(whole)
        settled(cut)
        now = locations(cut)
        assert now.keys() >= held.keys(), "a Repository is never deleted"
        assert {key: now[key] for key in held} == held, "one that holds snapshots is never repointed"
        assert_one_owner_a_location(cut)
        for key, obj in foreign.items():
            assert cut.objects[key]["metadata"]["uid"] == obj["metadata"]["uid"]
            assert marks.read(cut.objects[key]["metadata"]) is None


def plain(world: World) -> dict[Key, Any]:
    """What a person would compare, without the uids that differ between two runs."""
    found = specs(world)
    for _, _, written in found.values():
        written.pop(marks.TARGET_UID, None)
    return found


def locations(world: World) -> dict[Key, str]:
    found = {}
    for obj in world.repositories():
        row = project_repository(obj)
        if row.mark is not None:
            found[repo(row.name, row.namespace)] = row.location
    return found


def assert_one_owner_a_location(world: World) -> None:
    owners: dict[str, Key] = {}
    for obj in world.repositories():
        row = project_repository(obj)
        if row.mark is not None:
            assert owners.setdefault(row.location, row.mark.target) == row.mark.target, row.location


@settings(max_examples=settings().max_examples // 5)
@given(st.lists(st.tuples(actions, st.booleans()), min_size=4, max_size=12))
@example([(("respec", "nightly", SPECS[2]), False), (("name", TARGETS[1], "nightly"), True)])
def test_any_history_seen_late(history: list[tuple[Action, bool]]) -> None:
    """While the caches lag, what was claimed a moment ago holds; what the server refuses is tried again."""
    world = start()
    for action, late in history:
        act(world, action)
        if late:
            with world.lag():
                for key in [*world.targets(), *world.targets()]:
                    attempt(world, key)
        world.converge(rounds=6)
        assert_one_owner_a_location(world)
    settled(world)


def attempt(world: World, key: Key) -> None:
    plan = world.plan(key)
    with contextlib.suppress(ssa.ConflictError, ssa.MissingError):
        world.execute(plan)
