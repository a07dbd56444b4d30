"""What the objects and events of a real API server cost a client when there are many more of them: sent again.

A kube-apiserver on the same machine writes one or two thousand events a second, which is too slow to keep a client
busy, and each of them then costs a turn of the event loop. So the streaming list of the fleet is read once, and a small
server of ours sends its lines again as changes with rising versions, as fast as they are read. In the same way a fleet
becomes one of a hundred thousand, which would take minutes to make.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl

from bench.contender import ROOT, python
from bench.contenders.stream import ACCEPT, END, PATH, QUERY
from bench.figures import Figure, Goal
from bench.fleet import ANNOTATION
from bench.progress import Progress
from bench.scene import Scene
from informers import AiohttpTransport, load_credentials

EVENTS = 20_000
EVENT_US = Goal(15.0)
OBJECTS, ONE_IN = 100_000, 5
STALL_MS = Goal(20.0)
_FIRST = 10_000_000
_NAME, _UID = re.compile(rb'"name":"[^"]+"'), re.compile(rb'"uid":"[^"]+"')
_VERSION = re.compile(rb'"resourceVersion":"\d+"')


def events(scene: Scene, progress: Progress, *, rounds: int) -> list[Figure]:
    progress.step(f"CPU of {EVENTS} watch events")
    lines = asyncio.run(_lines(scene))
    file = scene.plane.folder / "events"
    with file.open("wb") as out:
        for number in range(EVENTS):
            line = lines[number % len(lines)].replace(b'"ADDED"', b'"MODIFIED"', 1)
            out.write(_VERSION.sub(b'"resourceVersion":"%d"' % (_FIRST + number), line, count=1) + b"\n")
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
    lines = asyncio.run(_lines(scene))
    asking = [line for line in lines if ANNOTATION.encode() in line]
    others = [line for line in lines if ANNOTATION.encode() not in line] or asking
    file = scene.plane.folder / "objects"
    with file.open("wb") as out:
        for number in range(objects):
            chosen = others if number % ONE_IN else asking
            line = _NAME.sub(b'"name":"svc-%06d"' % number, chosen[number % len(chosen)], count=1)
            out.write(_UID.sub(b'"uid":"%032d"' % number, line, count=1) + b"\n")
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


async def _lines(scene: Scene) -> list[bytes]:
    transport = AiohttpTransport(load_credentials(str(scene.kubeconfig)), user_agent="bench")
    read = b""
    async with transport.stream(PATH, query=dict(parse_qsl(QUERY)), accept=ACCEPT, idle_timeout=30) as chunks:
        async for chunk in chunks:
            read += chunk
            if END in read[-4096:]:
                break
    await transport.close()
    return [line for line in read.splitlines() if END not in line]


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
