"""One process of the operator in a world: everything that `controller.manager` wires together, behind a wire."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from unittest import mock

import structlog

from controller import families as f
from controller.config import Settings
from controller.election import Election
from controller.fence import Fence
from controller.manager import Operator, _Readiness
from controller.metrics import Metrics
from tests.support.fakeapply import ApplyServer
from tests.support.virtualtime import VirtualClock
from tests.worlds.wire import Script, Wire

SETTINGS = Settings(leader_election="never", openshift="never", health_address=None, metrics_address=None)
_NOTHING = logging.CRITICAL


class Process:
    """A process that runs from its making until it is killed."""

    def __init__(self, server: ApplyServer, script: Script, *, who: str, seed: int = 0) -> None:
        self.who = who
        self.metrics = Metrics(version="test")
        self._wire = Wire(server, script, who=who, seed=seed)
        clock = VirtualClock(seed)
        election = Election(Fence.without_election(clock), None)
        self.readiness = _Readiness()
        self.operator = Operator(SETTINGS, election, self._wire, clock=clock, metrics=self.metrics, identity=who)
        self._task = asyncio.create_task(self._run(), name=who)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for job in self.operator.background(self.readiness):
                if job.__name__ == "watch_loop_lag":
                    job.close()  # virtual time has none
                else:
                    tasks.create_task(job)

    async def kill(self) -> None:
        """As a machine dies: nothing is finished, nothing is sent any more."""
        assert not self._task.done(), f"{self.who} ended by itself: {self._task}"
        self._wire.dead = True
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def stop(self) -> None:
        """As a pod is stopped: what is under way may finish."""
        self.readiness.stopping = True
        await self.operator.drain(SETTINGS.shutdown_grace_seconds)
        await self.kill()

    @property
    def dead(self) -> bool:
        """Whether it crashed."""
        return self._wire.dead

    @property
    def defects(self) -> float:
        """Reconciles that raised what nobody expected."""
        family = self.metrics.counter(f.RECONCILE_PANICS)
        return sum(sample.value for metric in family.collect() for sample in metric.samples)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Many processes in one: no log, and no collection of garbage at each start."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_NOTHING))
    try:
        with mock.patch.multiple("controller.memory", leave_out=mock.DEFAULT, tidy=mock.DEFAULT):
            yield
    finally:
        structlog.configure(**before)
