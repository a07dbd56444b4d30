"""How a watch goes on and what ends it: R9-R21, R24."""

from __future__ import annotations

from itertools import pairwise

import pytest

from informers import ObjectKey
from informers.intake import Intake
from tests.informers.rig import DEPLOYMENTS, Rig, noted, one
from tests.support import wirejson
from tests.support.fakeapi import Answer, Refuse, Spoil
from tests.support.virtualtime import run_virtual

D0 = ObjectKey("ns", "d0")

pytestmark = pytest.mark.usefixtures("encoding")


def test_create_update_delete_and_loss_of_interest() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.create(DEPLOYMENTS, "a", annotations=noted("1"))
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("2"))
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations={})
            rig.api.update(DEPLOYMENTS, ObjectKey("ns", "a"), annotations=noted("3"))
            rig.api.delete(DEPLOYMENTS, ObjectKey("ns", "a"))
            await rig.settle()
            assert rig.told == ["+d0!", "+a", "~a", "-a", "+a", "-a"]
            assert rig.api.verbs() == ["watchlist"]

    run_virtual(main())


def test_d4_what_changes_nothing_we_use_is_counted_and_not_told() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            for replicas in range(5):
                newest = rig.api.update(DEPLOYMENTS, D0, status={"replicas": replicas})
            await rig.settle()
            assert rig.told == []
            assert sum(seen["equal"] for seen in rig.observer.of("suppressed")) == 5
            assert str(rig.get("d0").resource_version) == newest["metadata"]["resourceVersion"]

    run_virtual(main())


def test_r9_watches_ask_for_half_an_hour_to_an_hour_each_its_own() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            await rig.settle(36 * 3600)
            asked = [int(seen.query["timeoutSeconds"]) for seen in rig.api.requests]
            assert len(asked) > 30
            assert all(1800 <= seconds <= 3600 for seconds in asked)
            assert len(set(asked)) > 20
            assert rig.api.verbs() == ["watchlist"] + ["watch"] * (len(asked) - 1)
            assert rig.observer.of("attempt_failed") == []
            assert rig.observer.of("relist") == []

    run_virtual(main())


def test_r10_a_silent_connection_is_dropped_after_70_seconds_and_resumed() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.silence_streams()
            rig.api.create(DEPLOYMENTS, "unheard", annotations=noted())
            await rig.settle(69)
            assert rig.api.verbs() == ["watchlist"]
            await rig.settle(2)
            assert rig.api.verbs() == ["watchlist", "watch"]
            assert "unheard" in rig.rows
            assert rig.observer.of("relist") == []

    run_virtual(main())


def test_r10_bookmarks_keep_a_quiet_connection_alive() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            await rig.settle(290)
            assert rig.api.verbs() == ["watchlist"]
            assert rig.informer.status().last_bookmark_at == pytest.approx(240, abs=1)

    run_virtual(main())


def test_r10_two_silent_streams_in_a_row_mean_a_consistent_relist() -> None:
    async def main() -> None:
        api = one()
        rig = Rig(api)
        async with rig.running():
            await rig.settle(61)
            api.bookmarks = False
            await rig.settle(60 + 145)  # one is on its way
            assert api.verbs() == ["watchlist", "watch", "watch", "watchlist"]
            known = str(api.revision)
            wanted = [seen.query["resourceVersion"] for seen in api.requests]
            assert wanted == ["", str(api.revision - 1), known, ""], "the second is the question for what was told last"
            assert rig.told == ["+d0!"]

    run_virtual(main())


def test_r10_a_kind_that_was_quiet_since_the_server_started_is_resumed_and_not_read_again() -> None:
    """A kube-apiserver sends no bookmarks for a kind of which it has had no event yet."""

    async def main() -> None:
        api = one()
        api.restart()
        rig = Rig(api)
        async with rig.running():
            await rig.settle(3600)
            assert api.verbs() == ["watchlist"] + ["watch"] * 51
            assert rig.informer.status().last_error == ""
            assert rig.observer.of("relist") == []
            api.create(DEPLOYMENTS, "d1", annotations=noted())
            await rig.settle()
            assert rig.told == ["+d0!", "+d1"]

    run_virtual(main())


@pytest.mark.parametrize("how", ["cut", "close"])
def test_r10_who_answers_after_an_interruption_may_have_older_storage_and_is_asked_once(how: str) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            older = rig.api.snapshot()
            rig.api.create(DEPLOYMENTS, "lost", annotations=noted())
            await rig.settle()
            rig.api.bookmarks = False
            if how == "close":
                rig.api.close_streams()
            rig.api.restore(older)
            rig.api.restart()
            await rig.settle(145)
            assert rig.told == ["+d0!", "+lost", "-lost?"]
            await rig.settle(3600)
            assert rig.observer.reasons("relist") == ["history"]

    run_virtual(main())


