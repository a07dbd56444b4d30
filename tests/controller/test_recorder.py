"""Events: never in the way, told once, bounded, and in the form that a real API server accepts."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.recorder import (
    ATTEMPTS,
    BURST,
    CONTROLLER,
    FOUND,
    REFILL_SECONDS,
    REFUSALS,
    SAME_SECONDS,
    EventRecorder,
)
from informers.clock import RealClock
from informers.credentials import load as load_credentials
from informers.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, ServerError, TransportError
from informers.http import AiohttpTransport
from reconcilers.keys import ObjectRef
from reconcilers.plan import EventIntent
from tests.support.scripted import ScriptedTransport, made
from tests.support.virtualtime import LoopClock, run_scenario
from tools.controlplane import ApiClient

WEB = ObjectRef("apps/v1", "Deployment", "shop", "web", "uid-web")
BLUEPRINT = ObjectRef("stash.appscode.com/v1beta1", "BackupBlueprint", "", "gold", "uid-gold")


def intent(note: str = "Made the Repository", *, about: ObjectRef = WEB, reason: str = "Configured") -> EventIntent:
    return EventIntent(regarding=about, type="Normal", reason=reason, action="Resolve", note=note)


@dataclass
class Rig:
    """`errors` is what the server says next, before it lets everything pass."""

    clock: LoopClock
    server: ScriptedTransport
    recorder: EventRecorder
    drops: Counter[str]
    errors: list[ApiError]

    @property
    def notes(self) -> list[str]:
        return [asked.body["note"] for asked in self.server.asked]

    @property
    def methods(self) -> list[str]:
        return [asked.method for asked in self.server.asked]


def with_rig(scenario: Callable[[Rig], Any], *answers: ApiError, capacity: int = 100, seconds: float = 0.0) -> None:
    async def main(clock: LoopClock) -> None:
        errors = list(answers)
        server = ScriptedTransport(lambda asked: errors.pop(0) if errors else made(asked), seconds=seconds)
        drops: Counter[str] = Counter()

        def dropped(reason: str) -> None:
            drops[reason] += 1

        recorder = EventRecorder(server, clock, identity="host-1", dropped=dropped, capacity=capacity)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(recorder.run())
            await scenario(Rig(clock, server, recorder, drops, errors))
            task.cancel()

    run_scenario(main)


def test_an_event_has_all_that_the_server_asks_for() -> None:
    async def scenario(rig: Rig) -> None:
        related = ObjectRef("stash.appscode.com/v1alpha1", "Repository", "shop", "deploy-web")
        rig.recorder.emit(EventIntent(WEB, "Warning", "NameConflict", "Apply", "It is not ours", related))
        assert await rig.recorder.flush(5)
        (asked,) = rig.server.asked
        assert (asked.method, asked.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/shop/events")
        assert asked.content_type == "application/json"
        body = asked.body
        metadata = body.pop("metadata")
        assert metadata["namespace"] == "shop"
        assert re.fullmatch(r"web\.[0-9a-f]{16}", metadata["name"])
        assert body == {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingController": CONTROLLER,
            "reportingInstance": "host-1",
            "action": "Apply",
            "reason": "NameConflict",
            "type": "Warning",
            "note": "It is not ours",
            "regarding": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": "shop",
                "name": "web",
                "uid": "uid-web",
            },
            "related": {
                "apiVersion": "stash.appscode.com/v1alpha1",
                "kind": "Repository",
                "namespace": "shop",
                "name": "deploy-web",
            },
        }

    with_rig(scenario)


def test_events_of_cluster_scoped_objects_live_in_default() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent(about=BLUEPRINT))
        await rig.recorder.flush(5)
        (asked,) = rig.server.asked
        assert asked.path == "/apis/events.k8s.io/v1/namespaces/default/events"
        assert asked.body["metadata"]["namespace"] == "default"
        assert "namespace" not in asked.body["regarding"]

    with_rig(scenario)


def test_the_same_event_is_one_object_with_a_count() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        await rig.clock.sleep(5)
        rig.recorder.emit(intent())
        rig.recorder.emit(intent())  # before the second is written: told with it
        await rig.recorder.flush(5)
        (post, patch) = rig.server.asked
        assert "series" not in post.body
        assert patch.method == "PATCH"
        assert patch.path == f"{post.path}/{post.body['metadata']['name']}"
        assert patch.content_type == "application/merge-patch+json"
        assert patch.body == {"series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}}

    with_rig(scenario)


def test_repeats_before_the_first_is_written_are_counted_in_it() -> None:
    async def scenario(rig: Rig) -> None:
        for _ in range(3):
            rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        (asked,) = rig.server.asked
        assert asked.body["series"]["count"] == 3

    with_rig(scenario)


def test_after_a_while_the_same_event_is_a_new_one() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        await rig.clock.sleep(SAME_SECONDS + 1)
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        assert rig.methods == ["POST", "POST"]

    with_rig(scenario)


def test_what_a_start_finds_is_not_written_where_it_is_there_already() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(replace(intent(), found=True))
        await rig.recorder.flush(5)
        assert rig.methods == ["POST"]
        assert not rig.drops
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        assert rig.methods == ["POST", "PATCH"], "that it happens again is told"

    with_rig(scenario, Conflict("POST", status=409, reason="AlreadyExists"))


def test_what_happens_again_is_told_although_somebody_said_it_before() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        rig.recorder.emit(intent("Another note"))
        await rig.recorder.flush(5)
        first, again, other = (asked.body["metadata"]["name"] for asked in rig.server.asked)
        assert len({first, again, other}) == 3
        assert not rig.drops

    with_rig(scenario, Conflict("POST", status=409, reason="AlreadyExists"))


def test_events_that_say_the_same_have_the_same_name_in_every_process() -> None:
    names = []

    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        names.append(rig.server.asked[0].body["metadata"]["name"])

    with_rig(scenario)
    with_rig(scenario)
    assert names[0] == names[1]


def test_of_what_a_start_finds_so_many_are_told_for_each_reason() -> None:
    async def scenario(rig: Rig) -> None:
        for number in range(FOUND + 50):
            about = replace(WEB, name=f"web{number}", uid=f"uid-{number}")
            rig.recorder.emit(replace(intent(about=about), found=True))
        rig.recorder.emit(replace(intent(reason="Other"), found=True))
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        assert len(rig.server.asked) == FOUND + 2
        assert rig.drops == {"rate": 50}

    with_rig(scenario, capacity=1000)


def test_each_object_and_reason_has_a_budget() -> None:
    async def scenario(rig: Rig) -> None:
        for number in range(BURST + 10):
            rig.recorder.emit(intent(f"note {number}"))
        rig.recorder.emit(intent(reason="Other"))
        rig.recorder.emit(intent(about=BLUEPRINT))
        await rig.recorder.flush(5)
        assert len(rig.server.asked) == BURST + 2
        assert rig.drops == {"rate": 10}
        await rig.clock.sleep(REFILL_SECONDS)
        rig.recorder.emit(intent("later"))
        rig.recorder.emit(intent("too soon"))
        await rig.recorder.flush(5)
        assert len(rig.server.asked) == BURST + 3

    with_rig(scenario)


def test_a_full_queue_loses_the_oldest_and_counts_it() -> None:
    async def scenario(rig: Rig) -> None:
        for number in range(5):
            rig.recorder.emit(intent(str(number), reason=f"Reason{number}"))
        await rig.recorder.flush(5)
        assert rig.notes == ["2", "3", "4"]
        assert rig.drops == {"overflow": 2}
        rig.recorder.emit(intent("0", reason="Reason0"))  # it never was written, so it is not a repetition
        await rig.recorder.flush(5)
        assert rig.methods[-1] == "POST"

    with_rig(scenario, capacity=3)


def test_a_server_that_comes_back_gets_the_event() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        assert await rig.recorder.flush(30)
        assert len(rig.server.asked) == 3
        assert len({asked.body["metadata"]["name"] for asked in rig.server.asked}) == 1
        assert not rig.drops

    with_rig(scenario, TransportError("POST"), ServerError("POST", status=503, retry_after=2.0))


def test_a_server_that_stays_away_does_not_hold_up_the_next_event() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent("first"))
        rig.recorder.emit(intent("second"))
        with capture_logs() as told:
            assert await rig.recorder.flush(30)
        assert rig.notes == ["first"] * ATTEMPTS + ["second"]
        assert rig.drops == {"failed": 1}
        assert [line["event"] for line in told] == ["Gave up an Event"]

    with_rig(scenario, *(TransportError("POST") for _ in range(ATTEMPTS)))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (NotFound("POST", status=404, message="namespaces not found"), 0),
        (Forbidden("POST", status=403, causes=({"reason": "NamespaceTerminating"},)), 0),
        (Invalid("POST", status=422), 1),
    ],
)
def test_a_refusal_is_final_and_told_once_unless_the_namespace_goes(answer: ApiError, told: int) -> None:
    async def scenario(rig: Rig) -> None:
        with capture_logs() as lines:
            for note in ("one", "two"):
                rig.errors.append(answer)
                rig.recorder.emit(intent(note))
                assert await rig.recorder.flush(5)
        assert len(rig.server.asked) == 2
        assert rig.drops == {"refused": 2}
        assert len(lines) == told

    with_rig(scenario)


def test_a_missing_right_is_believed_when_it_was_said_several_times() -> None:
    forbidden = Forbidden("POST", status=403, message="no right")

    async def scenario(rig: Rig) -> None:
        with capture_logs() as lines:
            rig.errors += [forbidden] * (REFUSALS - 1)
            rig.recorder.emit(intent("told when the server has read its roles"))
            assert await rig.recorder.flush(60)
            assert not rig.drops
            assert lines == []
            rig.errors += [forbidden] * REFUSALS
            rig.recorder.emit(intent("refused"))
            assert await rig.recorder.flush(60)
            assert rig.drops == {"refused": 1}
            before = len(rig.server.asked)
            rig.errors += [forbidden]
            rig.recorder.emit(intent("refused at once"))
            assert await rig.recorder.flush(0.1)
            assert len(rig.server.asked) == before + 1
            assert [line["event"] for line in lines] == ["Events are refused"]
            rig.errors += [forbidden]
            rig.recorder.emit(intent("elsewhere", about=BLUEPRINT))
            assert await rig.recorder.flush(60)
            assert rig.drops == {"refused": 2}

    with_rig(scenario)


def test_a_conflict_after_a_lost_answer_is_a_success() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        assert not rig.drops
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        assert rig.methods == ["POST", "POST", "PATCH"]

    with_rig(scenario, TransportError("POST"), Conflict("POST", status=409, reason="AlreadyExists"))


def test_an_event_that_expired_on_the_server_is_made_anew() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        rig.errors.append(NotFound("PATCH", status=404))
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        rig.recorder.emit(intent())
        await rig.recorder.flush(5)
        assert rig.methods == ["POST", "PATCH", "POST"]

    with_rig(scenario)


def test_flush_gives_up_in_time_and_counts_what_is_left() -> None:
    async def scenario(rig: Rig) -> None:
        for number in range(4):
            rig.recorder.emit(intent(str(number)))
        started = rig.clock.monotonic()
        assert await rig.recorder.flush(3.0) is False
        assert rig.clock.monotonic() - started == pytest.approx(3.0)
        assert rig.drops == {"shutdown": 2}

    with_rig(scenario, seconds=2.0)


@pytest.mark.parametrize("char", ["a", "é", "€", "𝄞"])
def test_notes_are_cut_at_the_servers_limit_of_bytes(char: str) -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent(char * 2000))
        rig.recorder.emit(intent("short", reason=char * 2000))
        rig.recorder.emit(intent("lone \ud800 surrogate"))
        await rig.recorder.flush(5)
        long, reason, lone = (asked.body for asked in rig.server.asked)
        assert 1020 < len(long["note"].encode()) <= 1024
        assert len(reason["reason"].encode()) <= 128
        assert lone["note"] == "lone ? surrogate"

    with_rig(scenario)


def test_a_note_never_carries_a_credential() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent("rest:https://user:c4n4ry@host/path is not a location"))
        await rig.recorder.flush(5)
        assert "c4n4ry" not in repr(rig.server.asked)

    with_rig(scenario)


def test_long_names_leave_room_for_what_makes_them_unique() -> None:
    async def scenario(rig: Rig) -> None:
        rig.recorder.emit(intent(about=ObjectRef("v1", "PersistentVolumeClaim", "shop", "x." * 126 + "y", "u")))
        await rig.recorder.flush(5)
        name = rig.server.asked[0].body["metadata"]["name"]
        assert len(name) <= 253
        assert ".." not in name

    with_rig(scenario)


async def test_a_real_server_accepts_events_and_their_series(api: ApiClient, kubeconfig: Path, namespace: str) -> None:
    clock = RealClock()
    drops: list[str] = []
    transport = AiohttpTransport(load_credentials(str(kubeconfig), None, clock=clock), user_agent="test", clock=clock)
    recorder = EventRecorder(transport, clock, identity="x" * 200, dropped=drops.append)
    web = ObjectRef("apps/v1", "Deployment", namespace, "web", "2b1d9c4e-0000-0000-0000-000000000000")
    blueprint = ObjectRef("stash.appscode.com/v1beta1", "BackupBlueprint", "", namespace, "uid-gold")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        recorder.emit(EventIntent(web, "Normal", "Configured", "Resolve", "€" * 2000, blueprint))
        recorder.emit(EventIntent(blueprint, "Warning", "UnknownVariable", "Resolve", "${X} is unknown", web))
        recorder.emit(EventIntent(web, "Normal", "R" * 300, "A" * 300, "Long words"))
        assert await recorder.flush(20)
        recorder.emit(EventIntent(web, "Normal", "Configured", "Resolve", "€" * 2000, blueprint))
        assert await recorder.flush(20)
        gone = ObjectRef("apps/v1", "Deployment", f"{namespace}-gone", "web", "u")
        recorder.emit(EventIntent(gone, "Normal", "Configured", "Resolve", "Nobody reads this"))
        with capture_logs() as told:
            assert await recorder.flush(20)
        task.cancel()
    await transport.close()
    events = {event["reason"]: event for event in api.list("events.k8s.io/v1/Event", namespace=namespace)}
    assert events["Configured"]["series"]["count"] == 2
    assert events["Configured"]["regarding"]["uid"] == web.uid
    assert events["Configured"]["related"]["kind"] == "BackupBlueprint"
    assert set(events) == {"Configured", "R" * 125 + "..."}
    about_blueprint = api.list("events.k8s.io/v1/Event", namespace="default", fields=f"regarding.name={namespace}")
    assert [event["reason"] for event in about_blueprint] == ["UnknownVariable"]
    assert drops == ["refused"]
    assert told == []


async def test_a_real_namespace_that_is_going_refuses_quietly(api: ApiClient, kubeconfig: Path, namespace: str) -> None:
    # There is no namespace controller here, so a deleted namespace stays in Terminating.
    api.delete("v1/Namespace", namespace)
    clock = RealClock()
    drops: list[str] = []
    transport = AiohttpTransport(load_credentials(str(kubeconfig), None, clock=clock), user_agent="test", clock=clock)
    recorder = EventRecorder(transport, clock, identity="host", dropped=drops.append)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.run())
        recorder.emit(intent(about=ObjectRef("apps/v1", "Deployment", namespace, "web", "u")))
        with capture_logs() as told:
            assert await recorder.flush(20)
        task.cancel()
    await transport.close()
    assert drops == ["refused"]
    assert told == []
