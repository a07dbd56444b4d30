"""Random runs by seed: people who do anything in any order, and several disturbances at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from controller.pace import BURST, SECONDS
from reconcilers.kinds import BLUEPRINT
from tests.support.fakeapply import ApplyServer
from tests.worlds import demands, oracle
from tests.worlds import people as p
from tests.worlds.disturbances import AFTER, BEFORE, Crash, Disturbance, Frozen, Late, Lost, Refusal
from tests.worlds.people import Act, Step
from tests.worlds.sweep import REFUSALS
from tests.worlds.world import LONGEST, Run, Scenario, play

BLUEPRINTS = ("nightly", "hourly")
TARGETS = (("Deployment", "shop"), ("PersistentVolumeClaim", "shop"), ("StatefulSet", "data"))
SHORT = {"Deployment": "deploy", "PersistentVolumeClaim": "pvc", "StatefulSet": "sts"}
PLURALS = (
    *("backupblueprints", "repositories", "backupconfigurations", "namespaces"),
    *("deployments", "persistentvolumeclaims"),
)
_LISTS = ("nightly", "hourly", "nightly,hourly", "hourly,nightly", None)
_PAUSES = (0.0, 0.004, 0.012, 0.05, 0.6, 3.0, 12.0)
_SCHEDULES = ("@hourly", "@daily", "@weekly")
_PLACE = "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"
_LASTING = 65.0
"""So many seconds the longest disturbance lasts."""
SURPLUS = 4
"""Writes of one object that each deed and each disturbance may cost."""


@dataclass(frozen=True, slots=True)
class Tale:
    """All that decides a run."""

    seed: int
    steps: tuple[Step, ...]
    disturbances: tuple[Disturbance, ...] = ()
    processes: int = 1

    @property
    def scenario(self) -> Scenario:
        return Scenario(f"tale {self.seed}", self.steps, _BEFORE)

    def __str__(self) -> str:
        deeds = "".join(f"\n    {step.after:6.3f} s later: {step.name}" for step in self.steps)
        happens = "".join(f"\n    {disturbance}" for disturbance in self.disturbances)
        return f"tale {self.seed}, {self.processes} operators{deeds}{happens}"


def tale(seed: int) -> tuple[Tale, Run]:
    """The tale of a seed, and its calm run, by whose length the disturbances are chosen."""
    chance = random.Random(seed)
    steps = tuple(_step(chance) for _ in range(chance.randint(3, 10)))
    calm = Tale(seed, steps)
    run = play(calm.scenario, until=_content, seed=seed)
    number = chance.choice((1, 1, 2, 3, 5))
    disturbances = tuple(_disturbance(chance, run) for _ in range(number))
    return replace(calm, disturbances=disturbances, processes=chance.choice((1, 1, 1, 2))), run


def tell(told: Tale) -> Run:
    return play(told.scenario, *told.disturbances, until=_content, processes=told.processes, seed=told.seed)


def judge(told: Tale, run: Run, calm: Run) -> list[str]:
    """What is wrong with a run; nothing when all is right."""
    return list(_problems(told, run, calm))


def shrink(told: Tale, fails: Callable[[Tale], bool]) -> Tale:
    """Leave out whatever can be left out of a tale that fails."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(told):
            if fails(candidate):
                told, smaller = candidate, True
                break
    return told


def _problems(told: Tale, run: Run, calm: Run) -> Iterator[str]:
    yield from run.complaints
    yield from oracle.wrongs(run)
    if run.settled_after > LONGEST - 1:
        yield "it was not done in time"
    # People may be told of something late, when a process that could see nothing sees again.
    if unrest := [change for change in run.unrest if change.resource.kind != "Event"]:
        changes = [f"{c.who} {c.verb} {c.resource.kind} {c.key} at {c.at:.1f} s" for c in unrest[:6]]
        yield f"{len(unrest)} writes when all was done: {changes}"
    if run.defects:
        yield f"{run.defects:.0f} reconciles raised what nobody expected"
    usual = oracle.effective(calm)
    allowed = SURPLUS * (len(told.steps) + len(told.disturbances) + 1)
    # Two that see different things write a status over each other's, at a pace, until they see the same again.
    paced = 0 if told.processes == 1 else BURST + int(_LASTING / SECONDS)
    for name, count in oracle.effective(run).items():
        most = usual[name] + allowed + (paced if name.startswith(BLUEPRINT.kind) else 0)
        if count > told.processes * most:
            yield f"{count} effective writes to {name}, {usual[name]} in the calm run"


