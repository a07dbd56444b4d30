"""What a watch event costs in CPU, TLS and all, when many come: the events that a real API server wrote, sent again.

A kube-apiserver on the same machine writes one or two thousand events a second, which is too slow to keep a client
busy, and each of them then costs a turn of the event loop. So the streaming list of the fleet is read once, and a small
server of ours sends its lines again as changes with rising versions, as fast as they are read.
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
from bench.progress import Progress
from bench.scene import Scene
from informers import AiohttpTransport, load_credentials

EVENTS = 20_000
EVENT_US = Goal(15.0)
_FIRST = 10_000_000
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
    with _replay(scene, file) as url:
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
def _replay(scene: Scene, file: Path) -> Iterator[str]:
    server = scene.plane.apiserver
    argv = [sys.executable, "-m", "bench.contenders.replay", str(server.ca_file), str(server.key_file), str(file)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"https://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(timeout=10)
