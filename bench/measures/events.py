"""What the objects and events of a real API server cost a client when there are many more of them: sent again.

A kube-apiserver on the same machine writes one or two thousand events a second, which is too slow to keep a client
busy, and each of them then costs a turn of the event loop. So the streaming list of the fleet is read once, and a small
server of ours sends its events again as changes with rising versions, as fast as they are read. In the same way a fleet
becomes one of a hundred thousand, which would take minutes to make.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl

from bench.contender import ROOT, python
from bench.contenders.frames import NAME, UID, VERSION, changed
from bench.contenders.stream import ACCEPT, END, PATH, QUERY
from bench.figures import Figure, Goal
from bench.fleet import ANNOTATION
from bench.progress import Progress
from bench.scene import Scene
from informers import AiohttpTransport, load_credentials
from informers.protobufframes import FrameSplitter

EVENTS = 20_000
EVENT_US = Goal(15.0)
OBJECTS, ONE_IN = 100_000, 5
STALL_MS = Goal(20.0)
_FIRST = 10_000_000


def events(scene: Scene, progress: Progress, *, rounds: int) -> list[Figure]:
    progress.step(f"CPU of {EVENTS} watch events")
    frames = asyncio.run(_frames(scene))
    file = scene.plane.folder / "events"
    with file.open("wb") as out:
        for number in range(EVENTS):
            out.write(changed(frames[number % len(frames)], "MODIFIED", {VERSION: str(_FIRST + number)}))
    spent: dict[str, list[float]] = {"informer": [], "discard": []}
    with _replay(scene, file, "changes") as url:
        kubeconfig = str(scene.plane.kubeconfig("operator", server=url))
        for turn in range(rounds):
            for what, samples in spent.items():
                said = python("events", kubeconfig, what, str(_FIRST + EVENTS - 1))
                samples.append(said["cpu_seconds"] / EVENTS * 1e6)
            progress.count(turn + 1, rounds)
    size = file.stat().st_size / EVENTS
    file.unlink()
    return [
        Figure("events", "size", "one watch event of a Deployment, as metadata", "B", (size,)),
        Figure("events", "cpu", "CPU per watch event, our informer", "µs", tuple(spent["informer"]), goal=EVENT_US),
        Figure("events", "transport", "of which TLS, HTTP and reading", "µs", tuple(spent["discard"])),
    ]


def many_objects(scene: Scene, progress: Progress, *, rounds: int, objects: int = OBJECTS) -> list[Figure]:
    """The longest turn of the event loop while so many are read for the first time, every fifth of them stored."""
    progress.step(f"longest stall of the event loop with {objects} objects")
    frames = asyncio.run(_frames(scene))
    asking = [frame for frame in frames if ANNOTATION.encode() in frame]
    others = [frame for frame in frames if ANNOTATION.encode() not in frame] or asking
    file = scene.plane.folder / "objects"
    with file.open("wb") as out:
        for number in range(objects):
            chosen = others if number % ONE_IN else asking
            texts = {NAME: f"svc-{number:06}", UID: f"{number:032}"}
            out.write(changed(chosen[number % len(chosen)], "ADDED", texts))
    with _replay(scene, file, "list") as url:
        kubeconfig = str(scene.plane.kubeconfig("operator", server=url))
        said = [python("informer", kubeconfig, "stall") for _ in range(rounds)]
    file.unlink()
    title = f"longest stall of the loop, cold sync of {objects} objects, {said[0]['rows']} of them stored"
    return [
        Figure(
            "many",
            "seconds",
            f"cold sync of {objects} objects, sent again",
            "s",
            tuple(each["seconds"] for each in said),
        ),
        Figure("many", "wall", title, "ms", tuple(each["stall_seconds"] * 1e3 for each in said)),
        Figure(
            "many", "cpu", f"{title}, CPU", "ms", tuple(each["stall_cpu_seconds"] * 1e3 for each in said), goal=STALL_MS
        ),
    ]


async def _frames(scene: Scene) -> list[bytes]:
    transport = AiohttpTransport(load_credentials(str(scene.kubeconfig)), user_agent="bench")
    splitter, read = FrameSplitter(), list[bytes]()
    async with transport.stream(PATH, query=dict(parse_qsl(QUERY)), accept=ACCEPT, idle_timeout=30) as chunks:
        async for chunk in chunks:
            read += splitter.feed(chunk)
            if read and END in read[-1]:
                break
    await transport.close()
    return [frame for frame in read if END not in frame]


@contextmanager
def _replay(scene: Scene, file: Path, what: str) -> Iterator[str]:
    server = scene.plane.apiserver
    replay = [sys.executable, "-m", "bench.contenders.replay"]
    argv = [*replay, str(server.ca_file), str(server.key_file), str(file), what]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(timeout=10)