def test_r10_storage_restored_from_an_older_copy_is_noticed_by_a_bookmark() -> None:
    """kubernetes#107457: a watch from a version of the future is accepted in silence."""

    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            older = rig.api.snapshot()
            rig.api.create(DEPLOYMENTS, "lost", annotations=noted())
            rig.api.update(DEPLOYMENTS, D0, annotations=noted("newer"))
            await rig.settle()
            rig.told  # noqa: B018 - forget them
            rig.api.restore(older)
            await rig.settle(70)
            assert rig.told == ["-lost?", "~d0"]
            assert rig.rows == {"d0": "0"}
            assert "Rewound" in rig.observer.reasons("relist")
            assert rig.api.requests[-1].query["resourceVersion"] == ""

    run_virtual(main())


def test_r10_storage_restored_from_an_older_copy_is_noticed_before_its_versions_catch_up() -> None:
    """Bookmarks would not tell: soon the server's version is beyond ours again, with other things in between."""

    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            older = rig.api.snapshot()
            for number in range(9):
                rig.api.create(DEPLOYMENTS, f"lost{number}", annotations=noted())
            await rig.settle()
            rig.told  # noqa: B018 - forget them
            rig.api.bookmarks = False
            rig.api.fail(Refuse(), times=2)
            rig.api.restore(older)
            rig.api.cut_streams()
            rig.api.create(DEPLOYMENTS, "new", annotations=noted())
            await rig.settle(10)
            for number in range(20):
                rig.api.update(DEPLOYMENTS, D0, annotations=noted(str(number)))
            await rig.settle(10)
            assert rig.rows == {"d0": "19", "new": "x"}
            assert rig.observer.reasons("relist") == ["history"]

    run_virtual(main())


def test_r11_r12_events_and_bookmarks_move_the_version_to_resume_from() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.create(DEPLOYMENTS, "plain")
            await rig.settle()
            assert rig.informer.store.last_sync_rv() == rig.api.revision
            rig.api.revision += 500  # other resources change
            rig.api.send_bookmarks()
            await rig.settle()
            assert rig.informer.store.last_sync_rv() == rig.api.revision
            rig.api.compact()
            rig.api.cut_streams()
            await rig.settle(5)
            # Thanks to the bookmark the resumption is not too old.
            assert rig.api.verbs() == ["watchlist", "watch"]
            assert rig.api.requests[-1].query["resourceVersion"] == str(rig.api.revision)

    run_virtual(main())


@pytest.mark.parametrize("as_event", [True, False])
def test_r13_an_expired_version_means_a_relist_and_no_word_of_an_error(as_event: bool) -> None:
    async def main() -> None:
        api = one()
        api.create(DEPLOYMENTS, "gone", annotations=noted())
        api.expired_as_event = as_event
        rig = Rig(api)
        async with rig.running():
            known = str(api.revision)
            rig.told  # noqa: B018 - forget the initial ones
            api.cut_streams()
            api.delete(DEPLOYMENTS, ObjectKey("ns", "gone"))
            api.create(DEPLOYMENTS, "new", annotations=noted())
            api.compact()
            await rig.settle(20)
            assert api.verbs() == ["watchlist", "watch", "watchlist"]
            assert api.requests[2].query["resourceVersion"] == known
            assert rig.told == ["-gone?", "+new"]
            errors = [type(seen["error"]).__name__ for seen in rig.observer.of("attempt_failed")]
            assert errors == ["TransportError"], "the cut is worth a word, the expiry is not"

    run_virtual(main())


def test_r13_expired_again_while_relisting_means_a_consistent_relist() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Answer(410, "Gone"), verb="watch")
            rig.api.fail(Answer(410, "Expired"), verb="watchlist")
            rig.api.cut_streams()
            await rig.settle(60)
            assert rig.api.verbs() == ["watchlist", "watch", "watchlist", "watchlist"]
            assert [seen.query["resourceVersion"] == "" for seen in rig.api.requests] == [True, False, False, True]

    run_virtual(main())


@pytest.mark.parametrize("verb", ["watch", "watchlist"])
def test_r14_a_version_too_large_for_this_server_means_a_consistent_relist(verb: str) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Answer(410, "Expired"), verb="watch", times=int(verb == "watchlist"))
            rig.api.fail(Answer(504, "Timeout", "Too large", causes=("ResourceVersionTooLarge",)), verb=verb)
            rig.api.cut_streams()
            await rig.settle(60)
            assert rig.api.verbs()[-1] == "watchlist"
            assert rig.api.requests[-1].query["resourceVersion"] == ""

    run_virtual(main())


