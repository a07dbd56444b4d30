"""A cache that begins with few objects and is told to keep more; one that begins after another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from informers import InformerFactory, Projection
from tests.informers.rig import DEPLOYMENTS, NODES, NOTES, WHOLE_NOTES, NoteRow, Rig, make_api, noted, project_note
from tests.support.beside import beside
from tests.support.fakeapi import Answer, FakeApi
from tests.support.virtualtime import VirtualClock, run_virtual


def project_all(document: Mapping[str, Any]) -> NoteRow | None:
    metadata = document["metadata"]
    named = {**metadata, "annotations": {"example.com/note": "", **(metadata.get("annotations") or {})}}
    return project_note({**document, "metadata": named})


ALL = Projection(project_all, metadata_only=True)


def api() -> FakeApi:
    found = make_api()
    found.create(DEPLOYMENTS, "noted", annotations=noted())
    found.create(DEPLOYMENTS, "plain")
    return found


def lists(found: FakeApi) -> int:
    return sum(request.verb in ("list", "watchlist") for request in found.requests)


def test_what_was_passed_over_is_read_once_more() -> None:
    async def main() -> None:
        rig = Rig(api())
        async with rig.running():
            assert rig.told == ["+noted!"]
            before = lists(rig.api)
            rig.informer.widen(ALL)
            await rig.settle()
            assert rig.told == ["+plain"]
            assert lists(rig.api) == before + 1
            rig.api.create(DEPLOYMENTS, "late")
            await rig.settle()
            assert rig.told == ["+late"]

    run_virtual(main())


def test_widened_before_it_begins_it_reads_once() -> None:
    async def main() -> None:
        rig = Rig(api())
        rig.informer.widen(ALL)
        async with rig.running():
            assert rig.told == ["+noted!", "+plain!"]
            await rig.settle(30)
            assert lists(rig.api) == 1

    run_virtual(main())


def test_widened_while_it_reads_it_reads_again() -> None:
    async def main() -> None:
        rig = Rig(api())
        rig.api.fail(Answer(503), times=1)
        async with rig.running(synced=False):
            await asyncio.sleep(0)
            rig.informer.widen(ALL)
            await rig.settle(120)
            assert sorted(rig.rows) == ["noted", "plain"]

    run_virtual(main())


def test_another_form_of_objects_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="another form"):
            Rig(api()).informer.widen(WHOLE_NOTES)

    run_virtual(main())


def test_one_begins_after_another_is_synced() -> None:
    async def main() -> None:
        found = api()
        found.serve(NODES)
        found.create(NODES, "one", annotations=noted())
        found.fail(Answer(503), resource=NODES, times=2)
        factory = InformerFactory(found, VirtualClock())
        first = factory.informer(NODES, replace(NOTES))
        second = factory.informer(DEPLOYMENTS, NOTES, after=first)
        seen: list[bool] = []
        second.add_handler(lambda delta: seen.append(first.has_synced), name="test")
        async with beside(factory.run()):
            await factory.wait_synced(60)
            assert seen == [True]
            assert [request.path for request in found.requests][:3] == ["/api/v1/nodes"] * 3

    run_virtual(main())
