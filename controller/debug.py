"""What the operator knows and is about to do, as JSON for people who look for a fault.

Contract: nothing here changes anything but the log level, and nothing is asked of the API server. The keys are stable:
a script may rely on them. `plan` is the plan that a worker would make for this key now, from the same cached state, and
is not carried out.

No Secret is in any of it, because the operator holds none. Blueprints, errors and names of objects are: whoever serves
this on an address that others reach puts a guard before it (see `controller.access`).

Source of the idea: etcd's and controller-runtime's debug handlers, Istio's `debug/` pages.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Final

from aiohttp import web

from controller.caches import View
from controller.counting import count
from controller.entries import QueueItem
from controller.logs import LEVELS, Logs
from controller.redaction import redact
from controller.workqueue import WorkQueue
from informers import InformerStatus
from informers.clock import Clock
from informers.resource import ObjectKey, Resource
from reconcilers.keys import Key
from reconcilers.kinds import BLUEPRINT, TARGETS
from reconcilers.plan import Apply, Outcome, Plan, Step
from reconcilers.status import plan_blueprint
from reconcilers.target import plan_target

MOST_ITEMS: Final = 1000

Json = dict[str, Any]


class Debug:
    """The pages, as data."""

    def __init__(
        self,
        *,
        informers: Callable[[], Collection[InformerStatus]],
        queue: WorkQueue[Key],
        view: View,
        recorded: Callable[[Key], tuple[Outcome, ...]],
        clock: Clock,
    ) -> None:
        self._informers = informers
        self._queue = queue
        self._view = view
        self._recorded = recorded
        self._clock = clock

    def informers(self) -> Json:
        """Each cache: how far it follows the API server, and how stale it may be."""
        now = self._clock.monotonic()
        return {"informers": [_informer(status, now) for status in self._informers()]}

    def queue(self, most: int = MOST_ITEMS) -> Json:
        """The work queue: what is processed, what is next, what waits and why."""
        counts = {state.value: count for state, count in self._queue.states().items()}
        return {
            "total": sum(counts.values()),
            "states": counts,
            "ready": {str(priority): count for priority, count in self._queue.depth().items()},
            "items": [_item(item) for item in self._queue.items(most)],
        }

    async def plan(self, key: Key) -> Json:
        """What would be done about one key now, and what came of the last look at it."""
        if key.kind == BLUEPRINT.kind:
            counted = await count(self._view, key.name, self._clock)
            known, plan = counted.row is not None, plan_blueprint(counted, key)
        else:
            known, plan = self._view.target(key) is not None, plan_target(self._view, key)
        item = self._queue.item(key)
        return {
            "key": key._asdict(),
            "inCache": known,
            "queued": None if item is None else _item(item),
            "recorded": [_plain(outcome) for outcome in self._recorded(key)],
            **_plan(plan),
        }


def add_debug(application: web.Application, debug: Debug, logs: Logs) -> None:
    """Serve the pages below `/debug/`."""

    async def informers(_request: web.Request) -> web.Response:
        return _answer(debug.informers())

    async def queue(request: web.Request) -> web.Response:
        most = request.query.get("limit", str(MOST_ITEMS))
        if not most.isascii() or not most.isdigit() or len(most) > 6:
            return _refusal(f"limit: {most[:40]!r} is not a number")
        return _answer(debug.queue(int(most)))

    async def plan(request: web.Request) -> web.Response:
        kind, name = request.query.get("kind", ""), request.query.get("name", "")
        namespace = request.query.get("namespace", "")
        known = (BLUEPRINT.kind, *TARGETS)
        if kind not in known:
            return _refusal(f"kind: {kind[:80]!r} is none that is reconciled; known: {', '.join(known)}")
        if not name or (kind == BLUEPRINT.kind) == bool(namespace):
            return _refusal("give name, and namespace but for a BackupBlueprint, which has none")
        try:
            return _answer(await debug.plan(Key(kind, namespace, name)))
        except Exception as error:  # the defect that makes this key fail is what somebody is looking for
            return _answer({"error": f"planning failed: {error!r}"}, status=500)

    async def level(request: web.Request) -> web.Response:
        if request.method == "PUT":
            try:
                wanted = json.loads(await request.text() or "null")
                logs.set_level(wanted["level"])
            except (ValueError, TypeError, KeyError):
                return _refusal(f'the body has to be {{"level": "..."}} with one of {", ".join(LEVELS)}')
        return _answer({"level": logs.level})

    application.router.add_get("/debug/informers", informers)
    application.router.add_get("/debug/queue", queue)
    application.router.add_get("/debug/plan", plan)
    application.router.add_get("/debug/loglevel", level)
    application.router.add_put("/debug/loglevel", level)


def _answer(document: Json, *, status: int = 200) -> web.Response:
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return web.Response(
        text=text, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _refusal(text: str) -> web.Response:
    return _answer({"error": text}, status=400)


def _informer(status: InformerStatus, now: float) -> Json:
    return {
        "resource": str(status.resource),
        "kind": status.resource.kind,
        "name": status.name,
        "namespaces": [namespace for namespace in status.namespaces if namespace],
        "synced": status.synced,
        "available": status.available,
        "state": status.state,
        "rows": status.rows,
        "resourceVersion": str(status.last_sync_rv),
        "secondsSinceEvent": _since(status.last_event_at, now),
        "secondsSinceBookmark": _since(status.last_bookmark_at, now),
        "relists": status.relists,
        "undecodable": status.undecodable,
        "lastError": redact("err", status.last_error),
    }


def _since(moment: float | None, now: float) -> float | None:
    return None if moment is None else round(now - moment, 3)


def _item(item: QueueItem[Key]) -> Json:
    return {
        **item.key._asdict(),
        "state": item.state.value,
        "priority": item.priority,
        "reason": item.reason,
        "seconds": round(item.seconds, 3),
        "failures": item.failures,
    }


def _plan(plan: Plan) -> Json:
    return {
        "needs": [{"read": "pod template", **_plain(need)} for need in plan.needs],
        "steps": [_step(step) for step in plan.steps],
        "outcomes": [_plain(outcome) for outcome in plan.outcomes],
        "events": [_plain(event) for event in plan.events],
        "claims": [_plain(claim) for claim in plan.claims],
        "requeueAfter": plan.requeue_after,
    }


def _step(step: Step) -> Json:
    found = {"step": type(step).__name__, **_plain(step)}
    if isinstance(step, Apply):
        found["force"] = step.force
    return found


def _plain(value: Any) -> Any:
    """Data of the reconcilers as JSON: fields in camelCase, keys and kinds as what they are called."""
    if isinstance(value, Resource):
        return {"apiVersion": value.api_version, "kind": value.kind}
    if isinstance(value, Key | ObjectKey):
        return value._asdict()
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {_camel(field.name): _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
