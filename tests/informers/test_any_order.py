"""Any order of changes and faults: once the faults end, the store is what the server has, and so is what was told.

Each run is made of its seed alone. To replay a failing one, run this file with its number.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from informers import Added, Deleted, ObjectKey, Projection, Row, Updated, check_consistency, shared
from tests.informers.rig import DEPLOYMENTS, NOTES, WHOLE_NOTES, Rig, make_api, noted
from tests.support.fakeapi import Answer, FakeApi, Refuse, Spoil
from tests.support.fakestream import ALL_BYTES
from tests.support.virtualtime import run_virtual

STEPS = 60
NAMESPACES = ("n1", "n2")


class Chaos:
    """One seed's choices."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.api = make_api(chunk=self.chance.choice([1, 17, 400, ALL_BYTES]))
        self.api.streaming_lists = self.chance.random() < 0.8
        self.api.bookmarks = self.chance.random() < 0.9
        self.api.expired_as_event = self.chance.random() < 0.5
        # A version that went back is noticed while it is lower than what was seen. Nobody can notice it afterwards.
        self.quiet = False
        self.snapshots = [self.api.snapshot()]
        self.changes: list[Callable[[], object]] = [self.create, self.update, self.update, self.delete]
        self.faults: list[Callable[[], object]] = [
            self.api.cut_streams,
            self.api.close_streams,
            self.api.silence_streams,
            self.api.compact,
            self.api.send_bookmarks,
            self.fail,
            self.fail,
            self.spoil,
            self.garbage,
            self.remember,
            self.restore,
        ]

    def step(self) -> None:
        chance = self.chance
        chance.choice(self.changes if chance.random() < 0.7 else self.faults)()

    def key(self) -> ObjectKey:
        return ObjectKey(self.chance.choice(NAMESPACES), f"d{self.chance.randrange(4)}")

    @property
    def objects(self) -> dict[ObjectKey, dict[str, Any]]:
        return self.api.snapshot()[1][DEPLOYMENTS.collection_path()]

    def annotations(self) -> dict[str, str]:
        return {} if self.chance.random() < 0.3 else noted(str(self.chance.randrange(3)))

    def create(self) -> None:
        key = self.key()
        if key not in self.objects:
            self.api.create(DEPLOYMENTS, key.name, key.namespace, annotations=self.annotations())

    def update(self) -> None:
        key = self.key()
        if key in self.objects:
            self.api.update(DEPLOYMENTS, key, annotations=self.annotations())

    def delete(self) -> None:
        key = self.key()
        if key in self.objects:
            self.api.delete(DEPLOYMENTS, key)

    def fail(self) -> None:
        faults = [Answer(code) for code in (400, 401, 403, 404, 410, 422, 429, 500, 503, 504)] + [Refuse()]
        verb = self.chance.choice(["", "watch", "watchlist", "list"])
        self.api.fail(self.chance.choice(faults), verb=verb, times=self.chance.randrange(1, 4))

    def spoil(self) -> None:
        how = self.chance.choice(["cut", "close", "silence"])
        self.api.fail(Spoil(after=self.chance.randrange(3000), how=how), times=self.chance.randrange(1, 3))

    def garbage(self) -> None:
        self.api.send_raw(self.chance.choice([b"\n", b"{}\n", b"\xff\n", b'{"type":"X","object":{}}\n', b'{"ty']))

    def remember(self) -> None:
        self.snapshots.append(self.api.snapshot())

    def restore(self) -> None:
        if self.chance.random() < 0.3:
            # What came after the copy never happened: later copies are of a history that is no more.
            del self.snapshots[self.chance.randrange(len(self.snapshots)) + 1 :]
            self.api.restore(self.snapshots[-1])
            self.api.heal()
            self.quiet = True


class Listener:
    """Believes what it is told, and checks that it can be."""

    def __init__(self) -> None:
        self.believed: dict[ObjectKey, Row] = {}

    def hear(self, delta: Added[Any] | Updated[Any] | Deleted[Any]) -> None:
        row = delta.new if isinstance(delta, Updated) else delta.row
        key = ObjectKey(row.namespace, row.name)
        if isinstance(delta, Added):
            assert key not in self.believed
            self.believed[key] = row
        elif isinstance(delta, Updated):
            assert self.believed[key] == delta.old
            self.believed[key] = row
        else:
            assert self.believed.pop(key) == row


def truth(api: FakeApi, projection: Projection[Any]) -> dict[ObjectKey, Row]:
    objects = api.snapshot()[1][DEPLOYMENTS.collection_path()]
    rows = {key: projection.project(document) for key, document in objects.items()}
    return {key: row for key, row in rows.items() if row is not None}


@pytest.mark.parametrize("seed", range(40))
def test_in_the_end_the_store_is_what_the_server_has(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 2:
        # Every turn of the loop ends after one row: who joins, and whole collections, meet all that happens meanwhile.
        monkeypatch.setattr(shared, "SHARE", 1)

    async def main() -> None:
        chaos = Chaos(seed)
        projection = chaos.chance.choice([NOTES, WHOLE_NOTES])
        namespaces = chaos.chance.choice([(), NAMESPACES])
        rig = Rig(chaos.api, projection=projection, namespaces=namespaces, seed=seed)
        first, late = Listener(), Listener()
        rig.informer.add_handler(first.hear, name="first")
        async with rig.running(synced=False):
            for step in range(STEPS):
                chaos.step()
                if step == STEPS // 2:
                    rig.informer.add_handler(late.hear, name="late")
                await rig.settle(400 if chaos.quiet else chaos.chance.choice([0, 0, 0.001, 0.5, 3, 40]))
                chaos.quiet = False
            chaos.api.heal()
            chaos.api.bookmarks = True
            # Longer than the longest wait, two silences, and the life of a watch.
            await rig.settle(1500)
            expected = truth(chaos.api, projection)
            stored = {ObjectKey(row.namespace, row.name): row for row in rig.informer.store.rows()}
            assert stored == expected
            assert first.believed == late.believed == expected
            assert rig.observer.of("handler_failed") == []
            assert rig.informer.has_synced
            assert await check_consistency(chaos.api, rig.informer) == len(expected)

    run_virtual(main())
