"""What is done when the server that answers may not have the history that we know: R10, `history.py`."""

from __future__ import annotations

from informers import ObjectKey
from tests.informers.rig import DEPLOYMENTS, NODES, NOTES, WIDGETS, Rig, noted, one
from tests.support.fakeapi import FakeApi, Refuse
from tests.support.virtualtime import run_virtual

D0 = ObjectKey("ns", "d0")


def test_r10_storage_restored_from_an_older_copy_is_noticed_where_nothing_happens() -> None:
    """The versions have been passed before anybody looks, and nothing of this kind tells of it."""

    async def main(lost: bool) -> None:
        rig = Rig(one())
        async with rig.running():
            older = rig.api.snapshot()
            if lost:
                rig.api.create(DEPLOYMENTS, "lost", annotations=noted())
            await rig.settle(45)
            rig.api.fail(Refuse(), times=3)
            rig.api.restore(older)
            rig.api.update(DEPLOYMENTS, D0, annotations=noted("unseen"))
            rig.api.revision += 500  # other kinds
            rig.api.send_bookmarks()
            rig.api.compact()  # as a server that was started since
            await rig.settle(60)
            assert rig.rows == {"d0": "unseen"}
            await rig.settle(3600)
            assert rig.observer.reasons("relist") == ["history"]

    for lost in (True, False):
        run_virtual(main(lost))


def test_r10_one_question_is_the_answer_to_all_kinds_and_old_history_is_read_anew_by_all() -> None:
    async def main(restarted: bool) -> None:
        api = FakeApi(DEPLOYMENTS, WIDGETS, NODES)
        rig = Rig(api)
        others = [rig.factory.informer(resource, NOTES) for resource in (WIDGETS, NODES)]
        api.create(WIDGETS, "w", annotations=noted())
        api.create(DEPLOYMENTS, "d0", annotations=noted("0"))
        async with rig.running():
            await rig.settle(45)
            api.update(DEPLOYMENTS, D0, annotations=noted("newest"))
            await rig.settle()
            api.fail(Refuse(), times=3)
            before = len(api.requests)
            api.cut_streams()
            if restarted:
                api.compact()
            await rig.settle(30)
            asked = api.requests[before + 3 :]
            questions = [seen for seen in asked if "allowWatchBookmarks" not in seen.query]
            assert [seen.path for seen in questions] == [DEPLOYMENTS.collection_path()]
            verbs = [seen.verb for seen in asked if seen not in questions]
            assert verbs == ["watchlist" if restarted else "watch"] * 3
            assert len(others[0].store) == 1

    for restarted in (True, False):
        run_virtual(main(restarted))


def test_r10_who_meets_another_history_has_everybody_read_anew_but_not_again_and_again() -> None:
    async def main() -> None:
        api = FakeApi(DEPLOYMENTS, WIDGETS)
        rig = Rig(api)
        rig.factory.informer(WIDGETS, NOTES)
        api.create(DEPLOYMENTS, "d0", annotations=noted("0"))
        async with rig.running():
            for times in range(3):
                await rig.settle(45)
                present, api.revision = api.revision, 7
                for stream in [known for known in api.streams if not known.left and known.resource == DEPLOYMENTS]:
                    stream.bookmark()
                api.revision = present
                await rig.settle(5)
                assert rig.observer.reasons("relist").count("Rewound") == times + 1
            assert rig.observer.reasons("relist").count("refresh") == 1

    run_virtual(main())
