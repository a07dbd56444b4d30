"""The lookout: watches every kind that the story is about, and dates what it sees.

Contract: after `start()` every change is recorded with the moment at which its bytes arrived here. `wait` returns as
soon as what is waited for is true of what was seen; it never asks the operator, only the API server.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tools.controlplane import ApiClient, ApiFailure, ApiUnreachable
from tools.controlplane.client import Object
from tools.demo.failure import DemoFailed
from tools.demo.watching import Watch

T = TypeVar("T")

_LOOK_AROUND = 0.25
_REOPEN = 0.2


@dataclass(frozen=True, slots=True)
class Sighting:
    """One event of a watch, and when it arrived (on the monotonic clock)."""

    at: float
    kind: str
    type: str
    object: Object

    @property
    def uid(self) -> str:
        uid: str = self.object["metadata"]["uid"]
        return uid


class Lookout:
    """What was seen so far; `connect` gives a client for each thread, `alarm` a reason not to wait any longer."""

    def __init__(self, connect: Callable[[], ApiClient], *, timeout: float, alarm: Callable[[], str | None]) -> None:
        self._connect = connect
        self._timeout = timeout
        self._alarm = alarm
        self._changed = threading.Condition()
        self._sightings: list[Sighting] = []
        self._live: dict[str, dict[tuple[str, str], Object]] = {}
        self._lost = ""
        self._stopped = False

    def start(self, kind: str, *, namespace: str | None = None) -> None:
        """Begin to watch a kind; what is there already is known, but not dated."""
        client = self._connect()
        listed = client.request("GET", client.kind(kind).path(namespace=namespace))
        api_version, _, name = kind.rpartition("/")
        live = self._live.setdefault(kind, {})
        for item in listed["items"]:
            live[_key(item)] = {"apiVersion": api_version, "kind": name, **item}
        revision: str = listed["metadata"]["resourceVersion"]
        watch = Watch(client, kind, namespace=namespace, revision=revision)
        threading.Thread(
            target=self._follow, args=(client, kind, namespace, watch, revision), name=f"watch {kind}", daemon=True
        ).start()

    def stop(self) -> None:
        """Open no watch again; those that are open end with their server."""
        self._stopped = True

    # -- what was seen; call these from `wait` or accept that it changes meanwhile -----------------

    def live(self, kind: str) -> Iterator[Object]:
        """The objects of a kind as last seen."""
        return iter(tuple(self._live[kind].values()))

    def sightings(self, kind: str, *, since: float) -> Iterator[Sighting]:
        return (each for each in tuple(self._sightings) if each.kind == kind and each.at >= since)

    def saw_deleted(self, kind: str, uid: str) -> bool:
        return any(each.type == "DELETED" and each.uid == uid for each in self.sightings(kind, since=0.0))

    def wait(self, what: str, condition: Callable[[], T | None], *, state: Callable[[], str] | None = None) -> T:
        """What `condition` returns, once it is true; fails when it is not in time or the alarm goes off."""
        deadline = time.monotonic() + self._timeout
        with self._changed:
            while True:
                found = condition()
                if found:
                    return found
                left = deadline - time.monotonic()
                trouble = self._lost or self._alarm()
                if trouble or left <= 0:
                    why = trouble or f"not seen on the API server within {self._timeout:g} s"
                    seen = f"\nlast seen: {state()}" if state else ""
                    raise DemoFailed(f"{what}: {why}{seen}")
                self._changed.wait(min(left, _LOOK_AROUND))

    # -- threads -----------------------------------------------------------------------------------

    def _follow(self, client: ApiClient, kind: str, namespace: str | None, watch: Watch, revision: str) -> None:
        """Record events; a watch that ends is opened again where it ended."""
        try:
            while not self._stopped:
                try:
                    for event in watch.events():
                        arrived = time.monotonic()
                        if event["type"] == "ERROR":
                            code = int(event["object"].get("code", 500))
                            raise ApiFailure(f"watch {kind}", code, json.dumps(event["object"]).encode())
                        revision = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            self._record(Sighting(arrived, kind, event["type"], event["object"]))
                except ApiUnreachable:
                    time.sleep(_REOPEN)
                with contextlib.suppress(ApiUnreachable):  # then the old one is at its end, and we come here again
                    watch = Watch(client, kind, namespace=namespace, revision=revision)
        except ApiFailure as failure:
            with self._changed:
                self._lost = f"the demo's own watch failed: {failure}"
                self._changed.notify_all()

    def _record(self, sighting: Sighting) -> None:
        with self._changed:
            live = self._live[sighting.kind]
            if sighting.type == "DELETED":
                live.pop(_key(sighting.object), None)
            else:
                live[_key(sighting.object)] = sighting.object
            self._sightings.append(sighting)
            self._changed.notify_all()


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