@pytest.mark.parametrize("fault", [Answer(429, "TooManyRequests"), Refuse(), Answer(500, "InternalError"), Answer(503)])
def test_r15_what_passes_is_waited_out_without_a_relist(fault: Answer | Refuse) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            known = str(rig.api.revision)
            rig.told  # noqa: B018 - forget the initial ones
            await rig.settle(45)
            rig.api.fail(fault, verb="watch", times=4)
            rig.api.cut_streams()
            rig.api.create(DEPLOYMENTS, "meanwhile", annotations=noted())
            await rig.settle(120)
            verbs = rig.api.verbs()
            assert verbs == ["watchlist"] + ["watch"] * 6
            *_, question, resumed = (seen.query["resourceVersion"] for seen in rig.api.requests)
            assert int(question) < int(known), "whoever answers again may have another history (R10)"
            assert resumed == known
            assert rig.told == ["+meanwhile"]
            assert rig.observer.of("relist") == []

    run_virtual(main())


@pytest.mark.parametrize("code", [429, 503])
def test_r15_retry_after_is_a_floor(code: int) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Answer(code, retry_after=45), verb="watch")
            rig.api.cut_streams()
            await rig.settle(200)
            refused, retried = (seen.at for seen in rig.api.requests[1:3])
            assert 45 <= retried - refused <= 45 + 4

    run_virtual(main())


def test_r16_an_unreadable_stored_object_means_a_relist() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.told  # noqa: B018 - forget the initial ones
            error = wirejson.status(500, "StorageReadError", "failed to decode an object")
            rig.api.send("ERROR", error)
            await rig.settle(5)
            assert rig.api.verbs() == ["watchlist", "watchlist"]
            assert rig.told == []

    run_virtual(main())


@pytest.mark.parametrize("code", [400, 404, 408, 500, 503, 504])
def test_r16_any_other_error_in_the_stream_is_resumed_from(code: int) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.send("ERROR", wirejson.status(code, "Whatever", "etcdserver: no leader"))
            rig.api.create(DEPLOYMENTS, "after", annotations=noted())
            await rig.settle(90)
            assert rig.api.verbs()[:2] == ["watchlist", "watch"]
            assert "after" in rig.rows

    run_virtual(main())


def test_r17_403_is_tried_again_slowly_and_told_once() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Answer(403, "Forbidden"), times=20)
            rig.api.cut_streams()
            await rig.settle(600)
            assert 9 <= len(rig.api.requests) <= 20
            failures = [seen["repeated"] for seen in rig.observer.of("attempt_failed")]
            assert failures.count(False) == 2, "the cut, and the first 403"
            assert "403" in rig.informer.status().last_error
            assert rig.informer.has_synced
            assert rig.rows == {"d0": "0"}
            rig.api.heal()
            await rig.settle(61)
            assert rig.informer.status().last_error == "" or rig.api.verbs()[-1] == "watch"

    run_virtual(main())


def test_r18_a_failing_server_gets_at_most_eight_requests_a_minute() -> None:
    async def main(fault: Answer | Refuse | Spoil, seed: int) -> None:
        rig = Rig(one(), seed=seed)
        rig.api.fail(fault, times=10_000)
        async with rig.running(synced=False):
            await rig.settle(3600)
            times = [seen.at for seen in rig.api.requests]
            busiest = max(sum(1 for at in times if start <= at < start + 60) for start in times)
            assert busiest <= 8
            assert len(times) <= 60 * 2 + 8, "and in the long run one or two a minute"

    faults: list[Answer | Refuse | Spoil] = [
        Answer(500),
        Answer(429),
        Answer(401),
        Answer(403),
        Answer(404),
        Refuse(),
        Spoil(after=0, how="close"),
        Spoil(after=0, how="cut"),
        Spoil(after=100, how="cut"),
    ]
    for seed, fault in enumerate(faults):
        run_virtual(main(fault, seed))


def test_r18_who_is_refused_a_connection_is_there_when_there_is_a_server_again() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            await rig.settle(45)
            rig.api.fail(Refuse(listens=False), times=10_000)
            rig.api.cut_streams()
            await rig.settle(120)
            tried = [seen.at for seen in rig.api.requests[1:]]
            assert all(0.8 <= later - earlier <= 1.6 for earlier, later in pairwise(tried))
            rig.api.heal()
            rig.api.fail(Answer(403, "Forbidden"))  # as a server does that has not read its roles yet
            rig.api.update(DEPLOYMENTS, D0, annotations=noted("back"))
            await rig.settle(1.6 + 1.6 + 0.1)
            assert rig.rows == {"d0": "back"}

    run_virtual(main())


