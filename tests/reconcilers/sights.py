"""What tests of reconcilers look at: keys of generated objects, their prefixes, the one outcome, the settled state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.plan import ApplyStatus, Outcome, Plan, State
from reconcilers.reasons import Reason
from tests.reconcilers.objects import blueprint, deployment_key, target
from tests.reconcilers.world import World

SHOP = deployment_key()
NIGHTLY = Key("BackupBlueprint", "", "nightly")


def repo(name: str = "deploy-shop", namespace: str = "demo") -> Key:
    return Key(REPOSITORY.kind, namespace, name)


def bc(name: str = "deploy-shop", namespace: str = "demo") -> Key:
    return Key(CONFIGURATION.kind, namespace, name)


def names(objects: list[dict[str, Any]]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def prefix(obj: dict[str, Any]) -> str:
    return str(obj["spec"]["backend"]["s3"]["prefix"])


def successor(obj: dict[str, Any]) -> str:
    """Who an old Repository says succeeded it, "" when it serves."""
    return str(obj["metadata"]["annotations"].get(marks.SUCCEEDED_BY, ""))


def serving(world: World, name: str = "deploy-shop", namespace: str = "demo") -> dict[str, Any]:
    """The Repository that a BackupConfiguration names."""
    found = world.objects[bc(name, namespace)]["spec"]["repository"]
    return world.objects[repo(found["name"], found.get("namespace", namespace))]


def only(plan: Plan) -> Outcome:
    assert len(plan.outcomes) == 1
    return plan.outcomes[0]


def events(plan: Plan) -> list[Reason | None]:
    """What each write of a plan tells the target's owner."""
    return [None if isinstance(step, ApplyStatus) else step.event for step in plan.steps]


def refused(world: World, key: Key = SHOP) -> Outcome:
    """The one outcome of a target that cannot be configured; nothing is written for it."""
    plan = world.plan(key)
    outcome = only(plan)
    assert outcome.state is not State.CONFIGURED
    assert plan.steps == ()
    return outcome


def settled(world: World) -> None:
    """Nothing is left to write, and nothing about a configured target to read, for a process that remembers nothing."""
    world.restart()
    for key in world.targets():
        reads = world.template_reads
        plan = world.plan(key)
        assert plan.steps == (), key
        if all(outcome.state is State.CONFIGURED for outcome in plan.outcomes):
            assert world.template_reads == reads, "a restart must not read pod templates again"


def opted_in(**spec: Any) -> World:
    """A cluster with one blueprint and one Deployment that is configured from it."""
    world = World(blueprint(**spec), target())
    world.converge(SHOP)
    return world


def specs(world: World) -> dict[Key, Any]:
    """Everything about the generated objects that a person would compare."""
    return {
        Key(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): (
            obj["spec"],
            obj["metadata"].get("labels", {}),
            dict(obj["metadata"].get("annotations", {})),
        )
        for obj in world.repositories() + world.configurations()
    }


def completed_after(crash: int, begin: Callable[[], World]) -> World:
    """A world in which a process ended after so many writes, and the next one has made what one alone would have."""
    whole, cut = begin(), begin()
    whole.converge(SHOP)
    cut.execute(cut.plan(SHOP), steps=crash)
    cut.restart()
    cut.converge(SHOP)
    assert specs(cut) == specs(whole)
    return cut
