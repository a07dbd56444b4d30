"""One reconcile: take a key, look, plan, write, report.

Contract: whatever happens to one key stays with that key. A plan that raises is logged with its traceback, counted and
tried again later; a write that fails is classed once (`controller.verdict`), and the class decides when the key comes
back. Planning, claiming what the plan takes and the decision to write happen without an `await` between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from controller import families as f
from controller import report
from controller.applier import Applier, Written
from controller.barrier import WriteBarrier
from controller.brake import Brake
from controller.caches import View
from controller.claims import Claims
from controller.metrics import Metrics
from controller.outcomes import Outcomes
from controller.pace import SECONDS, StatusPace
from controller.priorities import CHILD_DRIFT, FAN_OUT
from controller.templates import PodTemplates
from controller.verdict import SLOW_RETRY, Class, Verdict, judge
from controller.workqueue import ShutDown, WorkQueue
from informers.clock import Clock
from informers.errors import ApiError
from reconcilers import mapping
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, CONFIGURATION
from reconcilers.plan import Apply, ApplyStatus, Delete, EventIntent, Outcome, Plan, State, Step
from reconcilers.reasons import Reason
from reconcilers.status import PROGRESS_SECONDS, plan_blueprint
from reconcilers.target import plan_target

RECONCILE_SECONDS = 30.0
"""Time limit of one reconcile, all its requests included."""

_READS = 3
_QUIET_FAILURES = 3
_REFUSALS = 5

_log = structlog.get_logger("reconcile")


@dataclass(frozen=True, slots=True)
class Machinery:
    """What a worker works with."""

    queue: WorkQueue[Key]
    view: View
    applier: Applier
    templates: PodTemplates
    claims: Claims
    outcomes: Outcomes
    barrier: WriteBarrier
    brake: Brake
    clock: Clock
    metrics: Metrics
    emit: Callable[[EventIntent], None]
    secrets_wanted: Callable[[], None]
    pace: StatusPace = field(default_factory=StatusPace)


@dataclass(frozen=True, slots=True)
class _Again:
    """When a key is to be looked at again although nothing changed: after a failure, or slowly."""

    verdict: Verdict


class Worker:
    """Runs reconciles, one at a time; a process has several."""

    def __init__(self, machinery: Machinery) -> None:
        self._m = machinery

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
            _log.warning("Reconcile ran out of time", **_fields(key), seconds=RECONCILE_SECONDS)
            m.claims.doubt(key)
            m.queue.retry(key, answered=False, reason="timeout")
        except Exception:
            metrics.panics.inc()
            _log.exception("Reconcile failed unexpectedly", **_fields(key))
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
            plan, again = self._paced(plan_blueprint(m.view, key)), None
            m.secrets_wanted()
        else:
            plan, again = await self._plan_target(key)
        generation_of = {outcome.blueprint: m.view.generation_of(outcome.blueprint) for outcome in plan.outcomes}
        if again is None and plan.requeue_after is None:
            self._give_up(key, plan)
        if _updates_in_place(plan):
            m.claims.release(plan.claims)
        else:
            m.claims.take(key, plan.claims)
        if again is None:
            failures, again = await self._carry_out(key, plan)
        else:
            failures = {outcome.blueprint: again.verdict for outcome in plan.outcomes}
        if key.kind != BLUEPRINT.kind:
            self._report(key, plan, failures, generation_of)
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

    async def _plan_target(self, key: Key) -> tuple[Plan, _Again | None]:
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
                    return self._unread(key, plan, self._judge(key, error, created=False))
                if not found:
                    return Plan(outcomes=m.outcomes.of(key), requeue_after=1.0, subject=plan.subject), None
            plan = plan_target(m.view, key)
        return plan, None

    def _unread(self, key: Key, plan: Plan, verdict: Verdict) -> tuple[Plan, _Again | None]:
        """The outcome of a target whose pod template could not be read."""
        row = self._m.view.target(key)
        known = {outcome.blueprint: outcome for outcome in self._m.outcomes.of(key)}
        names = self._m.view.blueprints_of(row) if row else ()
        waiting = {name: Outcome(name, State.WAITING, verdict.reason, verdict.message) for name in names}
        outcomes = tuple(known.get(name, waiting[name]) for name in names)
        return Plan(outcomes=outcomes, subject=plan.subject), _Again(verdict)

    async def _carry_out(self, key: Key, plan: Plan) -> tuple[dict[str, Verdict], _Again | None]:
        """Run the steps of a plan, and look again if the caches show more meanwhile than what was written.

        After updates in place, what the caches show then is what the plan wanted. After anything else there is one more
        look when they have caught up: it gives back what the plan claimed.
        """
        if not plan.steps:
            return {}, None
        m = self._m
        m.barrier.begin(key)
        told: list[EventIntent] = []
        try:
            return await self._execute(key, plan, told)
        finally:
            # After the last step: an Event between two steps would make the second one wait at the server.
            for event in told:
                m.emit(event)
            if m.barrier.end(key, then_look=not _updates_in_place(plan)):
                m.queue.add(key, priority=CHILD_DRIFT, reason="changed meanwhile")

    async def _execute(self, key: Key, plan: Plan, told: list[EventIntent]) -> tuple[dict[str, Verdict], _Again | None]:
        """Run the steps of a plan. Returns the failures by blueprint and the gravest of them; what is to be told of the
        steps that succeeded is added to `told`."""
        failures: dict[str, Verdict] = {}
        for step in plan.steps:
            blueprint = "" if isinstance(step, ApplyStatus) else step.blueprint
            if blueprint in failures or (isinstance(step, Delete) and failures):
                continue
            verdict = await self._run(key, step, plan, told)
            if verdict is not None:
                failures[blueprint] = verdict
        if any(verdict.kind is Class.TRANSIENT for verdict in failures.values()):
            self._m.claims.doubt(key)
        refused = {f"blueprint {name}" for name, verdict in failures.items() if verdict.kind is not Class.TRANSIENT}
        if refused:
            self._m.claims.release([claim for claim in plan.claims if claim.owner.endswith(tuple(refused))])
        gravest = max(failures.values(), key=lambda verdict: verdict.kind is Class.TRANSIENT, default=None)
        return failures, _Again(gravest) if gravest else None

    async def _run(self, key: Key, step: Step, plan: Plan, told: list[EventIntent]) -> Verdict | None:
        """Send one step; the verdict when it failed."""
        m = self._m
        kind = step.resource.kind
        braked = self._braked(step)
        if braked:
            m.metrics.applied(kind, "conflict")
            return braked
        started = m.clock.monotonic()
        try:
            written = await self._send(step)
        except ApiError as error:
            verdict = self._judge(key, error, created=isinstance(step, Apply) and not step.uid)
            m.metrics.applied(kind, verdict.result)
            level = _log.info if verdict.kind is Class.WAITING else _log.debug
            level(
                "A write did not succeed",
                **_fields(key),
                step=type(step).__name__.lower(),
                object=f"{kind} {step.key.namespace}/{step.key.name}",
                reason=verdict.reason.value,
                err=verdict.message,
            )
            return verdict
        if written is None:
            return None
        m.queue.wrote(key, m.clock.monotonic() - started)
        m.metrics.applied(kind, "applied")
        m.barrier.wrote(key, written)
        if isinstance(step, Apply) and step.uid and m.brake.wrote(step.uid, step.fingerprint, m.clock.monotonic()):
            m.metrics.counter(f.OSCILLATIONS).labels(kind).inc()
        if not isinstance(step, ApplyStatus):
            _log.info(
                "Wrote an object",
                **_fields(key),
                step=type(step).__name__.lower(),
                object=f"{kind} {step.key.namespace}/{step.key.name}",
                blueprint=step.blueprint,
                why=m.queue.reason(key),
            )
            subject = plan.subject or written.target
            event = report.written(step, written.uid, subject) if subject else None
            if event:
                told.append(event)
        return None

    def _judge(self, key: Key, error: ApiError, *, created: bool) -> Verdict:
        """The verdict on a failed request. That a right is missing is believed when it was said several times: a server
        that has just started refuses everybody until it has read its roles."""
        verdict = judge(error, created=created)
        if verdict.reason is Reason.FORBIDDEN and self._m.queue.refusals(key) < _REFUSALS:
            return replace(verdict, kind=Class.TRANSIENT, retry_after=1.0)
        return verdict

    async def _send(self, step: Step) -> Written | None:
        match step:
            case Apply():
                return await self._m.applier.apply(step)
            case Delete():
                return await self._m.applier.delete(step)
            case ApplyStatus():
                return await self._m.applier.apply_status(step)

    def _braked(self, step: Step) -> Verdict | None:
        """A verdict when this very write was sent too often lately: somebody undoes it each time."""
        if not isinstance(step, Apply) or not step.uid:
            return None
        if self._m.brake.allow(step.uid, step.fingerprint, self._m.clock.monotonic()):
            return None
        what = f"{step.resource.kind} {step.key.namespace}/{step.key.name}"
        return Verdict(
            Class.WAITING,
            Reason.FIELD_CONFLICT,
            f"{what}: somebody keeps undoing our changes; left alone for five minutes. Its managedFields say who",
            "conflict",
        )

    def _report(self, key: Key, plan: Plan, failures: dict[str, Verdict], generation_of: dict[str, int]) -> None:
        """Remember the outcomes, tell what changed, and have the blueprints count again."""
        m = self._m
        outcomes = tuple(self._after(key, outcome, failures) for outcome in plan.outcomes)
        for outcome in outcomes:
            m.metrics.resolved(outcome.state.value)
        changes, touched = m.outcomes.record(key, outcomes, generation_of.__getitem__)
        if plan.subject is not None and changes:
            known = [m.view.blueprint(change.after.blueprint) for change in changes]
            for event in report.changed(changes, target=key, subject=plan.subject, wrote=bool(plan.steps), known=known):
                m.emit(event)
        for change in changes:
            if change.after.state is not State.CONFIGURED or (change.before and change.before.state is State.FAILED):
                _log.info(
                    "A target stands differently",
                    **_fields(key),
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
        if verdict.kind is Class.TRANSIENT and self._m.queue.failures(key) < _QUIET_FAILURES:
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

    def _schedule(self, key: Key, plan: Plan, again: _Again | None) -> str:
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


def _fields(key: Key) -> dict[str, str]:
    return {"controller": key.kind.lower(), "kind": key.kind, "namespace": key.namespace, "name": key.name}


def _updates_in_place(plan: Plan) -> bool:
    """Whether all names and locations that the plan takes are shown by the caches already: nothing is made, no
    Repository is changed."""
    return all(
        isinstance(step, ApplyStatus) or (isinstance(step, Apply) and bool(step.uid) and step.resource == CONFIGURATION)
        for step in plan.steps
    )


def workers(machinery: Machinery, count: int) -> Sequence[Worker]:
    return [Worker(machinery) for _ in range(count)]
