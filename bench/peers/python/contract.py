"""What a contestant and the benchmark say to each other: one line of JSON after the other.

The contestant says `ready` once, when it has every object. Then it reads lines from standard input: `expect VALUE` arms
it (it answers `armed`, and `seen` once the marker object carries VALUE), `collect` has it give back what memory it can
(`collected`), and the end of the input ends it. Times of the CPU are those of the process. The same contract in Go is
in bench/peers/go/contract.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, process_time, time
from typing import Any

from bench import stalls

ANNOTATION = "stash.appscode.com/backup-blueprint"
MARKER = "marker"


def arguments() -> argparse.Namespace:
    """What every contestant is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", default="", help="only this namespace")
    parser.add_argument("--objects", type=int, default=0, help="how many there are, for who cannot tell a list's end")
    parser.add_argument("--stalls", default="", help="a file for the longest stall of the event loop")
    given = parser.parse_args()
    if given.stalls:
        stalls.install(Path(given.stalls))
    return given


class Contract:
    """One contestant's side of the conversation. Make it when the clients are made, before the first request."""

    def __init__(self) -> None:
        self._started, self._spent = perf_counter(), process_time()
        self._events = 0
        self._expected = ""
        self._armed = 0.0

    def ready(self, objects: int) -> None:
        """Every object is there; from now on commands are obeyed."""
        seconds, spent = perf_counter() - self._started, process_time() - self._spent
        _say("ready", seconds=seconds, cpu_seconds=spent, objects=objects)
        threading.Thread(target=self._obey, name="contract", daemon=True).start()

    def event(self, name: str, annotations: Mapping[str, str] | None) -> None:
        """A handler was called with this object."""
        self._events += 1
        if name == MARKER and self._expected and (annotations or {}).get(ANNOTATION) == self._expected:
            self._expected = ""
            _say("seen", at=time(), cpu_seconds=process_time() - self._armed, events=self._events)

    def _obey(self) -> None:
        for line in sys.stdin:
            command, _, value = line.strip().partition(" ")
            if command == "expect":
                self._events, self._armed, self._expected = 0, process_time(), value
                _say("armed")
            elif command == "collect":
                gc.collect()
                # What the allocator keeps for later is no memory of the cache; Go's side gives it back likewise.
                ctypes.CDLL(None).malloc_trim(0)
                _say("collected")
        os._exit(0)


def _say(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()