def test_r18_r19_watches_that_end_at_once_take_the_backoff() -> None:
    async def main(how: str) -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.fail(Spoil(after=0, how=how), verb="watch", times=10_000)
            rig.api.cut_streams()
            await rig.settle(600)
            assert len(rig.api.requests) <= 30
            times = [seen.at for seen in rig.api.requests]
            assert max(sum(1 for at in times if start <= at < start + 60) for start in times) <= 8
            if how == "close":
                assert "short" in rig.observer.reasons("watch_ended")

    for how in ("close", "cut"):
        run_virtual(main(how))


@pytest.mark.parametrize("how", ["close", "cut"])
def test_r24_a_stream_that_was_of_use_is_gone_on_with_at_once(how: str) -> None:
    """A server ends the watch of who is too slow, and whoever waits before it asks again is slower still."""

    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            for number in range(3):
                await rig.settle(5)
                rig.api.update(DEPLOYMENTS, D0, annotations=noted(f"before {number}"))
                await rig.settle()
                rig.api.close_streams() if how == "close" else rig.api.cut_streams()
                rig.api.update(DEPLOYMENTS, D0, annotations=noted(f"after {number}"))
                await rig.settle()
                assert rig.rows["d0"] == ("after 0", "after 1", "before 2")[number], "the third in a minute waits"
            await rig.settle(1.6)
            assert rig.rows["d0"] == "after 2"

    run_virtual(main())


@pytest.mark.parametrize("lives", [0.5, 1.5, 5.0])
@pytest.mark.parametrize("with_event", [True, False])
def test_r19_watches_that_end_again_and_again_take_the_backoff_whatever_they_brought(
    lives: float, with_event: bool
) -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            for number in range(200):
                await rig.settle(lives)
                if with_event:
                    rig.api.update(DEPLOYMENTS, D0, annotations=noted(str(number)))
                rig.api.close_streams()
            times = [seen.at for seen in rig.api.requests]
            assert max(sum(1 for at in times if start <= at < start + 60) for start in times) <= 8

    run_virtual(main())


def test_h11_unknown_types_and_tables_are_counted_and_ignored() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.send("SYNCED", {"metadata": {"resourceVersion": "9999"}})
            rig.api.send("ADDED", {"kind": "Table", "metadata": {"resourceVersion": "2000"}, "rows": []})
            rig.api.create(DEPLOYMENTS, "after", annotations=noted())
            await rig.settle()
            assert rig.rows == {"d0": "0", "after": "x"}
            counts = [seen[1] for seen in rig.observer.of("events")]
            assert sum(count.get("UNKNOWN", 0) for count in counts) == 1

    run_virtual(main())


def test_s7_an_event_older_than_the_row_is_dropped_and_the_server_is_asked_again() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            stale = rig.api.snapshot()[1][DEPLOYMENTS.collection_path()][D0]
            rig.api.update(DEPLOYMENTS, D0, annotations=noted("new"))
            await rig.settle()
            rig.told  # noqa: B018 - forget them
            rig.api.send("MODIFIED", wirejson.partial(stale))
            await rig.settle()
            assert rig.told == []
            assert rig.rows == {"d0": "new"}
            assert sum(seen["stale"] for seen in rig.observer.of("suppressed")) == 1

    run_virtual(main())


def test_s1_a_new_life_under_an_old_name() -> None:
    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            rig.api.cut_streams()
            rig.api.delete(DEPLOYMENTS, D0)
            rig.api.create(DEPLOYMENTS, "d0", annotations=noted("0"))
            rig.api.compact()
            await rig.settle(20)
            assert rig.told == ["+d0!", "-d0?", "+d0"]

    run_virtual(main())


def test_a_defect_of_ours_begins_anew_instead_of_ending_the_informer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        monkeypatch.undo()
        raise RuntimeError("a defect")

    async def main() -> None:
        rig = Rig(one())
        async with rig.running():
            monkeypatch.setattr(Intake, "apply", fails)
            rig.api.create(DEPLOYMENTS, "a", annotations=noted())
            await rig.settle(5)
            assert rig.rows == {"d0": "0", "a": "x"}
            assert rig.api.requests[-1].query["resourceVersion"] == ""
            assert isinstance(rig.observer.of("attempt_failed")[0]["error"], RuntimeError)

    run_virtual(main())
