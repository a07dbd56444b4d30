"""Cold sync: from connecting until our informer has every Deployment, against clients that throw the bytes away.

All of them send the same request and run in turn, each time in a new process. The ratio is taken within each turn,
between neighbours in time, and the median of these ratios is the figure: a machine that others use moves both sides.
"""

from __future__ import annotations

from collections import defaultdict

from bench.contender import python
from bench.figures import Figure, Goal
from bench.progress import Progress
from bench.scene import Scene

RATIO = Goal(1.25)
STALL_MS = Goal(50.0)
STORED_BYTES = Goal(1000.0)
SKIPPED_BYTES = Goal(200.0)
_FLOORS = {"discard_socket": "socket", "discard_aiohttp": "aiohttp"}


def cold_sync(scene: Scene, progress: Progress, *, rounds: int) -> list[Figure]:
    kubeconfig = str(scene.kubeconfig)
    progress.step("cold sync")
    python("discard_socket", kubeconfig)  # the server's own caches are warm from here on
    wall: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    size = 0
    for turn in range(rounds):
        for name, arguments in (*((floor, ()) for floor in _FLOORS), ("informer", ("time",))):
            said = python(name, kubeconfig, *arguments)
            wall[name].append(said["seconds"])
            cpu[name].append(said["cpu_seconds"])
            size = said.get("bytes", size)
        assert said["items"] == scene.fleet.objects, said
        assert said["rows"] == scene.fleet.annotated, said
        progress.count(turn + 1, rounds)

    group, count = "cold_sync", scene.fleet.objects
    figures = [
        Figure(group, "stream", f"WatchList of {count} Deployments as metadata", "MB", (size / 1e6,)),
        Figure(group, "informer", "cold sync, our informer", "s", tuple(wall["informer"])),
    ]
    for name, title in _FLOORS.items():
        figures.append(Figure(group, title, f"same stream thrown away, {title}", "s", tuple(wall[name])))
    for name, title in _FLOORS.items():
        ratios = tuple(ours / floor for ours, floor in zip(wall["informer"], wall[name], strict=True))
        figures.append(Figure(group, f"ratio_{title}", f"cold sync ÷ {title}", "x", ratios, goal=RATIO))
    spenders = {"informer": "our informer", **{name: f"thrown away, {title}" for name, title in _FLOORS.items()}}
    for name, title in spenders.items():
        figures.append(Figure(group, f"cpu_{name}", f"CPU of the client, {title}", "s", tuple(cpu[name])))
    return figures


def stalls(scene: Scene, progress: Progress, *, rounds: int) -> list[Figure]:
    progress.step("longest stall of the event loop during a cold sync")
    said = [python("informer", str(scene.kubeconfig), "stall") for _ in range(rounds)]
    wall = tuple(each["stall_seconds"] * 1e3 for each in said)
    cpu = tuple(each["stall_cpu_seconds"] * 1e3 for each in said)
    title = "longest stall of the loop, cold sync"
    return [
        Figure("stall", "wall", title, "ms", wall, goal=STALL_MS),
        Figure("stall", "cpu", f"{title}, CPU", "ms", cpu),
    ]


def memory(scene: Scene, progress: Progress) -> list[Figure]:
    """By tracemalloc, after the sync, without the connection; see `bench.contenders.informer`."""
    progress.step("memory of the cache")
    said = python("informer", str(scene.kubeconfig), "memory")
    stored, skipped = said["rows"], said["items"] - said["rows"]
    return [
        Figure(
            "memory",
            "stored",
            f"memory per cached object ({stored}; tracemalloc)",
            "B",
            (said["stored_bytes"] / stored,),
            goal=STORED_BYTES,
        ),
        Figure(
            "memory",
            "skipped",
            f"memory per un-annotated object ({skipped}; tracemalloc)",
            "B",
            (max(0.0, said["other_bytes"]) / skipped,),
            goal=SKIPPED_BYTES,
        ),
    ]
