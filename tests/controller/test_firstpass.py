"""After a start nothing is called unwanted or new before it was looked at once."""

from __future__ import annotations

import asyncio

import pytest

from controller.copydemand import CopyDemand
from informers import shared
from informers.resource import ObjectKey
from reconcilers import marks
from reconcilers.keys import Key
from reconcilers.kinds import REPOSITORY, TARGETS
from reconcilers.namespace import NAMESPACE
from tests.controller.test_handlers import NIGHTLY, Rig
from tests.support.virtualtime import run_virtual

CLAIMS = TARGETS["PersistentVolumeClaim"].resource
STORAGE = ObjectKey("ns", "storage")
BACKEND = {"s3": {"bucket": "b"}, "storageSecretName": "storage"}


def claim(name: str) -> Key:
    return Key("PersistentVolumeClaim", "ns", name)


def make(rig: Rig, target: Key) -> None:
    mark = marks.Mark(target=target, blueprint="nightly")
    labels, annotations = marks.labels_of(mark), marks.annotations_of(mark)
    name = f"pvc-{target.name}"
    rig.api.create(REPOSITORY, name, labels=labels, annotations=annotations, spec={"backend": BACKEND})


async def look_at(rig: Rig, target: Key) -> bool:
    while await rig.queue.get() != target:
        pass
    return rig.first_pass.looked(target)


def test_the_copy_of_an_heir_that_was_not_looked_at_yet_stays() -> None:
    """It has a Repository, and no BackupConfiguration yet: a process that ended between the two is enough."""

    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        rig.api.create(NAMESPACE, "ns", annotations=NIGHTLY)
        rig.api.create(CLAIMS, "data")
        make(rig, claim("data"))
        demand = CopyDemand(rig.caches, rig.outcomes, rig.first_pass)
        async with rig.synced():
            assert demand.retired() == [], "nobody has begun to look"
            rig.handlers.attach(rig.caches)
            await asyncio.sleep(1)
            assert demand.retired() == []
            assert await look_at(rig, claim("data"))
            assert demand.retired() == [STORAGE], "it was looked at, and does not want it"

    run_virtual(main())


def test_what_is_told_in_later_turns_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "SHARE", 1)

    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        rig.api.create(NAMESPACE, "ns", annotations=NIGHTLY)
        names = [f"c{number:03}" for number in range(200)]
        for name in names:
            rig.api.create(CLAIMS, name)
        make(rig, claim(names[-1]))
        demand = CopyDemand(rig.caches, rig.outcomes, rig.first_pass)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            told = len(rig.queue)
            assert told < len(names)
            assert demand.retired() == []
            await asyncio.sleep(1)
            assert [await look_at(rig, claim(name)) for name in names] == [False] * 199 + [True]
            assert demand.retired() == [STORAGE]

    run_virtual(main())


def test_who_is_gone_needs_nothing_and_who_comes_later_is_not_waited_for() -> None:
    async def main() -> None:
        rig = Rig()
        rig.blueprint()
        make(rig, claim("gone"))
        demand = CopyDemand(rig.caches, rig.outcomes, rig.first_pass)
        async with rig.synced():
            rig.handlers.attach(rig.caches)
            await asyncio.sleep(1)
            assert demand.retired() == []
            assert await look_at(rig, claim("gone"))
            assert demand.retired() == [STORAGE]
            rig.api.create(CLAIMS, "later", annotations=NIGHTLY)
            await asyncio.sleep(1)
            assert not rig.first_pass.is_due(claim("later"))

    run_virtual(main())