def _content(server: ApplyServer) -> list[str]:
    return demands.unmet(server)


def _smaller(told: Tale) -> Iterator[Tale]:
    for index in range(len(told.disturbances)):
        yield replace(told, disturbances=told.disturbances[:index] + told.disturbances[index + 1 :])
    if told.processes > 1:
        yield replace(told, processes=1)
    for index in range(len(told.steps)):
        yield replace(told, steps=told.steps[:index] + told.steps[index + 1 :])


def _blueprint(name: str, variant: str = "a") -> Act:
    return p.create_blueprint(name, backend=p.objects.s3(f"{name}/{variant}/{_PLACE}"))


_BEFORE = (*(_blueprint(name) for name in BLUEPRINTS), p.create("Deployment"), p.create("PersistentVolumeClaim"))


def _step(chance: random.Random) -> Step:
    name, act = _deed(chance)
    return Step(name, act, after=chance.choice(_PAUSES))


def _deed(chance: random.Random) -> tuple[str, Act]:
    kind, name = chance.choice(TARGETS)
    target = f"{kind} {name}"
    made = f"{SHORT[kind]}-{name}"
    blueprint = chance.choice(BLUEPRINTS)
    listed, schedule = chance.choice(_LISTS), chance.choice(_SCHEDULES)
    variant, path = chance.choice("abc"), chance.choice(("/a", "/b"))
    asked, labels = chance.choice((*BLUEPRINTS, "nightly,hourly", None)), chance.choice(({}, demands.TEAM))
    deeds: list[tuple[int, str, Act]] = [
        (4, f"create {target} for {listed}", p.create(kind, name, listed)),
        (4, f"{target} names {listed}", p.annotate(kind, name, blueprint=listed)),
        (2, f"{target} wants {schedule}", p.annotate(kind, name, schedule=schedule)),
        (1, f"{target} wants no schedule of its own", p.annotate(kind, name, schedule=None)),
        (2, f"delete {target}", p.delete(kind, name)),
        (1, "collect garbage", p.collect_garbage),
        (1, f"remount {path}", p.remount(path)),
        (1, "scale", p.scale(chance.randint(1, 9))),
        (2, f"{blueprint} wants {schedule}", p.respec(blueprint, schedule=schedule)),
        (
            3,
            f"{blueprint} moves to {variant}",
            p.respec(blueprint, backend=p.objects.s3(f"{blueprint}/{variant}/{_PLACE}")),
        ),
        (1, f"delete blueprint {blueprint}", p.delete_blueprint(blueprint)),
        (2, f"create blueprint {blueprint} at {variant}", _blueprint(blueprint, variant)),
        (2, f"the namespace asks for {asked}", p.ask(asked)),
        (1, f"{target} opts out", p.annotate(kind, name, blueprint="-")),
        (2, f"the namespace is labelled {labels}", p.label(**labels)),
        (1, f"{blueprint} is for a team", p.respec(blueprint, allowedNamespaces=demands.FOR_A_TEAM)),
        (1, f"{blueprint} is for all", p.respec(blueprint, allowedNamespaces=None)),
        (3, f"back up {made}", p.back_up(made)),
        (1, f"meddle with {made}", p.meddle(made)),
        (1, f"delete BackupConfiguration {made}", p.delete_configuration(made)),
        (1, f"delete Repository {made}", p.delete_repository(made)),
    ]
    ((_, what, act),) = chance.choices(deeds, weights=[weight for weight, _, _ in deeds])
    return what, act


def _disturbance(chance: random.Random, calm: Run) -> Disturbance:
    request = chance.randint(1, len(calm.requests) + 4)
    event = chance.randint(1, len(calm.events) + 4)
    seconds = chance.choice((0.3, 4.0, 20.0, _LASTING))
    match chance.randrange(5):
        case 0:
            return Crash(request, chance.choice((BEFORE, AFTER)), chance.choice((0.0, 2.0, 40.0)))
        case 1:
            return Refusal(request, *chance.choice(REFUSALS))
        case 2:
            return Lost(event, chance.choice(("cut", "silence", "gone")))
        case 3:
            return Late(event, seconds)
        case _:
            revision = chance.randrange(calm.first_revision, calm.last_revision)
            return Frozen(revision, seconds, chance.choice(((), *((plural,) for plural in PLURALS))))
