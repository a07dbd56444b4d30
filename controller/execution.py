"""Carrying out a plan: its steps in order, what each came to, and what that means for those after it.

Contract: a step of a blueprint is sent only when the ones before it succeeded, a deletion only when all did (see
`reconcilers.plan`). A request that fails is classed once (`controller.verdict`). Nothing is planned here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from controller import families as f
from controller import report
from controller.applier import Written
from controller.machinery import Machinery
from controller.priorities import CHILD_DRIFT
from controller.verdict import Class, Verdict, judge
from informers.errors import ApiError
from reconcilers.keys import Key
from reconcilers.kinds import CONFIGURATION
from reconcilers.plan import Apply, ApplyStatus, Delete, EventIntent, Plan, Step
from reconcilers.reasons import Reason

_REFUSALS = 5

_log = structlog.get_logger("reconcile")


@dataclass(frozen=True, slots=True)
class Again:
    """When a key is to be looked at again although nothing changed: after a failure, or slowly."""

    verdict: Verdict


class Execution:
    """Carries out plans."""

    def __init__(self, machinery: Machinery) -> None:
        self._m = machinery

    async def carry_out(self, key: Key, plan: Plan) -> tuple[dict[str, Verdict], Again | None]:
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
            if m.barrier.end(key, then_look=not updates_in_place(plan)):
                m.queue.add(key, priority=CHILD_DRIFT, reason="changed meanwhile")

    def judge(self, key: Key, error: ApiError, *, created: bool) -> Verdict:
        """The verdict on a failed request. That a right is missing is believed when it was said several times: a server
        that has just started refuses everybody until it has read its roles."""
        verdict = judge(error, created=created)
        if verdict.reason is Reason.FORBIDDEN and self._m.queue.refusals(key) < _REFUSALS:
            return replace(verdict, kind=Class.TRANSIENT, retry_after=1.0)
        return verdict

    async def _execute(self, key: Key, plan: Plan, told: list[EventIntent]) -> tuple[dict[str, Verdict], Again | None]:
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
        return failures, Again(gravest) if gravest else None

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
            verdict = self.judge(key, error, created=isinstance(step, Apply) and not step.uid)
            m.metrics.applied(kind, verdict.result)
            level = _log.info if verdict.kind is Class.WAITING else _log.debug
            level(
                "A write did not succeed",
                **fields_of(key),
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
                **fields_of(key),
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


def fields_of(key: Key) -> dict[str, str]:
    """What a log line about a key says of it."""
    return {"controller": key.kind.lower(), "kind": key.kind, "namespace": key.namespace, "name": key.name}


def updates_in_place(plan: Plan) -> bool:
    """Whether all names and locations that the plan takes are shown by the caches already: nothing is made, no
    Repository is changed."""
    return all(
        isinstance(step, ApplyStatus) or (isinstance(step, Apply) and bool(step.uid) and step.resource == CONFIGURATION)
        for step in plan.steps
    )
