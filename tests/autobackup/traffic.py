"""People at work while things break: a thread that creates, annotates, edits and deletes targets.

What it asked for and what became of that it does not remember: a server that dies leaves that open, and the oracle
reads it off the live objects afterwards. The sequence of its choices follows from the seed.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from types import TracebackType
from typing import Self

from tests.autobackup.oracle import SHORT
from tests.autobackup.stage import ANNOTATION, KINDS, Stage
from tools.controlplane import ApiFailure, ApiUnreachable, wait_for

_FREE = {"metadata": {"finalizers": None}}


class Traffic:
    """`with Traffic(stage, blueprint, seed=1) as people:` has them work until the block ends."""

    def __init__(self, stage: Stage, blueprint: str, *, seed: int, targets: int = 24, pause: float = 0.01) -> None:
        # A client of its own: the connection of another thread is not for sharing.
        client = stage.api
        self._api = type(client)(client.server, token=client.token, ca=client.ca, timeout=10.0)
        self._stage = Stage(self._api, stage.namespace)
        self._blueprint = blueprint
        self._chance = random.Random(seed)
        self._targets = targets
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="traffic", daemon=True)
        self._failure: BaseException | None = None
        self.done: Counter[str] = Counter()
        """How many requests succeeded, by kind and name of the target; edits of the blueprint under its name."""
        self.lost = 0
        """How many got no answer, or one that says that the server is not itself."""

    @property
    def total(self) -> int:
        return sum(self.done.values())

    def more(self, count: int, timeout: float = 30.0) -> None:
        """Wait until so many requests more have succeeded."""
        until = self.total + count
        wait_for(
            lambda: self.total >= until or self._failure,
            timeout,
            what=f"{count} more changes by people",
            state=lambda: {"done": self.total, "lost": self.lost},
        )

    @property
    def edits(self) -> int:
        """How often the blueprint was changed."""
        return self.done[self._blueprint]

    def stop(self) -> None:
        """Let them go home; returns when nobody changes anything any more."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the traffic did not end"
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)
        self._api.close()
        if error is None:
            self.stop()

    def _work(self) -> None:
        try:
            while not self._stop.wait(self._pause):
                self._once()
        except BaseException as failure:
            self._failure = failure

    def _once(self) -> None:
        chance = self._chance
        kind = chance.choice(list(SHORT))
        name = f"w{chance.randrange(self._targets)}"
        act = chance.choices(
            (self._create, self._annotate, self._unannotate, self._schedule, self._delete, self._edit),
            weights=(8, 6, 3, 4, 2, 1),
        )[0]
        try:
            about = act(kind, name)
        except ApiUnreachable:
            self.lost += 1
            self._stop.wait(0.2)
        except ApiFailure as failure:
            if failure.status in (404, 409):
                return  # there is no such target, or there is one already
            # A server that is starting: its roles and storage are not read yet, its kinds not known yet.
            if failure.status not in (403, 429, 500, 503, 504):
                raise
            self.lost += 1
            self._stop.wait(0.2)
        else:
            self.done[about] += 1

    def _create(self, kind: str, name: str) -> str:
        annotations = {ANNOTATION: self._blueprint} if self._chance.random() < 0.8 else {}
        self._stage.create(kind, name, annotations)
        return f"{kind}/{name}"

    def _annotate(self, kind: str, name: str) -> str:
        self._set(kind, name, ANNOTATION, self._blueprint)
        return f"{kind}/{name}"

    def _unannotate(self, kind: str, name: str) -> str:
        self._set(kind, name, ANNOTATION, None)
        return f"{kind}/{name}"

    def _schedule(self, kind: str, name: str) -> str:
        minute = self._chance.randrange(60)
        value = f"{minute} 4 * * *" if minute % 3 else None
        self._set(kind, name, "stash.appscode.com/schedule", value)
        return f"{kind}/{name}"

    def _delete(self, kind: str, name: str) -> str:
        self._stage.delete(kind, name)
        if kind == "PersistentVolumeClaim":
            # No controller is here to say that no pod uses the volume.
            self._api.patch("v1/PersistentVolumeClaim", name, _FREE, namespace=self._stage.namespace)
        return f"{kind}/{name}"

    def _edit(self, kind: str, name: str) -> str:
        self._stage.blueprint(self._blueprint, schedule=f"{self._chance.randrange(60)} 2 * * *")
        return self._blueprint

    def _set(self, kind: str, name: str, key: str, value: str | None) -> None:
        self._api.annotate(f"{KINDS[kind]}/{kind}", name, {key: value}, namespace=self._stage.namespace)
