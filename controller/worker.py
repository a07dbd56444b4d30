"""One reconcile: take a key, look, plan, write, report.

Contract: whatever happens to one key stays with that key. A plan that raises is logged with its traceback, counted and
tried again later; a write that fails is classed once (`controller.verdict`), and the class decides when the key comes
back. Planning, claiming what the plan takes and the decision to write happen without an `await` between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from controller import report
from controller.counting import count
from controller.execution import Again, Execution, fields_of, updates_in_place
from controller.machinery import Machinery
from controller.pace import SECONDS
from controller.priorities import CHILD_DRIFT, FAN_OUT
from controller.verdict import SLOW_RETRY, Class, Verdict
from controller.workqueue import ShutDown
from informers.errors import ApiError
from reconcilers import mapping
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT
from reconcilers.plan import ApplyStatus, Outcome, Plan, State
from reconcilers.reasons import Reason
from reconcilers.status import PROGRESS_SECONDS, plan_blueprint
from reconcilers.target import plan_target

RECONCILE_SECONDS = 30.0
"""Time limit of one reconcile, all its requests included."""

QUIET_SECONDS = 30.0
"""For how long writes of a target may fail before it is told: until then nobody but the operator has to do anything. A
server with too much to do may refuse the same target several times in a row, and soon no more."""

_READS = 3

_log = structlog.get_logger("reconcile")


class Worker:
    """Runs reconciles, one at a time; a process has several."""

    def __init__(self, machinery: Machinery) -> None:
        self._m = machinery
        self._execution = Execution(machinery)

    async def run(self) -> None:
        """Work until the queue is shut down."""
        while True:
            try:
                key = self._m.queue.try_get() or await self._m.queue.get()
            except ShutDown:
                return
            try:
                await self._work(key)
            finally:
                self._m.queue.done(key)

    async def _work(self, key: Key) -> None:
        m = self._m
        metrics = m.metrics.reconciles(key.kind)
        metrics.active.inc()
        started = m.clock.monotonic()
        result = "error"
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                result = await self._reconcile(key)
        except TimeoutError:
            metrics.timeouts.inc()
            _log.warning("Reconcile ran out of time", **fields_of(key), seconds=RECONCILE_SECONDS)
            m.claims.doubt(key)
            m.queue.retry(key, answered=False, reason="timeout")
        except Exception:
            metrics.panics.inc()
            _log.exception("Reconcile failed unexpectedly", **fields_of(key))
            self._record_defect(key)
            m.queue.retry(key, reason="defect")
        finally:
            metrics.active.dec()
            metrics.reconciled(result, m.clock.monotonic() - started)

    async def _reconcile(self, key: Key) -> str:
        m = self._m
        wait = m.barrier.wait(key)
        if wait:
            m.queue.requeue(key, after=wait, reason="own write not seen yet")
            return "requeue_after"
        if key.kind == BLUEPRINT.kind:
            plan, again = self._paced(plan_blueprint(await count(m.view, key.name, m.clock), key)), None
            m.secrets_wanted()
        else:
            plan, again = await self._plan_target(key)
        generation_of = {outcome.blueprint: m.view.generation_of(outcome.blueprint) for outcome in plan.outcomes}
        if again is None and plan.requeue_after is None:
            self._give_up(key, plan)
        if updates_in_place(plan):
            m.claims.release(plan.claims)
        else:
            m.claims.take(key, plan.claims)
        seen = again is None
        if again is None:
            failures, again = await self._execution.carry_out(key, plan)
        else:
            failures = {outcome.blueprint: again.verdict for outcome in plan.outcomes}
        if key.kind != BLUEPRINT.kind:
            self._report(key, plan, failures, generation_of)
        if seen and m.first_pass.looked(key):
            m.secrets_wanted()
        for event in plan.events:
            m.emit(event)
        return self._schedule(key, plan, again)

    def _give_up(self, key: Key, plan: Plan) -> None:
        """End the claims that the plan does without, and have those looked at again that they kept waiting."""
        m = self._m
        free, wait = m.claims.give_up(key, plan.claims)
        if free:
            for waiting in m.outcomes.conflicted():
                m.queue.add(waiting, priority=FAN_OUT, reason="a name or location became free")
        if wait:
            m.queue.add(key, priority=FAN_OUT, after=wait, reason="a claim in doubt")

    def _paced(self, plan: Plan) -> Plan:
        """The plan, or a later look when the status in it has been written too often lately."""
        now = self._m.clock.monotonic()
        for step in plan.steps:
            if isinstance(step, ApplyStatus) and not self._m.pace.allow(step.uid, now):
                return Plan(requeue_after=SECONDS, subject=plan.subject)
        return plan

    async def _plan_target(self, key: Key) -> tuple[Plan, Again | None]:
        """The plan of a target, with the pod template read first where it is needed."""
        m = self._m
        plan = plan_target(m.view, key)
        for _ in range(_READS):
            if not plan.needs:
                break
            for need in plan.needs:
                try:
                    found = await m.templates.read(need)
                except ApiError as error:
                    return self._unread(key, plan, self._execution.judge(key, error, created=False))
                if not found:
                    return Plan(outcomes=m.outcomes.of(key), requeue_after=1.0, subject=plan.subject), None
            plan = plan_target(m.view, key)
        return plan, None

    def _unread(self, key: Key, plan: Plan, verdict: Verdict) -> tuple[Plan, Again | None]:
        """The outcome of a target whose pod template could not be read."""
        row = self._m.view.target(key)
        known = {outcome.blueprint: outcome for outcome in self._m.outcomes.of(key)}
        names = self._m.view.blueprints_of(row) if row else ()
        waiting = {name: Outcome(name, State.WAITING, verdict.reason, verdict.message) for name in names}
        outcomes = tuple(known.get(name, waiting[name]) for name in names)
        return Plan(outcomes=outcomes, subject=plan.subject), Again(verdict)

    def _report(self, key: Key, plan: Plan, failures: dict[str, Verdict], generation_of: dict[str, int]) -> None:
        """Remember the outcomes, tell what changed, and have the blueprints count again."""
        m = self._m
        outcomes = tuple(self._after(key, outcome, failures) for outcome in plan.outcomes)
        for outcome in outcomes:
            m.metrics.resolved(outcome.state.value)
        changes, touched = m.outcomes.record(key, outcomes, generation_of.__getitem__)
        if plan.subject is not None and changes:
            known = [m.view.blueprint(change.after.blueprint) for change in changes]
            events = report.changed(
                changes,
                target=key,
                subject=plan.subject,
                wrote=bool(plan.steps),
                known=known,
                starting=m.first_pass.is_due(key),
            )
            for event in events:
                m.emit(event)
        for change in changes:
            if change.after.state is not State.CONFIGURED or (change.before and change.before.state is State.FAILED):
                _log.info(
                    "A target stands differently",
                    **fields_of(key),
                    blueprint=change.after.blueprint,
                    state=change.after.state.value,
                    reason=change.after.reason.value,
                    detail=change.after.message,
                )
        for name in map(mapping.blueprint_key, filter(None, touched)):
            m.queue.add(name, priority=CHILD_DRIFT, after=PROGRESS_SECONDS, reason="targets changed")
        if touched:
            m.secrets_wanted()

    def _after(self, key: Key, outcome: Outcome, failures: dict[str, Verdict]) -> Outcome:
        """The outcome in the light of what the API server said to the writes."""
        verdict = failures.get(outcome.blueprint)
        if verdict is None or verdict.kind is Class.QUIET:
            return outcome
        if verdict.kind is Class.TRANSIENT and self._m.queue.failing_for(key) < QUIET_SECONDS:
            known = (old for old in self._m.outcomes.of(key) if old.blueprint == outcome.blueprint)
            before = next(known, None)
            return before or replace(
                outcome, state=State.WAITING, reason=verdict.reason, message=verdict.message, warnings=()
            )
        return replace(outcome, state=State.FAILED, reason=verdict.reason, message=verdict.message, warnings=())

    def _record_defect(self, key: Key) -> None:
        row = self._m.view.target(key) if key.kind != BLUEPRINT.kind else None
        if row is None:
            return
        message = f"{key}: the operator could not work on this object; its log has the traceback"
        names = self._m.view.blueprints_of(row)
        outcomes = tuple(Outcome(name, State.FAILED, Reason.INTERNAL_ERROR, message) for name in names)
        generations = {name: self._m.view.generation_of(name) for name in names}
        self._report(key, Plan(outcomes=outcomes, subject=row.ref), {}, generations)

    def _schedule(self, key: Key, plan: Plan, again: Again | None) -> str:
        """Decide when the key comes back by itself; returns the result for the metric."""
        queue = self._m.queue
        if again is None:
            if plan.requeue_after is not None:
                queue.requeue(key, after=plan.requeue_after, reason="progress")
                return "requeue_after"
            if any(outcome.state is not State.CONFIGURED for outcome in plan.outcomes):
                # A watch wakes this key when what it waits for changes; this is for the case that nobody watches it.
                queue.requeue(key, after=self._m.clock.uniform(*SLOW_RETRY), reason="not configured")
                return "requeue_after"
            if not self._m.view.available(key.kind) and any(self._m.view.configurations_of(key)):
                # The kind is not served at present. Whether the target is gone can be told when it is served again.
                queue.requeue(key, after=self._m.clock.uniform(*SLOW_RETRY), reason="kind not served")
                return "requeue_after"
            queue.forget(key)
            if plan.due is not None:
                queue.requeue(key, after=max(1.0, plan.due), reason="due")
            return "success"
        match again.verdict.kind:
            case Class.TRANSIENT:
                verdict = again.verdict
                queue.retry(key, floor=verdict.retry_after, answered=verdict.answered, reason=verdict.reason.value)
                return "error"
            case Class.WAITING:
                queue.requeue(key, after=self._m.clock.uniform(*SLOW_RETRY), reason=again.verdict.reason.value)
                return "error"
            case Class.QUIET:
                queue.forget(key)
                return "success"


def workers(machinery: Machinery, count: int) -> Sequence[Worker]:
    return [Worker(machinery) for _ in range(count)]
