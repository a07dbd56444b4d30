"""What it takes to decode one watch event, in instructions of the processor: the same on every machine, however busy.

Counted by valgrind: a process that decodes the same event so many times, less one that decodes nothing. Instructions
are no time, but who needs a third of them is not slower.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from ssl import create_default_context

from bench.compare.cells import Cells, Measure
from bench.contender import ROOT
from bench.fleet import Fleet
from bench.peers.python import environment
from bench.progress import Progress
from bench.scene import Scene
from informers.protobufframes import FrameSplitter
from tools.controlplane import ControlPlane

ANNOTATED = Measure(
    "decoding", "decode-annotated", "instructions to decode an event of an object that asks for backup", ""
)
OTHER = Measure("decoding", "decode-other", "instructions to decode an event of any other object", "")
MEASURES = (ANNOTATED, OTHER)

DECODERS = {
    "json.loads": "json.loads of the whole event",
    "cut": "json.loads after cutting managedFields out",
    "ours": "ours, JSON: a look for the annotation, then the cut",
    "protobuf": "ours, protobuf: a look for the annotation, then the fields",
    "msgspec": "msgspec, typed metadata",
}
_COUNT = 2_000
_SIZE = 1
_WATCH = (
    "/apis/apps/v1/deployments?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=2"
)
_PARTIAL = ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class NotCounted(Exception):
    """valgrind did not say how many instructions there were."""


def decoding(cells: Cells, progress: Progress) -> None:
    if shutil.which("valgrind") is None:
        raise NotCounted("there is no valgrind here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _capture(folder)
        for decoder, title in DECODERS.items():
            if decoder == "msgspec" and not environment.at_hand():
                continue
            progress.detail(f"instructions for one event: {title}")
            form = "protobuf" if decoder == "protobuf" else "json"
            idle = _instructions(decoder, folder / f"{form}-0", 0)
            for asks, measure in enumerate((OTHER, ANNOTATED)):
                spent = _instructions(decoder, folder / f"{form}-{asks}", _COUNT)
                cells.add(measure.name, _SIZE, decoder, (spent - idle) / _COUNT)


def _capture(folder: Path) -> None:
    """One event of an object that asks for backup (1) and of one that does not (0), in both encodings."""
    with ControlPlane() as plane:
        Scene(plane, Fleet(2, 1)).prepare()
        lines = _read(plane, f"application/json{_PARTIAL}").splitlines()
        frames = list(FrameSplitter().feed(_read(plane, f"application/vnd.kubernetes.protobuf{_PARTIAL}")))
    for form, events in (("json", lines), ("protobuf", frames)):
        for event in events[:2]:
            asks = b"stash.appscode.com/backup-blueprint" in event
            (folder / f"{form}-{int(asks)}").write_bytes(event)


def _read(plane: ControlPlane, accept: str) -> bytes:
    headers = {"Accept": accept, "Authorization": f"Bearer {plane.users['admin'].token}"}
    request = urllib.request.Request(plane.url + _WATCH, headers=headers)
    context = create_default_context(cafile=str(plane.apiserver.ca_file))
    with urllib.request.urlopen(request, context=context) as answer:
        content: bytes = answer.read()
    return content


def _instructions(decoder: str, file: Path, count: int) -> int:
    python = str(environment.interpreter()) if decoder == "msgspec" else sys.executable
    program = [python, "-m", "bench.contenders.decoder", decoder, str(file), str(count)]
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise NotCounted(f"{decoder}: valgrind ended with {done.returncode}: {done.stderr[-800:]}")
    return int(found[1])
