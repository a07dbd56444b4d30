"""One reconcile, on plans that a test writes down: C1, A6, A7, A10, Q10, Q12, T3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
import structlog

from controller import families as f
from controller import worker as module
from controller.applier import Applier
from controller.barrier import WriteBarrier
from controller.brake import Brake
from controller.claims import Claims
from controller.firstpass import FirstPass
from controller.machinery import Machinery
from controller.metrics import Metrics
from controller.outcomes import Outcomes
from controller.worker import QUIET_SECONDS, RECONCILE_SECONDS, Worker
from controller.workqueue import ItemState, WorkQueue
from informers.errors import TransportError
from informers.resource import ObjectKey, Resource
from reconcilers.keys import Key, ObjectRef
from reconcilers.kinds import CONFIGURATION, REPOSITORY
from reconcilers.plan import Apply, Delete, Outcome, Plan, State
from reconcilers.ports import Summary
from reconcilers.reasons import Reason
from tests.support.scripted import Asked, ScriptedTransport, failure
from tests.support.virtualtime import VirtualClock, run_virtual

KEY = Key("Deployment", "demo", "shop")
NAME = ObjectKey("demo", "deploy-shop")


def apply(resource: Resource = REPOSITORY, *, uid: str = "u1") -> Apply:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": NAME.name}}
    return Apply(resource, NAME, uid, body, "f", "nightly")


def delete() -> Delete:
    return Delete(CONFIGURATION, NAME, "u2", KEY, "t1", "nightly", moved=True)


def outcome(state: State = State.CONFIGURED) -> Outcome:
    return Outcome("nightly", state, Reason.CONFIGURED, "")


class View:
    """A view of nothing: what is planned is written down by the test."""

    served = True

    def generation_of(self, blueprint: str) -> int:
        return 1

    def blueprint(self, name: str) -> None:
        return None

    def counting(self, blueprint: str) -> Generator[None, None, Summary]:
        yield
        return Summary(matched=0, configured=0, pending=0, failures=(), secrets=())

    def target(self, key: Key) -> None:
        return None

    def available(self, kind: str) -> bool:
        return self.served

    def configurations_of(self, target: Key) -> tuple[()]:
        return ()


class Rig:
    """A worker, a server that answers as told, caches that have reached `seen`."""

    def __init__(self, plan: Plan | Callable[[], Plan]) -> None:
        self.plan = plan
        self.planned: list[float] = []
        self.seen = 10**9
        self.revision = 100
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.told: list[tuple[str, int]] = []
        self.clock = VirtualClock()
        self.metrics = Metrics(version="test")
        self.queue: WorkQueue[Key] = WorkQueue(self.clock)
        self.transport = ScriptedTransport(self._answer)
        self.worker = Worker(
            Machinery(
                queue=self.queue,
                view=cast("Any", View()),
                applier=Applier(self.transport, self.clock, most_in_flight=4),
                templates=cast("Any", None),
                claims=Claims(self.clock),
                outcomes=Outcomes(),
                first_pass=FirstPass(),
                barrier=WriteBarrier(lambda resource, namespace: self.seen),
                brake=Brake(),
                clock=self.clock,
                metrics=self.metrics,
                emit=lambda event: self.told.append((event.reason, len(self.transport.asked))),
                secrets_wanted=lambda: None,
            )
        )

    def _answer(self, asked: Asked) -> Any:
        if self.refusal is not None:
            return self.refusal
        self.revision += 1
        return 200, {"metadata": {"uid": "u1", "resourceVersion": str(self.revision)}}

    def make(self, view: object, key: Key) -> Plan:
        self.planned.append(self.clock.monotonic())
        return self.plan() if callable(self.plan) else self.plan

    def of_key(self) -> Any:
        return self.queue.item(KEY)

    def metric(self, family: f.Family, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(family.name, {"controller": "Deployment", **labels})
        return 0.0 if value is None else value

    @asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.worker.run())
        try:
            yield task
        finally:
            self.queue.shut_down()
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def rig_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Plan | Callable[[], Plan]], Rig]]:
    def make(plan: Plan | Callable[[], Plan]) -> Rig:
        rig = Rig(plan)
        monkeypatch.setattr(module, "plan_target", rig.make)
        return rig

    # What a plan that raises is told with is looked at elsewhere.
    with structlog.testing.capture_logs():
        yield make


Make = Callable[[Plan | Callable[[], Plan]], Rig]


def test_c1_a_key_is_not_planned_before_its_own_write_is_seen(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))
        rig.seen = 0
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(0.001)
            assert len(rig.planned) == 1
            rig.plan = Plan(outcomes=(outcome(),))
            rig.queue.add(KEY)
            await asyncio.sleep(20)
            assert len(rig.planned) == 1, "whatever asks for it"
            assert rig.of_key().reason == "own write not seen yet"
            rig.seen = rig.revision
            await asyncio.sleep(6)
            assert len(rig.planned) == 2

    run_virtual(main())


def test_steps_are_told_after_the_last_of_them(rig_of: Make) -> None:
    """An Event between two steps would make the second one wait at the server."""

    async def main() -> None:
        steps = (
            replace(apply(REPOSITORY), event=Reason.REPOSITORY_UPDATED),
            replace(apply(CONFIGURATION), event=Reason.CONFIGURATION_UPDATED),
        )
        subject = ObjectRef("apps/v1", KEY.kind, KEY.namespace, KEY.name, "t1")
        rig = rig_of(Plan(steps=steps, outcomes=(outcome(),), subject=subject))
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(0.001)
            assert rig.told == [("RepositoryUpdated", 2), ("BackupConfigurationUpdated", 2)]

    run_virtual(main())


def test_q12_a_reconcile_that_hangs_is_ended_counted_and_tried_again(
    rig_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))

        async def never(*_: object, **__: object) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(rig.transport, "request", never)
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(RECONCILE_SECONDS - 1)
            assert rig.of_key().state is ItemState.PROCESSING
            await asyncio.sleep(2)
            assert rig.queue.failures(KEY) == 1
            assert rig.metric(f.RECONCILE_TIMEOUTS) == 1
            assert rig.metric(f.RECONCILE_PANICS) == 0
            assert len(rig.planned) == 2

    run_virtual(main())


def test_q12_a_plan_that_raises_is_counted_and_tried_again(rig_of: Make) -> None:
    async def main() -> None:
        def broken() -> Plan:
            raise ValueError("a defect")

        rig = rig_of(broken)
        async with rig.working() as task:
            rig.queue.add(KEY)
            await asyncio.sleep(600)
            assert 5 < len(rig.planned) < 30, "again and again, with growing pauses"
            assert rig.metric(f.RECONCILE_PANICS) == len(rig.planned)
            assert rig.metric(f.RECONCILE_TIMEOUTS) == 0
            assert not task.done()
            rig.plan = Plan()
            await asyncio.sleep(600)
            assert rig.queue.failures(KEY) == 0

    run_virtual(main())


def test_q12_t3_a_cancelled_worker_ends_and_gives_its_key_back(rig_of: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))

        async def never(*_: object, **__: object) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(rig.transport, "request", never)
        async with rig.working() as task:
            rig.queue.add(KEY)
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait([task], timeout=1)
            assert task.cancelled()
            item = rig.of_key()
            assert item is None or item.state is not ItemState.PROCESSING, "done, in any case"

    run_virtual(main())


def test_q10_the_end_of_a_reconcile_decides_when_its_key_comes_back(rig_of: Make) -> None:
    async def main(
        plan: Plan, refusal: tuple[int, dict[str, Any]] | None, low: float, high: float, failures: int
    ) -> None:
        rig = rig_of(plan)
        rig.refusal = refusal
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(0.0001)
            assert rig.queue.failures(KEY) == failures
            item = rig.of_key()
            if high == 0:
                assert item is None
            else:
                assert item.state is ItemState.DELAYED
                assert low <= item.seconds <= high

    writes = Plan(steps=(apply(),), outcomes=(outcome(),), requeue_after=1.0)
    denied = failure(403, "Forbidden", 'admission webhook "x" denied the request')
    away = failure(429, "TooManyRequests")
    away[1]["details"]["retryAfterSeconds"] = 7
    cases = (
        (Plan(outcomes=(outcome(),)), None, 0.0, 0.0, 0),
        (Plan(outcomes=(outcome(),), requeue_after=5.0), None, 4.9, 5.0, 0),
        (Plan(outcomes=(outcome(State.FAILED),)), None, 119.0, 300.0, 0),
        (writes, denied, 119.0, 300.0, 0),  # hopeless until something changes: slowly
        (writes, away, 6.9, 7.1, 1),  # a failure outweighs the wish for one second
    )
    for case in cases:
        run_virtual(main(*case))


def test_q10_no_answer_is_tried_again_soon(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))
        answers = iter([TransportError("PATCH", reason="refused")] * 3)
        plain = rig._answer
        rig.transport._answer = lambda asked: next(answers, None) or plain(asked)
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(1)
            assert len(rig.planned) == 4
            assert rig.queue.failures(KEY) == 0
            assert rig.metric(f.RECONCILES, result="error") == 3

    run_virtual(main())


def test_a_write_that_fails_for_half_a_minute_is_told_and_no_sooner(rig_of: Make) -> None:
    """A server with too much to do refuses the same target several times, and a moment later no more."""

    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))
        rig.refusal = failure(429, "TooManyRequests")
        rig.refusal[1]["details"]["retryAfterSeconds"] = 1
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(QUIET_SECONDS - 5)
            assert len(rig.planned) > 5
            assert rig.worker._m.outcomes.of(KEY)[0].state is State.WAITING
            await asyncio.sleep(20)
            assert rig.worker._m.outcomes.of(KEY)[0].state is State.FAILED
            rig.refusal = None
            await asyncio.sleep(60)
            assert rig.worker._m.outcomes.of(KEY)[0].state is State.CONFIGURED

    run_virtual(main())


def test_what_is_refused_after_a_long_outage_is_not_believed_at_once(rig_of: Make) -> None:
    """A server that has just started refuses everybody; that must not cost minutes because it was away before."""

    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))
        answers: list[object] = [TransportError("PATCH", reason="refused")] * 40
        answers += [failure(403, "Forbidden", "cannot patch")] * 2
        plain = rig._answer
        rig.transport._answer = lambda asked: answers.pop(0) if answers else plain(asked)
        async with rig.working():
            rig.queue.add(KEY)
            while answers:
                assert rig.of_key() is not None
                await asyncio.sleep(1)
            await asyncio.sleep(45)
            assert rig.queue.failures(KEY) == 0
            assert rig.worker._m.outcomes.of(KEY)[0].state is State.CONFIGURED

    run_virtual(main())


def test_a10_after_a_failed_step_nothing_is_deleted(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(REPOSITORY), apply(CONFIGURATION), delete()), outcomes=(outcome(),)))
        async with rig.working():
            rig.queue.add(KEY)
            await asyncio.sleep(0.001)
            assert [asked.method for asked in rig.transport.asked] == ["PATCH", "PATCH", "DELETE"]
            assert [asked.path.rpartition("/")[0].rpartition("/")[2] for asked in rig.transport.asked[:2]] == [
                "repositories",
                "backupconfigurations",
            ]
            rig.transport.asked.clear()
            rig.refusal = failure(500, "InternalError")
            rig.queue.add(KEY)
            await asyncio.sleep(0.001)
            assert {asked.path.rpartition("/")[0].rpartition("/")[2] for asked in rig.transport.asked} == {
                "repositories"
            }, "not even the step after the failed one"

    run_virtual(main())


def test_a6_a7_who_undoes_each_write_is_left_alone_for_a_while(rig_of: Make) -> None:
    async def main() -> None:
        rig = rig_of(Plan(steps=(apply(),), outcomes=(outcome(),)))
        async with rig.working():
            for _ in range(50):
                rig.queue.add(KEY)
                await asyncio.sleep(1)
            writes = len(rig.transport.asked)
            assert writes == 6
            oscillations = rig.metrics.registry.get_sample_value(f.OSCILLATIONS.name, {"kind": REPOSITORY.kind})
            assert oscillations == 1
            assert rig.worker._m.outcomes.of(KEY)[0].reason is Reason.FIELD_CONFLICT
            rig.plan = Plan(steps=(replace(apply(), fingerprint="another"),), outcomes=(outcome(),))
            rig.queue.add(KEY)
            await asyncio.sleep(1)
            assert len(rig.transport.asked) == writes + 1, "other content passes"

    run_virtual(main())
